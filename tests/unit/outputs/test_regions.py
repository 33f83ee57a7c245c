"""Any segmentation is read onto the grid of its source."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import dcmread

from orthanc_mask2seg.model import Reason, Refusal
from orthanc_mask2seg.outputs.regions import Regions, read_regions
from tests.builders import Grid, blob, study, to_bytes
from tests.unit.outputs.made import converted, opened, source_of

GRID = Grid(rows=23, columns=19)


@pytest.mark.parametrize("viewers", [("slicer",), ("ohif>=3.13", "simpleitk"), ("ohif>=3.13",)])
def test_every_encoding_gives_the_voxels_of_the_mask(viewers: tuple[str, ...]) -> None:
    labels = blob(GRID) + 2 * blob(GRID, centre=(0.3, 0.8, 0.2)) * (blob(GRID) == 0)
    regions, _, _ = opened(study(GRID, labels=labels), viewers=viewers)
    assert [region.number for region in regions.regions] == [1, 2]
    for region in regions.regions:
        whole = np.zeros(labels.shape, bool)
        whole[region.box] = region.voxels
        assert np.array_equal(whole, labels == region.number)
        assert region.count == np.count_nonzero(labels == region.number)


def test_frames_go_where_they_say_that_they_lie() -> None:
    """Another writer's: frames flipped, and their positions and directions with them."""
    made = study(GRID)
    archive, content = converted(made, viewers=("slicer",))
    data = dcmread(io.BytesIO(content))
    frames = np.atleast_3d(data.pixel_array)[:, ::-1, :]
    for item in data.PerFrameFunctionalGroupsSequence:
        place = item.PlanePositionSequence[0]
        down = (GRID.rows - 1) * GRID.spacing[0] * np.array(GRID.axes[1])
        place.ImagePositionPatient = [f"{v:.6f}" for v in np.array(place.ImagePositionPatient, float) + down]
    orientation = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    data.PixelData = packed + b"\0" * (len(packed) % 2)
    regions = read_regions(to_bytes(data), source_of(archive, made))
    assert isinstance(regions, Regions), regions
    whole = np.zeros(made.labels.shape, bool)
    whole[regions.regions[0].box] = regions.regions[0].voxels
    assert np.array_equal(whole, made.labels > 0)


def test_a_segmentation_of_other_images_is_refused() -> None:
    archive, content = converted(study(GRID))
    other = study(Grid(rows=23, columns=19, origin=(-120.5, -95.25, 41.1)), seed=1)
    refused = read_regions(content, source_of(other.archive(), other))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.GEOMETRY_MISMATCH
    del archive


def test_what_is_no_segmentation_is_refused() -> None:
    made = study(GRID)
    for content in (to_bytes(made.image[0]), b"nothing of the kind"):
        refused = read_regions(content, source_of(made.archive(), made))
        assert isinstance(refused, Refusal)
        assert refused.reason is Reason.INVALID_DICOM
