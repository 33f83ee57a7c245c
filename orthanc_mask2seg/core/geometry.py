"""Where in the patient: planes, stacks of planes, and the way from one pixel grid to another.

Only ImagePositionPatient, ImageOrientationPatient and PixelSpacing decide (PS3.3 C.7.6.2.1.1): never InstanceNumber,
file order, plane names or array shapes. Lengths are in mm, positions in LPS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from orthanc_mask2seg.core.plane_headers import (
    DAMAGED,
    frames_of,
    integer,
    no_frames,
    plane_geometry,
    some_without_position,
    undescribed_frames,
)
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import LabelArray, Plane, PlaneGeometry, Reason, Refusal, Uid, VolumeGeometry

POSITION_TOLERANCE_MM = 0.05
"""Planes and pixels closer than this are the same: real pairs of one scan differ by 0.005 to 0.02 mm."""

DIRECTION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine between parallel planes (0.06 degrees). Where pixels have to fall on pixels,
the far corners are compared as well: over 250 mm this would be 0.25 mm."""

CLEARLY_NEAREST = 0.4
"""Share of a pixel, or of the way to the next plane, beyond which the nearest one is not clearly meant."""

SPACING_TOLERANCE_MM = 1e-2
"""Distances between neighbouring planes that differ by less are called regular."""

SHOWN_POSITIONS = 5
"""Positions with more than one image that a refusal lists."""

FloatArray = npt.NDArray[np.float64]


def planes_of(headers: Sequence[Dataset]) -> tuple[Plane, ...] | Refusal:
    """Planes of a series, in the order of its headers (and of the frames within each).

    Parameters
    ----------
    headers
        Data sets of the instances; pixel data are not needed.

    Returns
    -------
    tuple of Plane, or Refusal
        `no_geometry` where an instance has no position, `invalid_dicom` where a value cannot be.
    """
    planes: list[Plane] = []
    lost: list[Refusal] = []
    for index, header in enumerate(headers):
        undescribed = undescribed_frames(header)
        if undescribed is not None:
            return undescribed
        for frame_number, groups in frames_of(header):
            geometry = plane_geometry(header, groups)
            if isinstance(geometry, Refusal):
                if geometry.reason is not Reason.NO_GEOMETRY:
                    return geometry
                lost.append(geometry)
                continue
            planes.append(
                Plane(
                    geometry=geometry,
                    sop_class_uid=Uid(str(header.get("SOPClassUID", ""))),
                    sop_instance_uid=Uid(str(header.get("SOPInstanceUID", ""))),
                    index=index,
                    instance_number=integer(header.get("InstanceNumber")),
                    frame_number=frame_number,
                )
            )
    if lost:
        return some_without_position(lost[0], len(lost), len(lost) + len(planes)) if planes else lost[0]
    return tuple(planes) if planes else no_frames(f"0 frames in {counted(len(headers), 'image')}")


def normal_of(plane: PlaneGeometry) -> FloatArray:
    """Unit normal, shape (3,): cross product of row and column cosines."""
    return np.cross(plane.row_cosines, plane.column_cosines)


def parallel(a: PlaneGeometry, b: PlaneGeometry) -> bool:
    """Whether two planes are parallel, whichever way their normals point."""
    return bool(np.abs(np.cross(normal_of(a), normal_of(b))).max() <= DIRECTION_TOLERANCE)


def stack(planes: Sequence[Plane], tolerance: float = POSITION_TOLERANCE_MM) -> VolumeGeometry | Refusal:
    """Order planes along their common normal.

    Parameters
    ----------
    planes
        At least one plane, in any order.
    tolerance
        Planes closer than this (mm) lie at the same position.

    Returns
    -------
    VolumeGeometry, or Refusal
        `duplicate_positions` where two planes coincide, `geometry_mismatch` where they are not parallel,
        `invalid_dicom` where a position is not finite.
    """
    first = planes[0].geometry
    positions = np.array([p.geometry.position for p in planes])
    if not np.isfinite(positions).all():
        return Refusal(
            reason=Reason.INVALID_DICOM,
            detail="The position of an image is not a finite number.",
            hint=DAMAGED,
            evidence=(f"{counted(int((~np.isfinite(positions)).any(axis=1).sum()), 'image')} of {len(planes)}",),
        )
    crooked = [p.geometry for p in planes if not _same_axes(p.geometry, first, tolerance)]
    if crooked:
        return Refusal(
            reason=Reason.GEOMETRY_MISMATCH,
            detail=f"The series does not form one stack: {len(crooked)} of {len(planes)} images "
            f"{'has' if len(crooked) == 1 else 'have'} another direction, matrix or pixel spacing than the first.",
            hint="Separate scouts and other orientations from the series, then send it again.",
            evidence=(f"the first image: {_axes(first)}", f"another image: {_axes(crooked[0])}"),
        )
    normal = normal_of(first)
    distances = positions @ normal
    order = np.argsort(distances, kind="stable")
    ordered = distances[order]
    gaps = np.diff(ordered)
    if gaps.size and gaps.min() <= tolerance:
        return _duplicates(positions[order], gaps, tolerance)
    regular = bool(gaps.size) and float(gaps.max() - gaps.min()) <= SPACING_TOLERANCE_MM and _upright(positions[order])
    return VolumeGeometry(
        planes=tuple(planes[i] for i in order),
        normal=(float(normal[0]), float(normal[1]), float(normal[2])),
        distances=tuple(float(d) for d in ordered),
        spacing=float(gaps.mean()) if regular else None,
    )


def _same_axes(a: PlaneGeometry, b: PlaneGeometry, tolerance: float) -> bool:
    """Whether two planes have the same matrix, and their far corners the same place relative to the first voxel."""
    if (a.rows, a.columns) != (b.rows, b.columns):
        return False
    along = [np.multiply(p.row_cosines, p.pixel_spacing[1] * (p.columns - 1)) for p in (a, b)]
    down = [np.multiply(p.column_cosines, p.pixel_spacing[0] * (p.rows - 1)) for p in (a, b)]
    return bool(max(np.abs(along[0] - along[1]).max(), np.abs(down[0] - down[1]).max()) <= tolerance)


def _upright(positions: FloatArray) -> bool:
    """Whether the first voxels lie on one straight line at equal steps (also under a gantry tilt)."""
    steps = np.diff(positions, axis=0)
    return bool(np.abs(steps - steps.mean(axis=0)).max() <= SPACING_TOLERANCE_MM)


def _axes(plane: PlaneGeometry) -> str:
    directions = "\\".join(f"{v:g}" for v in (*plane.row_cosines, *plane.column_cosines))
    spacing = "\\".join(f"{v:g}" for v in plane.pixel_spacing)
    return f"direction {directions}, {plane.rows} x {plane.columns}, pixel spacing {spacing} mm"


def _duplicates(positions: FloatArray, gaps: FloatArray, tolerance: float) -> Refusal:
    """Refusal of planes at one place.

    Parameters
    ----------
    positions
        Of the planes in their order, shape (planes, 3).
    gaps
        Between neighbours, shape (planes - 1,).
    """
    starts = np.flatnonzero(np.concatenate([[True], gaps > tolerance]))
    sizes = np.diff([*starts, len(positions)])
    shared = [(positions[start], int(size)) for start, size in zip(starts, sizes, strict=True) if size > 1]
    surplus = len(positions) - len(starts)
    texts = [f"{size} images at ({', '.join(f'{v:.3f}' for v in place)}) mm" for place, size in shared]
    left_out = len(texts) - SHOWN_POSITIONS
    return Refusal(
        reason=Reason.DUPLICATE_POSITIONS,
        detail=f"{surplus} of {len(positions)} images {'lies' if surplus == 1 else 'lie'} at the position of another "
        "image of the same series.",
        hint="Send each position once; several phases, echoes or labels belong into series of their own.",
        evidence=(
            f"{counted(len(shared), 'position')} with more than one image, {len(starts)} different positions in all",
            *texts[:SHOWN_POSITIONS],
            *((f"and {counted(left_out, 'more position')}",) if left_out > 0 else ()),
            f"smallest distance between two images: {gaps.min():.4f} mm",
        ),
    )


@dataclass(frozen=True, slots=True)
class GridMap:
    """Way from the pixels of one plane to those of another plane in the same place.

    ``(target_row, target_column) = matrix @ (row, column) + offset``

    Attributes
    ----------
    matrix
        Shape (2, 2), integers, each row and column holding one +1 or -1 (a flip, a swap of axes, or neither).
    offset
        Shape (2,), integers.
    residual_mm
        How far the real positions are from these integers, at the worst corner.
    """

    matrix: tuple[tuple[int, int], tuple[int, int]]
    offset: tuple[int, int]
    residual_mm: float

    def covers(self, source: tuple[int, int], target: tuple[int, int]) -> bool:
        """Whether a plane of (rows, columns) `source` covers one of `target` from corner to corner."""
        first = np.array(self.offset)
        last = np.array(self.matrix) @ (np.array(source) - 1) + first
        low, high = np.minimum(first, last), np.maximum(first, last)
        return bool((low == 0).all() and (high == np.array(target) - 1).all())

    @property
    def identical(self) -> bool:
        """Whether every pixel keeps its row and column."""
        return self.matrix == ((1, 0), (0, 1)) and self.offset == (0, 0)


def index_affine(source: PlaneGeometry, target: PlaneGeometry) -> tuple[FloatArray, FloatArray]:
    """In-plane affine map of pixel indices, ignoring the distance between the planes.

    Returns
    -------
    matrix, offset
        Shapes (2, 2) and (2,): ``target (row, column) = matrix @ source (row, column) + offset``, in pixels.
    """
    axes = np.array([target.column_cosines, target.row_cosines])
    scale = 1.0 / np.array(target.pixel_spacing)
    steps = np.array(
        [
            np.multiply(source.column_cosines, source.pixel_spacing[0]),
            np.multiply(source.row_cosines, source.pixel_spacing[1]),
        ]
    )
    matrix = (axes @ steps.T) * scale[:, None]
    offset = (axes @ np.subtract(source.position, target.position)) * scale
    return matrix, offset


def grid_map(source: PlaneGeometry, target: PlaneGeometry, tolerance: float = POSITION_TOLERANCE_MM) -> GridMap | None:
    """Exact way from the pixels of `source` to those of `target`, or None where pixels do not fall on pixels.

    Parameters
    ----------
    tolerance
        Largest distance (mm) at any corner between a pixel of `source` and the pixel of `target` that it maps to.
    """
    if leaning(source, target) > tolerance:
        return None
    way = nearest_map(source, target)
    if way is None or way.residual_mm > min(tolerance, CLEARLY_NEAREST * min(target.pixel_spacing)):
        return None
    return way


def nearest_map(source: PlaneGeometry, target: PlaneGeometry) -> GridMap | None:
    """The way of `grid_map`, however far (`residual_mm`) pixels lie from pixels; None where no such way is near."""
    matrix, offset = index_affine(source, target)
    whole, whole_offset = np.rint(matrix), np.rint(offset)
    if not (np.abs(whole).sum(axis=0) == 1).all() or not (np.abs(whole).sum(axis=1) == 1).all():
        return None
    corners = np.array([[r, c] for r in (0, source.rows - 1) for c in (0, source.columns - 1)], dtype=float)
    error = corners @ (matrix - whole).T + (offset - whole_offset)
    residual = float(np.abs(error * np.array(target.pixel_spacing)).max())
    m = whole.astype(int).tolist()
    o = whole_offset.astype(int).tolist()
    return GridMap(((m[0][0], m[0][1]), (m[1][0], m[1][1])), (o[0], o[1]), residual)


def angles(a: PlaneGeometry, b: PlaneGeometry) -> tuple[float, float]:
    """Degrees between the normals of two planes, and between their axes in the plane (swaps and flips are none)."""
    lean = math.degrees(math.asin(min(1.0, float(np.linalg.norm(np.cross(normal_of(a), normal_of(b)))))))
    along, across = (abs(float(np.dot(a.row_cosines, axis))) for axis in (b.row_cosines, b.column_cosines))
    turned = math.degrees(math.atan2(across, along))
    return lean, min(turned, 90 - turned)


def leaning(source: PlaneGeometry, target: PlaneGeometry) -> float:
    """How far (mm) the far corners of one plane rise out of the other's direction."""
    normal = normal_of(target)
    along = np.multiply(source.row_cosines, source.pixel_spacing[1] * (source.columns - 1))
    down = np.multiply(source.column_cosines, source.pixel_spacing[0] * (source.rows - 1))
    return float(max(abs(normal @ along), abs(normal @ down), abs(normal @ (along + down))))


def place(pixels: LabelArray, way: GridMap, rows: int, columns: int) -> LabelArray | None:
    """Pixels of one plane, moved onto a grid of rows x columns; None where something other than 0 falls outside.

    Parameters
    ----------
    pixels
        Shape (rows, columns) of the plane that the way starts from; 0 is background.
    """
    if way.identical and pixels.shape == (rows, columns):
        return pixels
    turned = pixels if way.matrix[0][0] else pixels.T
    signs = (sum(way.matrix[0]), sum(way.matrix[1]))
    turned = turned[:: signs[0], :: signs[1]]
    low = [
        offset if sign > 0 else offset - (size - 1)
        for offset, sign, size in zip(way.offset, signs, turned.shape, strict=True)
    ]
    result = np.zeros((rows, columns), pixels.dtype)
    inside = [
        (max(0, lo), min(size, lo + length))
        for lo, size, length in zip(low, (rows, columns), turned.shape, strict=True)
    ]
    (r0, r1), (c0, c1) = inside
    if r1 <= r0 or c1 <= c0:
        return None if turned.any() else result
    part = turned[r0 - low[0] : r1 - low[0], c0 - low[1] : c1 - low[1]]
    if np.count_nonzero(part) != np.count_nonzero(turned):
        return None
    result[r0:r1, c0:c1] = part
    return result


def plane_heights(volume: VolumeGeometry, slice_thickness: float | None) -> tuple[float, ...]:
    """Thickness (mm) that each plane stands for: half the way to each neighbour, as it is for irregular stacks.

    A single plane stands for its SliceThickness; unknown (nan) where that is not given.
    """
    distances = np.array(volume.distances)
    if len(distances) == 1:
        return (slice_thickness or math.nan,)
    if volume.spacing is not None:
        return (volume.spacing,) * len(distances)
    edges = np.concatenate(
        [
            [distances[0] - (distances[1] - distances[0]) / 2],
            (distances[1:] + distances[:-1]) / 2,
            [distances[-1] + (distances[-1] - distances[-2]) / 2],
        ]
    )
    return tuple(float(h) for h in np.diff(edges))
