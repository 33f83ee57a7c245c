"""The matrix: style x geometry x encoding x container, not in full but each with each at least once.

A case is made when it is asked for. Its end is known: voxels in the patient, or a refusal with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, image_series
from tests.generator.containers import enhanced, multi_frame_capture
from tests.generator.encodings import ENCODINGS, plain
from tests.generator.oracle import read_planes, read_seg, same_places, wrong_references, wrong_resampling
from tests.generator.scenes import SCENES, Scene, labels_on
from tests.generator.styles import STYLES, Ending


@dataclass(kw_only=True)
class Made:
    """A case as files, with its end.

    Attributes
    ----------
    segments
        Places of the voxels of each segment, in order; None where it is refused or resampled.
    ending
        Outcome and reason of a refusal, where a person named the mask.
    automatic
        The same where nobody did; None where it is as for a person, "skip" where that is not asked.
    resampled
        The mask lies on another grid: SimpleITK says what is right.
    instances
        SOPInstanceUIDs of the images that the segments lie on, where not all of the source may be meant.
    """

    files: list[bytes]
    mask_uids: tuple[str, ...]
    source_uid: str = ""
    segments: list[np.ndarray] | None = None
    ending: Ending | None = None
    automatic: Ending | str | None = None
    resampled: bool = False
    named_sources: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)
    instances: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """A name and how to make it."""

    name: str
    make: Callable[[], Made]


def places(grid: Grid, voxels: np.ndarray) -> np.ndarray:
    """Places in the patient of voxels, by the formula of the standard."""
    return grid.points(voxels.astype(np.uint8)).get(1, np.empty((0, 3)))


def ordinary(style_name: str, scene: Scene, write: Callable[[list[Dataset]], list[bytes]], modality: str) -> Made:
    """One image series and one mask series."""
    style, grid = STYLES[style_name], scene.grid
    labels = labels_on(grid)
    image = image_series(grid, modality=modality)
    mask = style.write(image, labels)
    mask_uid, source_uid = str(mask[0].SeriesInstanceUID), str(image[0].SeriesInstanceUID)
    image, mask = scene.change(image, mask)
    return Made(
        files=[*(plain(i) for i in image), *write(mask)],
        mask_uids=(mask_uid,),
        source_uid=source_uid,
        segments=None if style.named else [places(grid, s) for s in style.segments(labels)],
        ending=style.named,
        automatic=style.automatic,
        settings=dict(style.settings),
    )


def encoded(*names: str) -> Callable[[list[Dataset]], list[bytes]]:
    """Write the slices in these transfer syntaxes, in turn."""
    return lambda mask: [ENCODINGS[names[i % len(names)]](data) for i, data in enumerate(mask)]


def ordinary_case(
    style: str,
    scene: str = "axial",
    encoding: str = "explicit",
    container: str = "single",
    modality: str = "CT",
) -> Case:
    place, write = SCENES[scene], encoded(*encoding.split("+"))
    if "jpeg_2000" in encoding:
        place = Scene(
            grid=Grid(**{**_fields(place.grid), "rows": 37, "columns": 35}), change=place.change
        )  # its encoder wants at least 32 x 32
    if container == "enhanced":
        write = lambda mask, inner=write: inner([enhanced(mask)])  # noqa: E731
    if container == "enhanced_shuffled":
        write = lambda mask, inner=write: inner([enhanced(mask, order=_shuffle(len(mask)))])  # noqa: E731
    if container == "capture":
        write = lambda mask, inner=write: inner([multi_frame_capture(mask)])  # noqa: E731
    if container == "two_enhanced":
        write = lambda mask, inner=write: inner(_two_enhanced(mask))  # noqa: E731
    name = f"{style}-{scene}-{encoding}-{container}-{modality}"
    return Case(name, lambda: ordinary(style, place, write, modality))


def _two_enhanced(mask: list[Dataset]) -> list[Dataset]:
    half = len(mask) // 2
    first, second = enhanced(mask[:half]), enhanced(mask[half:])
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9.9"
    return [first, second]


def _shuffle(count: int) -> list[int]:
    return [(i * 5 + 3) % count for i in range(count)] if count % 5 else list(range(count))[::-1]


def _fields(grid: Grid) -> dict[str, object]:
    return {name: getattr(grid, name) for name in grid.__dataclass_fields__}


WHOLE_PIXELS = ["seed", "0_255", "gaps", "hu_intercept_0", "i16", "0_7", "own", "mono1_inverted", "negative"]
"""Styles that are written as one whole number of 8 or 16 bits a pixel: any geometry and encoding will do."""

ENCODABLE = ["0_255", "gaps", "own", "hu_intercept_0", "mono1_inverted"]


def _cases() -> Iterable[Case]:
    yield from _single_frame()
    yield from _multi_frame()


def _single_frame() -> Iterable[Case]:
    for style in STYLES:
        yield ordinary_case(style)
    for number, scene in enumerate(name for name in SCENES if name != "axial"):
        for offset in range(2):
            style = WHOLE_PIXELS[(number + offset * 4) % len(WHOLE_PIXELS)]
            yield ordinary_case(style, scene, modality="MR" if (number + offset) % 3 == 0 else "CT")
    scenes = ["axial", "coronal", "double_oblique", "swap_flip_rows", "odd", "tilt_gaps", "shuffled"]
    for number, encoding in enumerate(name for name in ENCODINGS if name != "explicit"):
        for offset in range(3):
            yield ordinary_case(ENCODABLE[(number + offset) % 5], scenes[(number * 3 + offset) % 7], encoding)
    for style, encoding in (
        ("rgb", "rle"), ("rgb", "jpeg_ls"), ("rgb", "jpeg_2000"), ("rgb", "deflated"), ("palette", "rle"),
        ("palette", "jpeg_lossless"), ("one_bit", "implicit"), ("one_bit", "deflated"), ("u32", "deflated"),
        ("u32", "big_endian"), ("float_whole", "big_endian"), ("float_whole", "deflated"),
        ("float_threshold", "implicit"), ("stored_12", "jpeg_ls"), ("stored_12", "jpeg_2000"),
        ("stored_12_signed", "rle"), ("slopes_per_slice", "jpeg_lossless"), ("slopes_per_slice", "jpeg_2000"),
        ("padding_used", "big_endian"), ("trusted", "rle"), ("u8_threshold", "jpeg_ls"),
        ("own", "rle+explicit"), ("own", "jpeg_ls+jpeg_lossless+implicit"), ("gaps", "rle+big_endian+deflated"),
        ("gaps", "jpeg_2000+rle"), ("hu_intercept_0", "jpeg_2000+jpeg_lossless+explicit"),
        ("0_255", "rle+jpeg_ls+jpeg_2000+jpeg_lossless+explicit+implicit"), ("stored_12", "htj2k"),
        ("i16", "htj2k"), ("gaps", "htj2k+jpeg_2000+explicit"),
    ):  # fmt: skip
        yield ordinary_case(style, "axial", encoding)
    for modality in ("PT", "NM", "MR"):
        yield ordinary_case("slopes_per_slice", "axial", modality=modality)
        yield ordinary_case("seed", "shuffled", modality=modality)


def _multi_frame() -> Iterable[Case]:
    for number, container in enumerate(("enhanced", "enhanced_shuffled", "capture", "two_enhanced")):
        for offset, scene in enumerate(("axial", "double_oblique", "tilt_gaps", "odd", "sagittal")):
            yield ordinary_case(WHOLE_PIXELS[1:][(number + offset * 2) % 8], scene, container=container)
    for encoding in ("rle", "jpeg_ls", "jpeg_lossless", "deflated", "implicit", "big_endian", "jpeg_2000", "htj2k"):
        yield ordinary_case("gaps", "axial", encoding, "enhanced")
    for style in ("rgb", "palette", "mono1_inverted", "mono2_inverted", "empty", "u8_probability"):
        yield ordinary_case(style, "axial", container="enhanced")


# the special cases are in a module of their own; this one is imported by it
def all_cases() -> list[Case]:
    """Every case, ordinary and special."""
    from tests.generator.special import special_cases

    return [*_cases(), *special_cases()]


def run(made: Made, *, named: bool) -> tuple[tuple[Result, ...], MemoryArchive]:
    """Send a case through the real pipeline, in an archive in memory."""
    archive = MemoryArchive()
    for content in made.files:
        archive.add(content)
    masks = tuple(archive.find_series(uid) for uid in made.mask_uids)
    sources = tuple(archive.find_series(uid) for uid in made.named_sources) or None
    task = pipeline.Task(masks=masks, sources=sources, named_as_mask=named)
    ended = pipeline.run(archive, task, Settings(**made.settings))  # type: ignore[arg-type]
    assert not isinstance(ended, pipeline.NotYet)
    return ended, archive


def check(made: Made, *, named: bool) -> None:
    """Assert that a case ends as it has to."""
    (result, *others), archive = run(made, named=named)
    assert {(str(other.outcome), other.reason) for other in others} <= {("skipped", "empty_mask")}
    ending = made.automatic if not named and isinstance(made.automatic, tuple) else made.ending
    held = [s for s in archive.all_series() if s.modality == "SEG"]
    if ending is not None:
        assert (str(result.outcome), result.reason) == ending, (result.detail, result.evidence, result.candidates)
        assert result.detail.endswith("."), "a sentence for people"
        assert result.hint.endswith("."), "what to do"
        assert result.evidence or result.candidates, "what was seen"
        assert not held, "a refusal stores nothing"
        return
    assert result.outcome is Outcome.CONVERTED, (result.reason, result.detail, result.evidence, result.candidates)
    assert result.outputs[0].orthanc_id is not None
    seg = read_seg(archive.content(result.outputs[0].orthanc_id))
    if made.source_uid:
        assert result.source_series_uid == made.source_uid
        assert str(seg.header.ReferencedSeriesSequence[0].SeriesInstanceUID) == made.source_uid
    source = archive.find_series(str(result.source_series_uid))
    image = read_planes([archive.content(k) for k in source.instance_keys], pixels=False)
    assert not wrong_references(seg, image)
    if made.instances:
        assert {frame.sop_instance_uid for frame in seg.frames} <= made.instances
    assert ("resampled" in result.detail) == made.resampled
    if made.resampled:
        mask = archive.find_series(made.mask_uids[0])
        planes = read_planes([archive.content(k) for k in mask.instance_keys])
        assert not wrong_resampling(seg, planes, image, 0)
        return
    assert made.segments is not None
    assert [len(p) for p in seg.places.values()] == [len(p) for p in made.segments]
    for found, expected in zip(seg.places.values(), made.segments, strict=True):
        assert same_places(found, expected)


def series_like(image: Sequence[Dataset], number: int, **tags: object) -> list[Dataset]:
    """Copies of slices as another series of the same study, tags replaced."""
    from tests.generator.containers import dcmread_copy

    result = []
    for plane, one in enumerate(image):
        data = dcmread_copy(one)
        data.SeriesInstanceUID, data.SeriesNumber = f"1.2.3.{number}", number
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.{plane}"
        for keyword, value in tags.items():
            setattr(data, keyword, value)
        result.append(data)
    return result
