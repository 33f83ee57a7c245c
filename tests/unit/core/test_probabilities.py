"""Probability maps: refused, cut at a threshold, or kept as fractions, as the site has decided."""

from __future__ import annotations

import io
from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, image_series, mask_series, same_points, segments_of

GRID = Grid(rows=40, columns=36, planes=4)


def ramps() -> np.ndarray:
    """Smooth bumps from 0 to 255, shape (planes, rows, columns)."""
    rows, columns = np.mgrid[: GRID.rows, : GRID.columns]
    planes = [255 / (1 + np.exp((np.hypot(rows - 17.3, columns - 20.1) - 6 - p) / 2.5)) for p in range(GRID.planes)]
    return np.array(planes).astype(np.uint8)


def convert(
    settings: Settings, *, named: bool = True, description: str = "tumour mask"
) -> tuple[Result, MemoryArchive]:
    image = image_series(GRID)
    made = Study(
        grid=GRID, image=image, mask=mask_series(image, ramps(), BitsStored=8, description=description), labels=ramps()
    )
    for data in made.mask:
        data.RescaleIntercept = "0"
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=named), settings)
    assert not isinstance(ended, pipeline.NotYet)
    return ended[0], archive


def test_refused_by_default() -> None:
    """Nobody has said where to cut."""
    result, _ = convert(Settings())
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "not_discrete")


def test_a_map_that_nobody_calls_a_mask_is_passed_over() -> None:
    """An image by its looks."""
    result, _ = convert(Settings(fractional=True), named=False, description="smooth bumps")
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "not_a_mask")


def test_a_threshold_cuts() -> None:
    """Pixels from the threshold on are foreground, to the voxel."""
    result, archive = convert(Settings(threshold=128.0))
    assert result.outcome is Outcome.CONVERTED
    assert result.outputs[0].orthanc_id is not None
    (points,) = segments_of(archive.content(result.outputs[0].orthanc_id)).values()
    assert same_points(points, GRID.points((ramps() >= 128).astype(np.uint8))[1])


def test_fractions_are_kept() -> None:
    """A FRACTIONAL segmentation holds every probability, as highdicom reads it."""
    result, archive = convert(Settings(fractional=True))
    assert result.outcome is Outcome.CONVERTED
    assert result.outputs[0].orthanc_id is not None
    seg = hd.seg.segread(io.BytesIO(archive.content(result.outputs[0].orthanc_id)))
    assert seg.SegmentationType == "FRACTIONAL"
    values = seg.get_volume(rescale_fractional=False).array[..., 0]
    assert (values == ramps()).all() or (values[::-1] == ramps()).all()
    assert result.segments[0].voxels == int((ramps() >= 128).sum())


@pytest.mark.parametrize("maximum", [100.0, 0.5])
def test_values_beyond_the_maximum_are_refused(maximum: float) -> None:
    """A maximum that the values exceed is not their maximum."""
    result, _ = convert(replace(Settings(fractional=True), fractional_maximum=maximum))
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "not_discrete")
