"""The outlines of a region in one plane: closed polygons half-way between inner and outer pixels, holes by keyholes.

A hole is joined to what surrounds it by a channel of no width, so that one polygon says it all, whichever rule a reader
fills it by. Channels run a quarter of a row beside the centres of pixels, so no centre lies on a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from contourpy import LineType, contour_generator
from scipy import ndimage

Polygon = npt.NDArray[np.float64]
"""Shape (points, 2), (row, column); closed, with the first point not repeated."""

BESIDE_CENTRES = 0.25


def outlines(inside: npt.NDArray[np.bool_]) -> list[Polygon]:
    """Polygons of the connected components of a plane, one each.

    Parameters
    ----------
    inside
        Shape (rows, columns).
    """
    labels, _ = ndimage.label(inside)  # pixels that touch at a corner only are of two components
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        component = np.pad(labels[box] == number, 1)
        corner = np.array([box[0].start - 1, box[1].start - 1], float)
        found.append(_outline(component) + corner)
    return found


def _outline(component: npt.NDArray[np.bool_]) -> Polygon:
    """The outline of one component, its holes joined."""
    rings = _rings(component)
    rings.sort(key=lambda ring: -abs(_area(ring)))
    polygon = _straightened(rings[0])
    for hole in sorted(rings[1:], key=lambda ring: -float(ring[:, 1].max())):
        polygon = _joined(polygon, _straightened(hole))
    return polygon


def _rings(component: npt.NDArray[np.bool_]) -> list[Polygon]:
    """Lines half-way between inner and outer pixels, closed; outer pixels that touch at a corner are connected."""
    drawn = contour_generator(z=component.astype(np.float64), name="serial", line_type=LineType.Separate)
    rings = cast("list[Polygon]", drawn.lines(0.5))  # what LineType.Separate gives: (column, row)
    return [np.asarray(ring[:-1, ::-1], np.float64) for ring in rings]


def _area(ring: Polygon) -> float:
    rows, columns = ring.T
    return float(np.dot(rows, np.roll(columns, -1)) - np.dot(columns, np.roll(rows, -1))) / 2


def _straightened(ring: Polygon) -> Polygon:
    """Without the points in the middle of straight lines."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    return np.asarray(ring[turns], np.float64)


def _joined(polygon: Polygon, hole: Polygon) -> Polygon:
    """A polygon with a hole that is joined to it on the right.

    Holes are joined from right to left, so the first line that the channel meets belongs to the polygon already.
    """
    rightmost = hole[np.argmax(hole[:, 1])]
    row = float(np.floor(rightmost[0])) + BESIDE_CENTRES
    if not _crossings(hole, row):
        row -= 2 * BESIDE_CENTRES
    start, column = max(_crossings(hole, row), key=lambda crossing: crossing[1])
    end, meets = min((c for c in _crossings(polygon, row) if c[1] > column), key=lambda crossing: crossing[1])
    there, here = np.array([[row, meets]]), np.array([[row, column]])
    around = np.roll(hole, -(start + 1), axis=0)
    return np.concatenate([polygon[: end + 1], there, here, around, here, there, polygon[end + 1 :]])


def _crossings(ring: Polygon, row: float) -> Sequence[tuple[int, float]]:
    """Where lines of a ring cross a row: (index of the line's first point, column)."""
    after = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 0], after[:, 0]), np.maximum(ring[:, 0], after[:, 0])
    found = []
    for index in np.flatnonzero((low < row) & (high > row)):
        (r0, c0), (r1, c1) = ring[index], after[index]
        found.append((int(index), float(c0 + (row - r0) / (r1 - r0) * (c1 - c0))))
    return found
