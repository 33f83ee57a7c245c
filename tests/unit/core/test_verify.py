"""Verification bites: whatever is wrong with a SEG, it is not stored. And what the object says of its source."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core import convert as module
from orthanc_mask2seg.core.verify import ResampledTruth, Truth, verify
from orthanc_mask2seg.errors import VerificationError
from orthanc_mask2seg.model import Outcome, Result, Segmentation
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, image_series, mask_series, same_points, segments_of, study, to_bytes

Tamper = Callable[[Dataset], None]


def convert(made: Study, archive: MemoryArchive | None = None) -> tuple[Result, MemoryArchive]:
    archive = archive or made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    return ended[0], archive


def stored(made: Study) -> Dataset:
    result, archive = convert(made)
    assert result.outcome is Outcome.CONVERTED, result
    assert result.outputs[0].orthanc_id is not None
    return dcmread(io.BytesIO(archive.content(result.outputs[0].orthanc_id)))


@dataclass(frozen=True)
class Proof:
    """A good conversion, as verification saw it."""

    content: bytes
    truths: Sequence[Truth | ResampledTruth]
    more: tuple[Any, ...]

    def verify(self, tamper: Tamper) -> int:
        return verify(tampered(self.content, tamper), self.truths, *self.more)


def tampered(content: bytes, tamper: Tamper) -> bytes:
    data = dcmread(io.BytesIO(content))
    tamper(data)
    return to_bytes(data)


def proof_of(made: Study, monkeypatch: pytest.MonkeyPatch) -> Proof:
    seen: list[Proof] = []

    def spy(content: bytes, truths: Sequence[Truth | ResampledTruth], *more: Any) -> int:
        seen.append(Proof(content, list(truths), more))
        return verify(content, seen[0].truths, *more)

    with monkeypatch.context() as patch:
        patch.setattr(module, "verify", spy)
        assert convert(made)[0].outcome is Outcome.CONVERTED
    [proof] = seen
    return proof


def two_labels() -> Study:
    """Two segments of different shapes on the same planes, so that a swap shows."""
    labels = blob(Grid(), centre=(0.5, 0.6, 0.7))
    labels[2:4, 1:4, 1:5] = 2
    return study(labels=labels)


def other_grid() -> Study:
    """A mask with pixels of half the size: it is resampled."""
    grid, fine = Grid(), Grid(rows=48, columns=40, spacing=(0.4, 0.35), origin=(-120.675, -95.45, 40.0))
    labels = np.zeros((6, 48, 40), np.uint8)
    for plane in (1, 2, 3):
        labels[plane, 10 : 26 + 2 * plane, 8:20] = 1
    labels[2:5, 34:42, 24:36] = 2
    image = image_series(grid)
    same = {
        name: image[0][name].value for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName")
    }
    mask = mask_series(image_series(fine, seed=5, **same), labels, own_uids=True)
    return Study(grid=fine, image=image, mask=mask, labels=labels)


def frame_bits(data: Dataset) -> np.ndarray:
    """Pixels, shape (frames, rows * columns)."""
    bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")
    size = data.Rows * data.Columns
    return bits[: data.NumberOfFrames * size].reshape(-1, size)


def put_bits(data: Dataset, bits: np.ndarray) -> None:
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    data.PixelData = packed + b"\0" * (len(packed) % 2)


def flip(value: int, frame: int, which: int) -> Tamper:
    """Another value in one voxel of a frame that has `value` there."""

    def tamper(data: Dataset) -> None:
        bits = frame_bits(data).copy()
        bits[frame, np.flatnonzero(bits[frame] == value)[which]] ^= 1
        put_bits(data, bits)

    return tamper


def move_voxel(data: Dataset) -> None:
    """As many voxels as before, one of them elsewhere."""
    flip(1, 0, 0)(data)
    flip(0, 0, -1)(data)


def move(millimetres: float, axis: int, frame: int) -> Tamper:
    def tamper(data: Dataset) -> None:
        plane = data.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
        position = [float(v) for v in plane.ImagePositionPatient]
        position[axis] += millimetres
        plane.ImagePositionPatient = position

    return tamper


def swap_segments(data: Dataset) -> None:
    for item in data.PerFrameFunctionalGroupsSequence:
        segment = item.SegmentIdentificationSequence[0]
        segment.ReferencedSegmentNumber = 3 - segment.ReferencedSegmentNumber


def rename_segment(data: Dataset) -> None:
    """One frame counts as one of the other segment."""
    segment = data.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0]
    segment.ReferencedSegmentNumber = 3 - segment.ReferencedSegmentNumber


def drop_frame(frame: int) -> Tamper:
    def tamper(data: Dataset) -> None:
        put_bits(data, np.delete(frame_bits(data), frame, axis=0))
        del data.PerFrameFunctionalGroupsSequence[frame]
        data.NumberOfFrames -= 1

    return tamper


def swap_frames(data: Dataset) -> None:
    """The pixels of two planes of one segment change places."""
    bits = frame_bits(data)
    assert not np.array_equal(bits[0], bits[1])
    put_bits(data, bits[[1, 0, *range(2, len(bits))]])


def flip_rows(data: Dataset) -> None:
    bits = frame_bits(data).reshape(-1, data.Rows, data.Columns)
    put_bits(data, bits[:, ::-1])


def exchange_spacing(data: Dataset) -> None:
    """PixelSpacing with rows and columns exchanged."""
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = list(measures.PixelSpacing)[::-1]


def mirror(data: Dataset) -> None:
    orientation = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = [-v for v in orientation.ImageOrientationPatient[:3]] + list(
        orientation.ImageOrientationPatient[3:]
    )


WRONG = {
    "a voxel less": flip(1, 0, 0),
    "a voxel less in the last frame": flip(1, -1, -1),
    "a voxel more": flip(0, 0, 0),
    "a voxel more in the last frame": flip(0, -1, -1),
    "a voxel elsewhere": move_voxel,
    "a frame 1 mm aside": move(1.0, 0, 0),
    "a frame 1 mm down": move(1.0, 1, -1),
    "a frame 1 mm off its plane": move(1.0, 2, 1),
    "a frame one plane up": move(2.5, 2, 0),
    "a frame one plane down": move(-2.5, 2, -1),
    "two segments swapped": swap_segments,
    "a frame of another segment": rename_segment,
    "the first frame missing": drop_frame(0),
    "the last frame missing": drop_frame(-1),
    "two frames swapped": swap_frames,
    "all frames upside down": flip_rows,
    "another pixel spacing": exchange_spacing,
    "mirrored": mirror,
}


@pytest.mark.parametrize("make", [two_labels, other_grid])
@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_is_wrong_with_a_seg_is_found(
    make: Callable[[], Study], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = proof_of(make(), monkeypatch)
    assert isinstance(proof.truths[0], ResampledTruth) == (make is other_grid)
    assert proof.verify(lambda _: None) > 0
    with pytest.raises(VerificationError):
        proof.verify(WRONG[wrong])


@pytest.mark.parametrize("value", [0, 1])
def test_each_single_bit_counts(value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the first and the last voxel of a frame."""
    proof = proof_of(two_labels(), monkeypatch)
    bits = frame_bits(dcmread(io.BytesIO(proof.content)))
    for frame in range(len(bits)):
        count = int((bits[frame] == value).sum())
        for which in range(0, count, 1 + count // 6):
            with pytest.raises(VerificationError):
                proof.verify(flip(value, frame, which))


@pytest.mark.parametrize("make", [two_labels, other_grid])
@pytest.mark.parametrize("wrong", ["a voxel less", "two segments swapped", "the last frame missing"])
def test_what_a_broken_encoder_makes_is_not_stored(
    make: Callable[[], Study], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make()
    encode = module.encode

    def broken(*arguments: object, **more: object) -> Segmentation:
        good = encode(*arguments, **more)  # type: ignore[arg-type]
        return replace(good, content=tampered(good.content, WRONG[wrong]))

    monkeypatch.setattr(module, "encode", broken)
    archive = made.archive()
    before = {key for series in archive.all_series() for key in series.instance_keys}
    with pytest.raises(VerificationError):
        convert(made, archive)
    assert {key for series in archive.all_series() for key in series.instance_keys} == before


def test_every_instance_of_the_source_is_named() -> None:
    """Not only those with a frame, and each once."""
    made = study()
    data = stored(made)
    assert data.NumberOfFrames < len(made.image)
    named = [i.ReferencedSOPInstanceUID for i in data.ReferencedSeriesSequence[0].ReferencedInstanceSequence]
    assert sorted(named) == sorted(str(d.SOPInstanceUID) for d in made.image)
    assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == made.image[0].SeriesInstanceUID


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_is_background(padding: int) -> None:
    """A third value that the header calls padding is no segment, also where it was written as if unsigned."""
    labels = blob(Grid())
    values = labels.astype(np.int16)
    values[:, :, :2] = -2000
    assert len(np.unique(values)) == 3
    made = study(labels=labels, stored=lambda _: values)
    for data in made.mask:
        data.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
    result, archive = convert(made)
    assert result.outcome is Outcome.CONVERTED, result
    assert result.outputs[0].orthanc_id is not None
    [points] = segments_of(archive.content(result.outputs[0].orthanc_id)).values()
    assert same_points(points, made.grid.points(labels)[1])


def test_without_being_called_so_a_third_value_is_not_padding() -> None:
    """The control of the test above."""
    values = blob(Grid()).astype(np.int16)
    values[:, :, :2] = -2000
    result, _ = convert(study(stored=lambda _: values))
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "unsupported_pixel_data")


def test_another_patient_name_is_another_object() -> None:
    """What is copied from the source is part of the identity: the same UID never stands for other bytes."""
    made, renamed = study(), study()
    for data in (*renamed.image, *renamed.mask):
        data.PatientName = "Renamed^Patient"
    first, second = stored(made), stored(renamed)
    assert (first.PatientName, second.PatientName) == ("Test^0", "Renamed^Patient")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert stored(study()).SOPInstanceUID == first.SOPInstanceUID
