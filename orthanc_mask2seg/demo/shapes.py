"""Shapes that anatomy is drawn with: signed distances in mm, soft edges, smooth random fields, capsules.

A distance is negative inside a shape. Coverage is the share of a voxel that a shape fills, from 0 to 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Point = tuple[float, float, float]

EDGE_MM = 1.1
"""Width of the soft edge between two tissues: the point spread of the scanner in the plane, mm."""

SLICE_OFFSETS_MM = (-1.5, -0.5, 0.5, 1.5)
"""Where a slice of 4 mm is sampled along z, mm, so that thin structures get their partial volume."""


class Grid(NamedTuple):
    """Voxel centres along each axis, LPS mm."""

    z: Array
    y: Array
    x: Array


class Capsule(NamedTuple):
    """A tube between two points with a radius at each end, LPS mm."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


def ellipse(x: Array, y: Array, centre: tuple[float, float], axes: tuple[float, float], angle: float = 0.0) -> Array:
    """Signed distance to an ellipse, to first order (mm).

    Parameters
    ----------
    axes
        Semi-axes, mm.
    angle
        Rotation from x towards y, degrees.
    """
    turn = np.deg2rad(angle)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    u, v = (c * dx + s * dy) / np.float32(axes[0]), (c * dy - s * dx) / np.float32(axes[1])
    q = np.sqrt(u * u + v * v)
    slope = np.sqrt((u / np.float32(axes[0])) ** 2 + (v / np.float32(axes[1])) ** 2) + np.float32(1e-6)
    return np.asarray(q * (q - 1) / slope)


def ellipsoid_section(at: tuple[Array, Array, float], centre: Point, axes: Point, angle: float = 0.0) -> Array | None:
    """Signed distance (mm) to the section of an ellipsoid with the plane `at` = (x, y, z); None where they miss."""
    x, y, z = at
    rest = 1 - ((z - centre[2]) / axes[2]) ** 2
    if rest <= 0:
        return None
    scale = rest**0.5
    return ellipse(x, y, centre[:2], (axes[0] * scale, axes[1] * scale), angle)


def smooth_min(a: Array, b: Array, radius: float) -> Array:
    """Union of two shapes with a fillet of `radius` mm."""
    h = np.maximum(np.float32(radius) - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h / np.float32(4 * radius)


def line(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float]) -> Array:
    """Distance (mm) to a line segment in the plane."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    t = np.clip((px * np.float32(dx) + py * np.float32(dy)) / np.float32(dx * dx + dy * dy), 0, 1)
    return np.hypot(px - t * np.float32(dx), py - t * np.float32(dy))


def cover(distance: Array, edge: float = EDGE_MM) -> Array:
    """Coverage of each voxel by a shape."""
    return np.asarray(np.clip(np.float32(0.5) - distance / np.float32(edge), 0, 1))


def paint(image: Array, coverage: Array, value: float | Array) -> None:
    """Put a tissue of `value` HU over what is there, in place."""
    image += coverage * (value - image)


def paint_bone(image: Array, distance: Array, cortex: float, hu: tuple[float, float]) -> None:
    """Paint a bone: a cortex `cortex` mm thick around marrow; `hu` = (cortex, marrow)."""
    paint(image, cover(distance), hu[0])
    paint(image, cover(distance + np.float32(cortex), 1.6), hu[1])


class Field:
    """A smooth random field with mean 0 and standard deviation about 1, evaluated plane by plane.

    Parameters
    ----------
    wavelength
        Distance between its nodes, mm.
    """

    def __init__(self, rng: np.random.Generator, grid: Grid, wavelength: float) -> None:
        self._z, self._y, self._x = (_spline(axis, wavelength) for axis in grid)
        nodes = tuple(int(taps.first.max()) + 4 for taps in (self._z, self._y, self._x))
        self._nodes = rng.standard_normal(nodes, dtype=np.float32) * np.float32(1.8)

    def plane(self, index: int) -> Array:
        """The field on one plane of its grid."""
        first, weights = int(self._z.first[index]), self._z.weights[:, index]
        section = (weights[:, None, None] * self._nodes[first : first + 4]).sum(axis=0)
        wide = _blend(self._x, np.ascontiguousarray(section.T))
        return _blend(self._y, np.ascontiguousarray(wide.T))


class _Taps(NamedTuple):
    """Cubic B-spline along one axis: of each position the first of its 4 nodes, and their weights (4, positions)."""

    first: npt.NDArray[np.intp]
    weights: Array


def _spline(axis: Array, wavelength: float) -> _Taps:
    at = (axis - axis.min()) / wavelength
    first = at.astype(np.intp)
    t = (at - first).astype(np.float32)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return _Taps(first, np.stack(weights).astype(np.float32) / np.float32(6))


def _blend(taps: _Taps, nodes: Array) -> Array:
    """Weighted sums of rows."""
    found = taps.weights[0][:, None] * nodes[taps.first]
    for i in range(1, 4):
        found += taps.weights[i][:, None] * nodes[taps.first + i]
    return np.asarray(found)


class Stamp(NamedTuple):
    """Coverage of a box of voxels by a capsule."""

    box: tuple[slice, slice, slice]
    coverage: Array


def stamp(grid: Grid, capsule: Capsule, grow: float = 0.0, edge: float = EDGE_MM) -> Stamp | None:
    """Coverage by a capsule, averaged over the slice thickness; None where it lies outside the grid.

    Parameters
    ----------
    grow
        Added to both radii, mm.
    """
    start, end, r0, r1 = capsule
    reach = max(r0, r1) + grow + edge
    box = _box(grid, start, end, reach)
    if box is None:
        return None
    depth = grid.z[box[0]][:, None] + np.asarray(SLICE_OFFSETS_MM, np.float32)
    z, y, x = depth[:, :, None, None] - start[2], grid.y[box[1]][:, None] - start[1], grid.x[box[2]] - start[0]
    axis = [end[i] - start[i] for i in range(3)]
    length = max(sum(a * a for a in axis), 1e-6)
    t = np.clip((z * (axis[2] / length) + y * (axis[1] / length)) + x * (axis[0] / length), 0, 1)
    d = np.sqrt((z - t * axis[2]) ** 2 + (y - t * axis[1]) ** 2 + (x - t * axis[0]) ** 2)
    return Stamp(box, cover(d - (t * (r1 - r0) + (r0 + grow)), edge).mean(axis=1, dtype=np.float32))


def _box(grid: Grid, start: Point, end: Point, reach: float) -> tuple[slice, slice, slice] | None:
    """Voxels within `reach` mm (and the slice thickness) of the line between two points."""
    found = []
    for axis, i, extra in ((grid.z, 2, 2.0), (grid.y, 1, 0.0), (grid.x, 0, 0.0)):
        low, high = min(start[i], end[i]) - reach - extra, max(start[i], end[i]) + reach + extra
        first, last = (int(n) for n in np.searchsorted(axis, (low, high)))
        if first == last:
            return None
        found.append(slice(first, last))
    return found[0], found[1], found[2]


def paint_capsule(image: Array, grid: Grid, capsule: Capsule, value: float) -> None:
    """Paint a tube of `value` HU into a volume, in place."""
    found = stamp(grid, capsule)
    if found is not None:
        paint(image[found.box], found.coverage, value)


def mark_capsule(mark: npt.NDArray[np.uint8], grid: Grid, capsule: Capsule, grow: float, edge: float) -> None:
    """Raise an 8-bit coverage volume (255 is full) to that of a tube, in place."""
    found = stamp(grid, capsule, grow, edge)
    if found is not None:
        part: npt.NDArray[Any] = mark[found.box]
        np.maximum(part, (found.coverage * 255).astype(np.uint8), out=part)
