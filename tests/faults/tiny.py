"""Stories for the simulation: files of a few bytes of header, the same ones in every history."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.builders import to_bytes

PLANES = 3


@dataclass(frozen=True)
class Step:
    """Wait, then send, then delete series or studies by UID."""

    pause: float = 0.0
    send: tuple[bytes, ...] = ()
    delete: tuple[str, ...] = ()


@dataclass
class Told:
    """A mask: the SEG of its last version, those of earlier ones, or the reason why there is none."""

    uid: str
    seg: bytes | None
    past: set[bytes] = field(default_factory=set)
    reason: str = ""
    optional: bool = False


@dataclass
class Tale:
    """A study."""

    kind: str
    steps: list[Step]
    masks: list[Told]
    standing: set[bytes]
    deleted: bool = False

    @property
    def seconds(self) -> float:
        return sum(step.pause for step in self.steps) + 5


@lru_cache(maxsize=20_000)
def file(study: str, series: str, sop: str, modality: str, description: str, number: str, content: str) -> bytes:
    """A DICOM file without pixels; `content` stands for them."""
    data = FileDataset(None, {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = sop
    data.PatientID, data.StudyInstanceUID, data.SeriesInstanceUID = "P", study, series
    data.Modality, data.SeriesDescription, data.SeriesNumber = modality, description, number
    data.ImageComments = content
    return to_bytes(data)


@lru_cache(maxsize=20_000)
def seg_of(study: str, mask: str, contents: tuple[bytes, ...]) -> bytes:
    """What a mask becomes: named after it and its content, as the product names its own."""
    digest = hashlib.sha256(b"".join(sorted(contents)) + mask.encode()).hexdigest()
    uid = f"2.25.{int(digest[:30], 16)}"
    return file(study, uid, f"{uid}.1", "SEG", "segmentation", "9", digest)


def _series(study: str, name: str, modality: str, number: str, version: str, planes: int = PLANES) -> tuple[bytes, ...]:
    uid = f"{study}.{name}"
    described = f"image {number}" if modality == "CT" and not name.startswith("9") else "mask"
    return tuple(file(study, uid, f"{uid}.{p}", modality, described, number, f"{version} {p}") for p in range(planes))


class _Draft:
    def __init__(self, dice: random.Random, number: int) -> None:
        self.dice, self.study = dice, f"1.{number + 1}"
        self.image = _series(self.study, "1", "CT", "1", "image")
        self.steps: list[Step] = []
        self.masks: list[Told] = []
        self.standing = set(self.image)
        self.deleted = False

    def mask(self, name: str = "90", version: str = "a", number: str = "1") -> tuple[bytes, ...]:
        return _series(self.study, name, "CT", number, version)

    def uid(self, name: str = "90") -> str:
        return f"{self.study}.{name}"

    def seg(self, contents: tuple[bytes, ...], name: str = "90") -> bytes:
        return seg_of(self.study, self.uid(name), contents)

    def send(self, contents: tuple[bytes, ...], *pause: float) -> None:
        files = list(contents)
        self.dice.shuffle(files)
        self.steps.append(Step(pause=self.dice.uniform(*pause) if pause else 0.0, send=tuple(files)))

    def tell(self, contents: tuple[bytes, ...], name: str = "90", **more: object) -> Told:
        told = Told(self.uid(name), self.seg(contents, name), **more)  # type: ignore[arg-type]
        self.masks.append(told)
        self.standing |= set(contents)
        return told


def _plain(d: _Draft) -> None:
    d.send(d.image)
    d.send(d.mask(), 0, 2)
    d.tell(d.mask())


def _several(d: _Draft) -> None:
    d.send(d.image)
    for name in ("90", "91", "92")[: d.dice.choice([2, 3])]:
        d.send(d.mask(name), 0, 3)
        d.tell(d.mask(name), name)


def _corrected(d: _Draft) -> None:
    d.send(d.image)
    d.send(d.mask())
    versions = ["a", "b", "c"][: d.dice.choice([2, 2, 3])]
    past: set[bytes] = {d.seg(d.mask())}
    for version in versions[1:]:
        if d.dice.random() < 0.4:
            d.steps.append(Step(pause=d.dice.uniform(0.5, 7), delete=(d.uid(),)))
            d.send(d.mask(version=version), 0, 1)
        else:
            d.send(d.mask(version=version), 0.5, 7)
        past.add(d.seg(d.mask(version=version)))
    d.tell(d.mask(version=versions[-1]), past=past)


def _more(d: _Draft) -> None:
    whole = d.mask()
    d.send(d.image)
    d.send(whole[:2])
    d.send(whole[2:], 0.5, 12)
    d.tell(whole, past={d.seg(whole[:1]), d.seg(whole[1:2]), d.seg(whole[:2])})


def _early(d: _Draft) -> None:
    d.send(d.mask())
    d.send(d.image, 0.5, 10)
    d.tell(d.mask())


def _again(d: _Draft) -> None:
    d.send(d.image)
    d.send(d.mask())
    d.send(d.mask(), 0.5, 7)
    d.tell(d.mask())


def _mask_deleted(d: _Draft) -> None:
    d.send(d.image)
    d.send(d.mask())
    d.steps.append(Step(pause=d.dice.uniform(0.5, 7), delete=(d.uid(),)))
    d.masks.append(Told(d.uid(), None, {d.seg(d.mask())}))


def _study_deleted(d: _Draft) -> None:
    _mask_deleted(d)
    d.steps[-1] = Step(pause=d.steps[-1].pause, delete=(d.study,))
    d.standing, d.deleted = set(), True


def _image_deleted(d: _Draft) -> None:
    d.send(d.image)
    d.send(d.mask())
    d.steps.append(Step(pause=d.dice.uniform(0.5, 7), delete=(f"{d.study}.1",)))
    d.standing = set()
    d.tell(d.mask(), reason="no_source_in_study", optional=True)


def _no_source(d: _Draft) -> None:
    d.send(d.image)
    d.send(d.mask(number="7"), 0, 2)
    d.tell(d.mask(number="7"), reason="no_source_in_study")


KINDS: dict[str, tuple[int, Callable[[_Draft], None]]] = {
    "plain": (4, _plain), "several": (3, _several), "corrected": (6, _corrected), "more slices": (4, _more),
    "image later": (3, _early), "sent again": (2, _again), "mask deleted": (2, _mask_deleted),
    "study deleted": (3, _study_deleted), "image deleted": (2, _image_deleted), "no source": (2, _no_source),
}  # fmt: skip


JOURNALLED = ("plain", "several")
"""Stories of which the journal tells all."""


def tale(dice: random.Random, number: int, kinds: Sequence[str] = ()) -> Tale:
    """The story of a study with that number."""
    kinds = kinds or list(KINDS)
    kind = dice.choices(kinds, [KINDS[k][0] for k in kinds])[0]
    draft = _Draft(dice, number)
    KINDS[kind][1](draft)
    return Tale(kind, draft.steps, draft.masks, draft.standing, draft.deleted)
