"""What the battery sends to the PACS, and what has to become of it.

A story is one study: an image series, masks, what happens to them later, and the truth. Everything follows from the
seed and the number of the story. The truth is the arrays that the masks were made from, carried into the patient by
the formula of the standard (PS3.3 C.7.6.2.1.1); no code of the product has a part in it.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.builders import Grid, image_series, mask_series, to_bytes

GRID = Grid(rows=32, columns=32, planes=6)
Points = tuple[str, ...]
"""What a segmentation says, in a form that can be compared: a digest of the places of each segment."""


@dataclass(kw_only=True)
class Version:
    """A state of a mask series: its files, lowest first, and the truth about it."""

    files: list[bytes]
    labels: np.ndarray

    @cached_property
    def points(self) -> Points:
        return points_of(self.labels)


@dataclass(kw_only=True)
class Mask:
    """A mask series.

    Attributes
    ----------
    current
        What stands in the archive in the end; None once it was deleted.
    reasons
        Codes with which the history may explain that there is no SEG; empty where there must be one.
    past
        Versions before the current one.
    """

    series_uid: str
    kind: str
    current: Version | None
    reasons: frozenset[str] = frozenset()
    past: list[Version] = field(default_factory=list)
    may_be_missing: bool = False
    moments: list[Moment] = field(default_factory=list)

    @property
    def versions(self) -> list[Version]:
        """All that it ever was, in order."""
        return [*self.past, *([self.current] if self.current is not None else [])]

    def points_at(self, moment: Moment) -> Points:
        """The truth about a moment."""
        labels = np.zeros_like(self.versions[0].labels)
        for plane, version in moment.planes:
            labels[plane] = self.versions[version].labels[plane]
        return points_of(labels)


@dataclass(frozen=True, kw_only=True)
class Send:
    """Upload files, in this order, with a pause (s) between two."""

    files: list[bytes]
    pause: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Delete the series (or, with `study`, the study) that holds a file."""

    file: bytes
    study: bool = False


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Let so many seconds pass."""

    seconds: float


Step = Send | Delete | Pause


@dataclass(frozen=True)
class Moment:
    """What a mask series looked like from one time to another (monotonic, s): plane to version, for what is there."""

    planes: tuple[tuple[int, int], ...]
    since: float
    until: float


@dataclass(kw_only=True)
class Story:
    """One study."""

    number: int
    kind: str
    study_uid: str
    steps: list[Step]
    masks: list[Mask]
    images: list[bytes]
    deleted: bool = False
    gone: list[bytes] = field(default_factory=list)

    @property
    def standing(self) -> list[bytes]:
        """Files that were sent and never deleted: what the archive has to hold in the end, byte for byte."""
        if self.deleted:
            return []
        files = [f for f in self.images if f not in self.gone]
        for mask in self.masks:
            files += mask.current.files if mask.current is not None else []
        return files


class Author:
    """Writes the stories of one seed.

    Parameters
    ----------
    settle, rest
        The service's settings: pauses are chosen around them, s.
    overwrites
        The archive takes other bytes for an instance that it holds.
    """

    def __init__(self, seed: int, *, settle: float, rest: float, overwrites: bool = True) -> None:
        self._seed, self._settle, self._rest, self._overwrites = seed, settle, rest, overwrites

    def story(self, number: int) -> Story:
        """The story with that number."""
        dice = random.Random(f"{self._seed} {number}")
        kinds = list(KINDS)
        kind = kinds[number] if number < len(kinds) else dice.choices(kinds, [KINDS[k][0] for k in kinds])[0]
        draft = _Draft(self, dice, number, kind)
        KINDS[kind][1](draft)
        return draft.story()

    def stories(self, masks: int) -> Iterator[Story]:
        """Stories with at least so many masks in all."""
        number = 0
        while masks > 0:
            story = self.story(number)
            masks -= len(story.masks)
            number += 1
            yield story


class _Draft:
    """A story in the making."""

    def __init__(self, author: Author, dice: random.Random, number: int, kind: str) -> None:
        self.author, self.dice, self.number, self.kind = author, dice, number, kind
        self.settle, self.rest = author._settle, author._rest
        self.overwrites = author._overwrites
        seed = dice.getrandbits(60)
        self.image = image_series(GRID, seed=seed, PatientID=f"F{number}", PatientName=f"Fault^{number}")
        self.steps: list[Step] = []
        self.masks: list[Mask] = []
        self.deleted = False
        self.gone: list[bytes] = []
        self.images = [to_bytes(i) for i in self.image]
        self.without_image = False

    def story(self) -> Story:
        return Story(
            number=self.number, kind=self.kind, study_uid=str(self.image[0].StudyInstanceUID), steps=self.steps,
            masks=self.masks, images=[] if self.without_image else self.images, deleted=self.deleted, gone=self.gone,
        )  # fmt: skip

    # --- parts

    def send_image(self) -> None:
        self.steps.append(Send(files=self.images))

    def labels(self, slot: int = 0, of: int = 1, *, values: int = 1) -> np.ndarray:
        """Blocks with ragged edges in a strip of their own, in every plane, no two alike."""
        labels = np.zeros((GRID.planes, GRID.rows, GRID.columns), np.uint16)
        width = GRID.columns // of
        for value in range(1, values + 1):
            left = slot * width + (value - 1) * (width // values)
            right = left + width // values
            for plane in range(GRID.planes):
                for row in range(6 + self.dice.randrange(4), 24 + self.dice.randrange(4)):
                    labels[plane, row, left + 1 + self.dice.randrange(2) : right - 1 - self.dice.randrange(2)] = value
        return labels

    def version(self, labels: np.ndarray, name: str, number: int, *, own_uids: bool, **tags: object) -> Version:
        files = mask_series(self.image, labels, description=name, number=number, own_uids=own_uids, **tags)
        return Version(files=[to_bytes(f) for f in files], labels=labels)

    def add(self, version: Version | None, uid: str, **more: object) -> Mask:
        mask = Mask(series_uid=uid, kind=self.kind, current=version, **more)  # type: ignore[arg-type]
        self.masks.append(mask)
        return mask

    def one(self, number: int = 901, **options: object) -> tuple[Version, str]:
        """A mask, with its SeriesInstanceUID."""
        name = f"mask {number}"
        version = self.version(
            self.labels(values=self.dice.choice([1, 1, 2])), name, number, own_uids=self.dice.random() < 0.5, **options
        )
        return version, uid_of(version.files[0])

    def pause(self, *seconds: float) -> None:
        """A pause between two bounds."""
        self.steps.append(Pause(seconds=self.dice.uniform(*seconds)))

    def send(self, files: list[bytes], *, slowly: bool = False) -> None:
        files = list(files)
        self.dice.shuffle(files)
        self.steps.append(Send(files=files, pause=self.settle * 0.5 if slowly else 0.0))

    def while_it_works(self) -> None:
        """A pause that ends before, in the middle of or after the job on what was sent."""
        self.pause(self.settle * 0.5, self.settle + 5.0)


def _plain(draft: _Draft) -> None:
    version, uid = draft.one()
    draft.send_image()
    draft.send(version.files, slowly=draft.dice.random() < 0.3)
    draft.add(version, uid)


def _several(draft: _Draft) -> None:
    draft.send_image()
    count = draft.dice.choice([2, 3])
    for slot in range(count):
        labels = draft.labels(slot, count)
        version = draft.version(labels, f"mask {slot}", 901 + slot, own_uids=bool(slot % 2))
        draft.add(version, uid_of(version.files[0]))
        draft.send(version.files)
        if draft.dice.random() < 0.5:
            draft.pause(0.1, draft.settle * 2)


def _corrected(draft: _Draft) -> None:
    """The same series again with other pixels: over the old instances, or after these were deleted."""
    first, uid = draft.one()
    mask = draft.add(first, uid)
    draft.send_image()
    draft.send(first.files)
    for _ in range(draft.dice.choice([1, 1, 2])):
        if draft.dice.random() < 0.5:
            draft.while_it_works()
        else:
            draft.pause(15, 40)  # when it was stored: it has to go
        assert mask.current is not None
        old, own = mask.current, draft.dice.random() < 0.5
        if not draft.overwrites or draft.dice.random() < 0.5:
            draft.steps.append(Delete(file=old.files[0]))
        else:
            own = sop_of(old.files[0]) not in {str(i.SOPInstanceUID) for i in draft.image}
        new = draft.version(draft.labels(), "mask 901", 901, own_uids=own)
        draft.send(new.files)
        mask.past.append(old)
        mask.current = new


def _more(draft: _Draft) -> None:
    """Some slices; the others when the first have long been converted."""
    labels = draft.labels()
    whole = draft.version(labels, "mask 901", 901, own_uids=True)
    some = draft.dice.randrange(2, GRID.planes - 1)
    partial = labels.copy()
    partial[some:] = 0
    draft.send_image()
    draft.send(whole.files[:some])
    if draft.dice.random() < 0.5:
        draft.pause(draft.rest + 3, draft.rest + 9)
    else:
        draft.while_it_works()
    draft.send(whole.files[some:])
    draft.add(whole, uid_of(whole.files[0]), past=[Version(files=whole.files[:some], labels=partial)])


def _early(draft: _Draft) -> None:
    """The mask is there before its image."""
    version, uid = draft.one()
    draft.send(version.files)
    draft.pause(draft.settle * 0.5, draft.rest + 4)
    draft.send_image()
    draft.add(version, uid)


def _resent(draft: _Draft) -> None:
    """The same bytes again."""
    version, uid = draft.one()
    draft.send_image()
    draft.send(version.files)
    draft.while_it_works()
    draft.send(version.files)
    draft.add(version, uid)


def _mask_deleted(draft: _Draft) -> None:
    version, uid = draft.one()
    draft.send_image()
    draft.send(version.files)
    draft.while_it_works()
    draft.steps.append(Delete(file=version.files[0]))
    draft.add(None, uid, past=[version])


def _study_deleted(draft: _Draft) -> None:
    version, uid = draft.one()
    draft.send_image()
    draft.send(version.files)
    draft.while_it_works()
    draft.steps.append(Delete(file=version.files[0], study=True))
    draft.add(None, uid, past=[version])
    draft.deleted = True


def _image_deleted(draft: _Draft) -> None:
    version, uid = draft.one()
    draft.send_image()
    draft.send(version.files)
    draft.while_it_works()
    draft.steps.append(Delete(file=draft.images[0]))
    draft.gone = draft.images
    draft.add(version, uid, may_be_missing=True, reasons=NO_IMAGE)


def _empty(draft: _Draft) -> None:
    version = draft.version(np.zeros((GRID.planes, GRID.rows, GRID.columns), np.uint16), "mask", 901, own_uids=True)
    draft.send_image()
    draft.send(version.files)
    draft.add(version, uid_of(version.files[0]), reasons=frozenset({"empty_mask"}))


def _no_source(draft: _Draft) -> None:
    version, uid = draft.one()
    draft.without_image = True
    draft.send(version.files)
    draft.add(version, uid, reasons=NO_IMAGE)


def _other_patient(draft: _Draft) -> None:
    version, uid = draft.one(PatientID="SOMEBODY ELSE", PatientName="Else^Somebody", FrameOfReferenceUID=generate_uid(
        entropy_srcs=["other", str(draft.number)]))  # fmt: skip
    draft.send_image()
    draft.send(version.files)
    draft.add(version, uid, reasons=frozenset({"patient_mismatch", "geometry_mismatch", "no_source_in_study"}))


def _shifted(draft: _Draft) -> None:
    """Half a slice off its image."""
    image = list(draft.image)
    labels = draft.labels()
    files = mask_series(image, labels, description="mask", number=901, own_uids=True)
    for data in files:
        x, y, z = (float(v) for v in data.ImagePositionPatient)
        data.ImagePositionPatient = [x, y, round(z + 1.1, 4)]
    version = Version(files=[to_bytes(f) for f in files], labels=labels)
    draft.send_image()
    draft.send(version.files)
    draft.add(version, uid_of(version.files[0]), reasons=frozenset({"geometry_mismatch"}))


NO_IMAGE = frozenset({"no_source_in_study"})
KINDS: dict[str, tuple[int, Callable[[_Draft], None]]] = {
    "plain": (20, _plain),
    "corrected": (18, _corrected),
    "more slices": (8, _more),
    "study deleted": (6, _study_deleted),
    "several": (10, _several),
    "image later": (8, _early),
    "sent again": (5, _resent),
    "mask deleted": (6, _mask_deleted),
    "image deleted": (4, _image_deleted),
    "empty": (3, _empty),
    "no source": (3, _no_source),
    "other patient": (3, _other_patient),
    "shifted": (3, _shifted),
}
"""Weight and author of each kind of story."""


def points_of(labels: np.ndarray) -> Points:
    """The truth of an array of labels."""
    return comparable([GRID.points(labels)[v] for v in sorted(set(np.unique(labels).tolist()) - {0})])


def comparable(segments: list[np.ndarray]) -> Points:
    """Digest of the places (n, 3), in mm, of each segment, in the order of their labels or numbers."""
    return tuple(_digest(s) for s in segments)


def _digest(places: np.ndarray) -> str:
    hundredths = np.round(places * 100).astype(np.int64)
    return hashlib.sha256(hundredths[np.lexsort(hundredths.T)].tobytes()).hexdigest()[:24]


def header(file: bytes) -> Dataset:
    """A file without its pixels."""
    return dcmread(io.BytesIO(file), stop_before_pixels=True)


def uid_of(file: bytes) -> str:
    """SeriesInstanceUID of a file."""
    return str(header(file).SeriesInstanceUID)


def sop_of(file: bytes) -> str:
    """SOPInstanceUID of a file."""
    return str(header(file).SOPInstanceUID)
