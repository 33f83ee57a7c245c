"""Planes, stacks and the way from grid to grid."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from orthanc_mask2seg.core.geometry import grid_map, place, plane_heights, planes_of, stack
from orthanc_mask2seg.model import PlaneGeometry, Reason, Refusal, VolumeGeometry
from tests.builders import Grid, image_series


def volume(grid: Grid, order: list[int] | None = None) -> VolumeGeometry:
    series = image_series(grid)
    planes = planes_of([series[i] for i in order] if order else series)
    assert not isinstance(planes, Refusal)
    stacked = stack(planes)
    assert not isinstance(stacked, Refusal)
    return stacked


def plane(**changes: object) -> PlaneGeometry:
    values = {
        "position": (0.0, 0.0, 0.0), "row_cosines": (1.0, 0.0, 0.0), "column_cosines": (0.0, 1.0, 0.0),
        "pixel_spacing": (1.0, 1.0), "rows": 4, "columns": 3,
    } | changes  # fmt: skip
    return PlaneGeometry(**values)  # type: ignore[arg-type]


def test_position_orders_planes_whatever_the_file_order() -> None:
    """Shuffled headers give the same stack."""
    shuffled = volume(Grid(), [3, 0, 5, 1, 4, 2])
    assert [p.sop_instance_uid for p in shuffled.planes] == [p.sop_instance_uid for p in volume(Grid()).planes]
    assert shuffled.spacing == pytest.approx(2.5)


def test_irregular_gaps_are_kept() -> None:
    """Gaps of 4, 1.08 and 7 mm are no regular volume, and each plane stands for half the way to its neighbours."""
    irregular = volume(Grid(planes=4, gaps=(4, 1.08, 7)))
    assert irregular.spacing is None
    assert plane_heights(irregular, None) == pytest.approx((4, 2.54, 4.04, 7))


def test_duplicate_positions_are_refused() -> None:
    """Two slices at one position are not a stack."""
    series = image_series(Grid())
    planes = planes_of([*series, series[2]])
    assert not isinstance(planes, Refusal)
    refused = stack(planes)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.DUPLICATE_POSITIONS
    assert "1 of 7 images lies" in refused.detail
    assert refused.evidence[:2] == (
        "1 position with more than one image, 6 different positions in all",
        "2 images at (-120.500, -95.250, 45.000) mm",
    )


def test_many_duplicates_are_summed_up() -> None:
    """The first five positions, and how many more."""
    series = image_series(Grid(planes=8))
    planes = planes_of([*series, *series, *series])
    assert not isinstance(planes, Refusal)
    refused = stack(planes)
    assert isinstance(refused, Refusal)
    assert "16 of 24 images lie" in refused.detail
    assert refused.evidence[1] == "3 images at (-120.500, -95.250, 40.000) mm"
    assert refused.evidence[6] == "and 3 more positions"


def test_no_position_names_what_helps() -> None:
    """Trust in the order pairs instances; frames of one instance have no InstanceNumber."""
    header = image_series(Grid(planes=1))[0]
    del header.ImagePositionPatient
    refused = planes_of([header])
    assert isinstance(refused, Refusal)
    assert "--trust-order (setting TrustOrder)" in refused.hint
    header.NumberOfFrames = 3
    refused = planes_of([header])
    assert isinstance(refused, Refusal)
    assert "--trust-order" not in refused.hint
    assert "3 frames in the image" in refused.evidence


def test_a_scout_in_the_series_is_described() -> None:
    """Which direction the odd one has."""
    series = [*image_series(Grid()), *image_series(Grid(planes=1, axes=((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))))]
    planes = planes_of(series)
    assert not isinstance(planes, Refusal)
    refused = stack(planes)
    assert isinstance(refused, Refusal)
    assert "1 of 7 images has another direction" in refused.detail
    assert "direction 0\\1\\0\\0\\0\\-1" in refused.evidence[1]


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("ImagePositionPatient", None, Reason.NO_GEOMETRY),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], Reason.INVALID_DICOM),
        ("ImageOrientationPatient", [2, 0, 0, 0, 1, 0], Reason.INVALID_DICOM),
        ("PixelSpacing", [0, 1], Reason.INVALID_DICOM),
        ("PixelSpacing", ["NaN", "1"], Reason.INVALID_DICOM),
        ("Rows", 0, Reason.INVALID_DICOM),
    ],
)
def test_impossible_headers_are_refused(keyword: str, value: object, reason: Reason) -> None:
    """Each with its reason."""
    header: Dataset = image_series(Grid(planes=1))[0]
    if value is None:
        delattr(header, keyword)
    else:
        header[keyword]._value = value
    refused = planes_of([header])
    assert isinstance(refused, Refusal)
    assert refused.reason is reason
    assert refused.hint
    assert refused.evidence


def test_flips_and_swaps_are_undone_in_patient_space() -> None:
    """A plane whose axes are swapped and reversed maps pixel on pixel."""
    target = plane(position=(0.0, 0.0, 0.0), rows=4, columns=3)
    swapped = plane(
        position=(2.0, 3.0, 0.0), row_cosines=(0.0, -1.0, 0.0), column_cosines=(-1.0, 0.0, 0.0), rows=3, columns=4
    )
    way = grid_map(swapped, target)
    assert way is not None
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    placed = place(pixels, way, 4, 3)
    assert placed is not None
    for row in range(3):
        for column in range(4):
            x, y = 2 - row, 3 - column
            assert placed[y, x] == pixels[row, column]


def test_a_cropped_mask_is_pasted_and_an_overhanging_one_refused() -> None:
    """Foreground outside the source's matrix is never cut off silently."""
    target = plane(rows=6, columns=6)
    crop = plane(position=(2.0, 1.0, 0.0), rows=3, columns=3)
    way = grid_map(crop, target)
    assert way is not None
    placed = place(np.ones((3, 3), np.uint8), way, 6, 6)
    assert placed is not None
    assert placed[1:4, 2:5].all()
    assert placed.sum() == 9
    outside = grid_map(plane(position=(5.0, 0.0, 0.0), rows=3, columns=3), target)
    assert outside is not None
    assert place(np.ones((3, 3), np.uint8), outside, 6, 6) is None


@pytest.mark.parametrize("shift", [0.06, 0.3, 0.5])
def test_pixels_between_pixels_do_not_match(shift: float) -> None:
    """A shift beyond the tolerance has no exact way."""
    assert grid_map(plane(position=(shift, 0.0, 0.0)), plane()) is None
    assert grid_map(plane(position=(0.02, 0.0, 0.0)), plane()) is not None


def test_a_slightly_other_spacing_is_seen_at_the_far_corner() -> None:
    """0.1 % of spacing is half a pixel after 500 columns."""
    assert grid_map(plane(columns=512, rows=512, pixel_spacing=(1.001, 1.001)), plane(columns=512, rows=512)) is None


def test_a_plane_that_leans_out_is_another_plane() -> None:
    """0.05 degrees are nothing at the first voxel and 0.4 mm at the far corner."""
    lean = 0.0009
    leaning = plane(row_cosines=(np.cos(lean), 0.0, np.sin(lean)), rows=512, columns=512)
    flat = plane(rows=512, columns=512)
    assert grid_map(leaning, flat) is None
    assert grid_map(plane(row_cosines=(np.cos(lean), 0.0, np.sin(lean))), plane()) is not None
