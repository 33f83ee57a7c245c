"""Where in the patient: planes, stacks of planes, and the way from one pixel grid to another.

Only ImagePositionPatient, ImageOrientationPatient and PixelSpacing decide (PS3.3 C.7.6.2.1.1): never InstanceNumber,
file order, plane names or array shapes. Lengths are in mm, positions in LPS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from orthanc_mask2seg.model import LabelArray, Plane, PlaneGeometry, Reason, Refusal, Uid, VolumeGeometry

POSITION_TOLERANCE_MM = 0.05
"""Planes and pixels closer than this are the same: real pairs of one scan differ by 0.005 to 0.02 mm."""

DIRECTION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine between parallel planes (0.06 degrees). Where pixels have to fall on pixels,
the far corners are compared as well: over 250 mm this would be 0.25 mm."""

ORTHOGONALITY_TOLERANCE = 1e-2
"""Largest absolute dot product of row and column cosines, and largest deviation of their length from 1."""

CLEARLY_NEAREST = 0.4
"""Share of a pixel, or of the way to the next plane, beyond which the nearest one is not clearly meant."""

SPACING_TOLERANCE_MM = 1e-2
"""Distances between neighbouring planes that differ by less are called regular."""

MAXIMUM_MATRIX = 16384
"""Rows and Columns beyond this are not an image of a patient."""

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
    for index, header in enumerate(headers):
        described = header.get("PerFrameFunctionalGroupsSequence")
        if described and len(described) != (_integer(header.get("NumberOfFrames")) or 1):
            return _no_frames()
        for frame_number, groups in _frames(header):
            geometry = _plane_geometry(header, groups)
            if isinstance(geometry, Refusal):
                return geometry
            planes.append(
                Plane(
                    geometry=geometry,
                    sop_class_uid=Uid(str(header.get("SOPClassUID", ""))),
                    sop_instance_uid=Uid(str(header.get("SOPInstanceUID", ""))),
                    index=index,
                    instance_number=_integer(header.get("InstanceNumber")),
                    frame_number=frame_number,
                )
            )
    return tuple(planes) if planes else _no_frames()


def _no_frames() -> Refusal:
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail="A multi-frame image has no frames, or does not describe each of them.",
        hint="Export the series again; the tool that wrote it damaged its headers.",
    )


def _frames(header: Dataset) -> Iterator[tuple[int | None, tuple[Dataset, ...]]]:
    """(frame number, functional groups) of each frame; (None, ()) of a single-frame instance."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        shared = tuple(header.get("SharedFunctionalGroupsSequence") or ())
        for number, groups in enumerate(per_frame, start=1):
            yield number, (groups, *shared)
        return
    frames = _integer(header.get("NumberOfFrames")) or 1
    for number in range(1, frames + 1):
        yield (None if frames == 1 else number), ()


def _plane_geometry(header: Dataset, groups: tuple[Dataset, ...]) -> PlaneGeometry | Refusal:
    position = _numbers(_find(header, groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(_find(header, groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _numbers(_find(header, groups, "PixelMeasuresSequence", "PixelSpacing"), 2)
    if position is None or orientation is None or spacing is None:
        return _no_geometry(position is None, orientation is None, spacing is None)
    if not groups and (_integer(header.get("NumberOfFrames")) or 1) > 1:
        return Refusal(
            reason=Reason.NO_GEOMETRY,
            detail="This multi-frame image does not say where its frames lie.",
            hint="Export the mask as single-frame images, or as an enhanced multi-frame image with plane positions.",
        )
    rows, columns = _integer(header.get("Rows")) or 0, _integer(header.get("Columns")) or 0
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    problem = _impossible(row, column, spacing, rows, columns)
    if problem:
        return Refusal(
            reason=Reason.INVALID_DICOM,
            detail=f"The geometry of an image cannot be right: {problem}.",
            hint="Export the series again; the tool that wrote it damaged its headers.",
        )
    row /= np.linalg.norm(row)
    column /= np.linalg.norm(column)
    return PlaneGeometry(
        position=(position[0], position[1], position[2]),
        row_cosines=(float(row[0]), float(row[1]), float(row[2])),
        column_cosines=(float(column[0]), float(column[1]), float(column[2])),
        pixel_spacing=(spacing[0], spacing[1]),
        rows=rows,
        columns=columns,
    )


def _find(header: Dataset, groups: tuple[Dataset, ...], sequence: str, keyword: str) -> object:
    for group in groups:
        items = group.get(sequence)
        if items and keyword in items[0]:
            return items[0][keyword].value
    return header.get(keyword)


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None where they are not there."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        numbers = tuple(float(v) for v in value)  # type: ignore[attr-defined]  # a pydicom MultiValue, or anything
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count else None


def _integer(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _no_geometry(position: bool, orientation: bool, spacing: bool) -> Refusal:
    missing = [
        name
        for name, is_missing in [
            ("ImagePositionPatient", position),
            ("ImageOrientationPatient", orientation),
            ("PixelSpacing", spacing),
        ]
        if is_missing
    ]
    return Refusal(
        reason=Reason.NO_GEOMETRY,
        detail="The images do not say where in the patient they lie.",
        hint="Export the mask with the positions of its source images (as a copy of them, or as DICOM Segmentation).",
        evidence=(f"{', '.join(missing)} is missing or unreadable",),
    )


def _impossible(row: FloatArray, column: FloatArray, spacing: Sequence[float], rows: int, columns: int) -> str:
    """What cannot be, or ''."""
    numbers = [*row, *column, *spacing]
    if not all(math.isfinite(n) for n in numbers):
        return "a direction or spacing is not a finite number"
    if min(spacing) <= 0:
        return f"PixelSpacing is {spacing[0]:g}\\{spacing[1]:g}"
    if not (0 < rows <= MAXIMUM_MATRIX and 0 < columns <= MAXIMUM_MATRIX):
        return f"the matrix is {rows} x {columns}"
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > ORTHOGONALITY_TOLERANCE:
        return "the direction cosines are not unit vectors"
    if abs(float(row @ column)) > ORTHOGONALITY_TOLERANCE:
        return "the row and column directions are not at right angles"
    return ""


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
            hint="Export the series again; the tool that wrote it damaged its headers.",
        )
    crooked = sum(not _same_axes(p.geometry, first, tolerance) for p in planes)
    if crooked:
        return Refusal(
            reason=Reason.GEOMETRY_MISMATCH,
            detail=f"The series does not form one stack: {crooked} of {len(planes)} images have another direction, "
            "matrix or pixel spacing than the first.",
            hint="Separate scouts and other orientations from the series, then send it again.",
        )
    normal = normal_of(first)
    distances = positions @ normal
    order = np.argsort(distances, kind="stable")
    ordered = distances[order]
    gaps = np.diff(ordered)
    if gaps.size and gaps.min() <= tolerance:
        return _duplicates(int((gaps <= tolerance).sum()), len(planes), float(gaps.min()))
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


def _duplicates(count: int, planes: int, smallest: float) -> Refusal:
    return Refusal(
        reason=Reason.DUPLICATE_POSITIONS,
        detail=f"{count} of {planes} images lie at the position of another image of the same series.",
        hint="Send each position once; several phases, echoes or labels belong into series of their own.",
        evidence=(f"smallest distance between two images: {smallest:.4f} mm",),
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
    if _leaning(source, target) > tolerance:
        return None
    matrix, offset = index_affine(source, target)
    whole, whole_offset = np.rint(matrix), np.rint(offset)
    if not (np.abs(whole).sum(axis=0) == 1).all() or not (np.abs(whole).sum(axis=1) == 1).all():
        return None
    corners = np.array([[r, c] for r in (0, source.rows - 1) for c in (0, source.columns - 1)], dtype=float)
    error = corners @ (matrix - whole).T + (offset - whole_offset)
    residual = float(np.abs(error * np.array(target.pixel_spacing)).max())
    if residual > min(tolerance, CLEARLY_NEAREST * min(target.pixel_spacing)):
        return None
    m = whole.astype(int).tolist()
    o = whole_offset.astype(int).tolist()
    return GridMap(((m[0][0], m[0][1]), (m[1][0], m[1][1])), (o[0], o[1]), residual)


def _leaning(source: PlaneGeometry, target: PlaneGeometry) -> float:
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
