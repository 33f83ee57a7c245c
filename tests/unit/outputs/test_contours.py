"""Outlines hold every pixel and no other, with holes, islands in holes, and corners that touch."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.draw import polygon2mask

from orthanc_mask2seg.outputs.contours import outlines


def filled(shape: tuple[int, ...], polygons: list[np.ndarray]) -> np.ndarray:
    """How many polygons each pixel is in."""
    return sum((polygon2mask(shape, p).astype(int) for p in polygons), np.zeros(shape, int))


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_filled_again_they_are_the_mask(mask: np.ndarray) -> None:
    assert np.array_equal(filled(mask.shape, outlines(mask)), mask)


def test_one_polygon_for_each_component() -> None:
    """An island in a hole is one of its own; two holes are joined to what surrounds them."""
    mask = np.zeros((20, 30), bool)
    mask[2:18, 2:28] = True
    mask[5:15, 5:15] = False
    mask[8:12, 8:12] = True
    mask[6:10, 20:24] = False
    polygons = outlines(mask)
    assert len(polygons) == 2
    assert np.array_equal(filled(mask.shape, polygons), mask)


def test_straight_lines_have_no_points_in_between() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:35] = True
    (polygon,) = outlines(mask)
    assert len(polygon) == 8
