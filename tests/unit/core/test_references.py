"""Places that are proven by references, candidates that lie elsewhere, and differences told with numbers."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, image_series, mask_series, same_points, segments_of, study
from tests.generator.containers import enhanced
from tests.unit.core.test_sources import refer


def outcome(made: Study, **settings: object) -> tuple[Result, bytes]:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings(**settings))  # type: ignore[arg-type]
    assert not isinstance(ended, pipeline.NotYet)
    outputs = ended[0].outputs
    return ended[0], archive.content(outputs[0].orthanc_id) if outputs and outputs[0].orthanc_id else b""


def is_exact(made: Study, content: bytes) -> None:
    (points,) = segments_of(content).values()
    assert same_points(points, made.grid.points(made.labels)[1])


@pytest.mark.parametrize("how", ["shared", "SourceImageSequence", "ReferencedImageSequence"])
def test_another_frame_of_reference_is_no_veto_where_each_slice_proves_its_place(how: str) -> None:
    """The segmentation has the frame of reference of the images."""
    made = study(own_uids=how != "shared", FrameOfReferenceUID="1.2.3.4")
    if how != "shared":
        refer(made.mask, made.image, how)
    result, content = outcome(made)
    assert result.outcome is Outcome.CONVERTED
    assert any(
        "another frame of reference, but each of the 6 mask planes" in e.text for e in result.candidates[0].evidence
    )
    is_exact(made, content)
    assert dcmread(io.BytesIO(content)).FrameOfReferenceUID == made.image[0].FrameOfReferenceUID


@pytest.mark.parametrize(("linked", "moved"), [(0, 0.0), (5, 0.0), (6, 0.2)])
def test_another_frame_of_reference_is_a_veto_otherwise(linked: int, moved: float) -> None:
    """One slice without a reference, or all of them elsewhere: refused, with what would have coincided."""
    made = study(own_uids=True, FrameOfReferenceUID="1.2.3.4")
    refer(made.mask[:linked], made.image)
    for data in made.mask:
        data.ImagePositionPatient = [*data.ImagePositionPatient[:2], float(data.ImagePositionPatient[2]) + moved]
    result, _ = outcome(made)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "geometry_mismatch")
    assert result.detail.startswith("The mask has another frame of reference (FrameOfReferenceUID) than the image")
    assert f"{0 if moved else 6} of 6 mask planes would coincide" in result.evidence[0]
    assert f"{0 if moved else linked} of them share" in result.evidence[0]
    assert "FrameOfReferenceUID" in result.hint


def without_positions(made: Study) -> None:
    for data in made.mask:
        del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing


@pytest.mark.parametrize("how", ["shared", "SourceImageSequence", "ReferencedImageSequence"])
def test_slices_without_positions_lie_where_their_images_lie(how: str) -> None:
    """In any order, without any setting; the words say how."""
    made = study(own_uids=how != "shared")
    if how != "shared":
        refer(made.mask, made.image, how)
    without_positions(made)
    for data, number in zip(made.mask, (4, 4, 1, 9, 2, 3), strict=True):
        data.InstanceNumber = number
    result, content = outcome(made)
    assert result.outcome is Outcome.CONVERTED
    assert any("each of 6 planes lies where the source image lies" in text for text in result.evidence)
    assert not any("pixel on pixel" in text for text in result.evidence), "a borrowed place proves nothing"
    is_exact(made, content)


@pytest.mark.parametrize("spoil", ["one without", "two the same", "orientation", "position", "frame", "matrix"])
def test_references_that_prove_no_place_are_refused(spoil: str) -> None:
    """Not one to one, or at odds with what the slices do say."""
    made = study(own_uids=True)
    refer(made.mask, made.image)
    without_positions(made)
    if spoil == "one without":
        del made.mask[2].SourceImageSequence
    elif spoil == "two the same":
        made.mask[2].SourceImageSequence = made.mask[1].SourceImageSequence
    elif spoil == "orientation":
        made.mask[2].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    elif spoil == "position":
        made.mask[2].ImagePositionPatient = [0, 0, 0]
    elif spoil == "frame":
        made.mask[2].FrameOfReferenceUID = "1.2.3.4"
    else:
        for data in made.mask:
            data.Rows, data.Columns = 20, 24
    result, _ = outcome(made)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "no_geometry")


@pytest.mark.parametrize("referring", [True, False])
def test_frames_without_positions(referring: bool) -> None:
    """Placed by the references of each frame; else refused with a hint that helps, even where order is trusted."""
    made = study(Grid(), own_uids=True)
    data = enhanced(made.mask)
    for groups, source in zip(data.PerFrameFunctionalGroupsSequence, made.image, strict=True):
        del groups.PlanePositionSequence
        if referring:
            derivation = Dataset()
            refer([derivation], [source])
            groups.DerivationImageSequence = [derivation]
    made.mask = [data]
    result, content = outcome(made, trust_order=True)
    if referring:
        assert result.outcome is Outcome.CONVERTED
        is_exact(made, content)
    else:
        assert result.reason == "no_geometry"
        assert "trust" not in result.hint
        assert "SourceImageSequence" in result.hint


BIG = Grid(rows=48, columns=40, planes=10)


def on_grid(grid: Grid, others: list[Grid]) -> tuple[Result, list[str]]:
    """A mask on one grid, image series on others, of one frame of reference."""
    image = image_series(BIG)
    mask = mask_series(image_series(grid), blob(grid).astype(np.uint16), own_uids=True)
    series = []
    for number, other in enumerate(others):
        one = image_series(other, seed=0, SeriesDescription=f"series {number}", SeriesNumber=number + 3)
        for plane, data in enumerate(one):
            data.SeriesInstanceUID = f"1.2.3.{number}"
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.{plane}"
        series.append(one)
    made = Study(grid=grid, image=series[0], mask=mask, labels=blob(grid), others=series[1:])
    for data in (*mask, *(d for s in series for d in s)):
        data.FrameOfReferenceUID, data.StudyInstanceUID = image[0].FrameOfReferenceUID, image[0].StudyInstanceUID
    result, _ = outcome(made)
    return result, [str(s[0].SeriesInstanceUID) for s in series]


HALF = replace(BIG, rows=24, columns=20, spacing=(1.6, 1.4), origin=(-120.15, -94.85, 40.0))


def test_a_series_900_mm_away_does_not_overlap() -> None:
    """It is told how far, and nothing of MaximumVolumeChange."""
    result, _ = on_grid(HALF, [replace(BIG, origin=(-120.5, -95.25, 940.0))])
    assert result.reason == "geometry_mismatch"
    assert "does not overlap" in result.detail
    assert "875.0 mm apart along the source's normal" in result.evidence[0]
    assert "MaximumVolumeChange" not in result.hint


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_coarser_copy_belongs_to_the_series_of_its_extent(order: tuple[int, int]) -> None:
    """Not to a PET that reaches further; where both have its extent, nobody can tell."""
    pet = Grid(rows=20, columns=20, planes=10, spacing=(4.0, 4.0))
    grids = [BIG, pet]
    result, uids = on_grid(HALF, [grids[i] for i in order])
    assert (result.outcome, result.source_series_uid) == (Outcome.CONVERTED, uids[order.index(0)])
    assert on_grid(HALF, [BIG, BIG])[0].reason == "ambiguous_source"


def test_almost_the_same_spacing_has_its_residual_and_a_tolerance_that_helps() -> None:
    """0.977 instead of 0.9765625: 0.112 mm at the far corner of 256 pixels."""
    grid = Grid(rows=256, columns=256, planes=3, spacing=(0.9765625, 0.9765625))
    made = study(grid, own_uids=True, PixelSpacing=[0.977, 0.977])
    result, _ = outcome(made)
    assert "0.112 mm off the source's pixels at the far corner, PositionToleranceMm is 0.05" in result.evidence[0]
    assert "(0.000, 0.000, 0.000)" not in result.evidence[0]
    assert "PositionToleranceMm to 0.13" in result.hint
    assert outcome(made, position_tolerance_mm=0.13)[0].outcome is Outcome.CONVERTED


def test_a_turned_grid_has_its_angle() -> None:
    """One degree in the plane."""
    cos, sin = float(np.cos(np.radians(1))), float(np.sin(np.radians(1)))
    made = study(own_uids=True, ImageOrientationPatient=[cos, sin, 0, -sin, cos, 0])
    result, _ = outcome(made)
    assert "1.00 degrees turned in the plane" in result.evidence[0]
    assert "PositionToleranceMm to" not in result.hint


def test_irregular_planes_are_called_so() -> None:
    """A coarser stack with gaps that differ cannot be resampled."""
    result, _ = on_grid(replace(HALF, planes=4, gaps=(4, 1.08, 7)), [BIG])
    assert "irregular: 1.080 to 7.000 mm apart, so they cannot be resampled" in result.evidence[0]


@pytest.mark.parametrize("where", ["mask", "image"])
def test_one_capture_without_a_position_is_counted(where: str) -> None:
    """In the mask, or in the source: that series has to be sent again, nothing else."""
    made = study(own_uids=True)
    series = getattr(made, where)
    capture = dcmread(io.BytesIO(_bytes(series[2])))
    capture.SOPInstanceUID = capture.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    del capture.ImagePositionPatient
    series.append(capture)
    result, _ = outcome(made)
    assert result.reason == "no_geometry"
    assert "1 of 7 images of the series does not say where in the patient it lies" in result.detail
    assert "1 of 7 images without a position" in result.evidence
    assert "same study" not in result.hint


def _bytes(data: Dataset) -> bytes:
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_candidates_can_be_told_apart() -> None:
    """By what a radiographer sees of a series."""
    made = study()
    (candidate,) = outcome(made)[0].document()["candidates"]
    told = {key: candidate[key] for key in ("series_description", "series_number", "modality")}
    assert told == {"series_description": "CT thorax", "series_number": "3", "modality": "CT"}
