"""The SEG is read again by a path that shares nothing with the encoder, and compared with the mask, voxel by voxel.

The truth is the mask as it came: its own stored pixels, its own plane positions. Every labelled voxel is carried into
patient space and looked up in the SEG's frames, which are unpacked by hand from the encoded bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread

from orthanc_mask2seg.core.frames import frames_of
from orthanc_mask2seg.errors import VerificationError
from orthanc_mask2seg.model import LabelArray, PlaneGeometry

INDEX_TOLERANCE = 0.45
"""Largest distance (in pixels) of a mask voxel from the centre of the SEG voxel that stands for it: beyond the matching
tolerance, below the half where another voxel is nearer."""

PLANE_TOLERANCE_MM = 0.05
"""Largest distance (mm) of a mask plane from the SEG frame that stands for it, where the caller gives none."""

ROUNDING_MM = 1e-3
"""What positions may lose as decimal strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One plane of a mask, as it came.

    Attributes
    ----------
    labels
        Label values on the mask's own grid, shape (rows, columns); 0 is background.
    segment_numbers
        Label value to the segment that has to hold it.
    """

    geometry: PlaneGeometry
    labels: LabelArray
    segment_numbers: Mapping[int, int]


def same_but_for_software(a: bytes, b: bytes) -> bool:
    """Whether two SEG files differ in nothing but the versions of the software that wrote them.

    An earlier version of this software gave the same UIDs to the same segmentation, and that is what the PACS keeps.
    """
    data = [dcmread(io.BytesIO(content)) for content in (a, b)]
    for one in data:
        one.pop("SoftwareVersions", None)
        one.pop("ContributingEquipmentSequence", None)
    return bool(data[0] == data[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampledTruth:
    """A mask on another grid: what each voxel of the SEG's grid has to hold follows from where its centre lies.

    Attributes
    ----------
    planes
        All planes of the mask, also those without a label.
    heights
        Thickness of the slab (mm) that each of them stands for.
    targets
        All planes of the source.
    """

    planes: tuple[Truth, ...]
    heights: tuple[float, ...]
    targets: tuple[PlaneGeometry, ...]


def verify(content: bytes, truths: Iterable[Truth | ResampledTruth], tolerance: float = PLANE_TOLERANCE_MM) -> int:
    """Compare an encoded SEG with the planes of its masks.

    Parameters
    ----------
    content
        The DICOM file: BINARY, FRACTIONAL with nothing but 0 and the maximum, or LABELMAP; not compressed.
    truths
        Every plane of every mask that has a label; a mask on another grid as a whole.
    tolerance
        Largest distance (mm) of a mask plane from the SEG frame that stands for it: that of the match.

    Returns
    -------
    int
        Labelled voxels compared.

    Raises
    ------
    VerificationError
        A voxel is missing, is elsewhere, or is there without being in the mask.
    """
    frames = _Frames(dcmread(io.BytesIO(content)), tolerance + ROUNDING_MM)
    compared = 0
    for truth in truths:
        if isinstance(truth, ResampledTruth):
            compared += _verify_resampled(frames, truth)
            continue
        rows, columns = np.nonzero(truth.labels)
        values = truth.labels[rows, columns]
        for label in np.unique(values).tolist():
            here = values == label
            points = _points(truth.geometry, rows[here], columns[here])
            frames.take(truth.segment_numbers[label], points)
            compared += len(points)
    if compared != frames.foreground:
        raise VerificationError(f"the SEG holds {frames.foreground} labelled voxels, the mask {compared}")
    return compared


def _verify_resampled(frames: _Frames, truth: ResampledTruth) -> int:
    compared = 0
    for target in truth.targets:
        rows, columns = (a.ravel() for a in np.indices((target.rows, target.columns)))
        points = _points(target, rows, columns)
        expected = _labels_at(points, truth)
        for label in np.unique(expected[expected > 0]).tolist():
            inside = points[expected == label]
            frames.take(truth.planes[0].segment_numbers[label], inside)
            compared += len(inside)
    return compared


def _labels_at(points: npt.NDArray[np.float64], truth: ResampledTruth) -> npt.NDArray[np.uint16]:
    """Label of the mask voxel whose centre is nearest to each point of one plane; 0 outside of the mask's slabs."""
    normal = np.cross(truth.planes[0].geometry.row_cosines, truth.planes[0].geometry.column_cosines)
    offsets = np.array([np.dot(normal, p.geometry.position) for p in truth.planes]) - float(points[0] @ normal)
    nearest = int(np.argmin(np.abs(offsets)))
    plane = truth.planes[nearest]
    result = np.zeros(len(points), np.uint16)
    if abs(offsets[nearest]) > truth.heights[nearest] * (0.5 + 1e-6):
        return result
    from_first = points - np.array(plane.geometry.position)
    exact_row = from_first @ np.array(plane.geometry.column_cosines) / plane.geometry.pixel_spacing[0]
    exact_column = from_first @ np.array(plane.geometry.row_cosines) / plane.geometry.pixel_spacing[1]
    row, column = (np.floor(exact + 0.5 + 1e-6).astype(int) for exact in (exact_row, exact_column))
    inside = (row >= 0) & (row < plane.labels.shape[0]) & (column >= 0) & (column < plane.labels.shape[1])
    result[inside] = plane.labels[row[inside], column[inside]]
    return result


def _points(plane: PlaneGeometry, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Positions in the patient, shape (n, 3), LPS mm (PS3.3 equation C.7.6.2.1-1)."""
    along_row = np.multiply(plane.row_cosines, plane.pixel_spacing[1])
    along_column = np.multiply(plane.column_cosines, plane.pixel_spacing[0])
    return np.asarray(plane.position + columns[:, None] * along_row + rows[:, None] * along_column, np.float64)


def _group(frame: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """Functional group of a frame, or the one that all frames share (PS3.3 C.7.6.16)."""
    found: Dataset = (frame if keyword in frame else shared)[keyword].value[0]
    return found


def _segment_number(frame: Dataset, shared: Dataset) -> int:
    return int(_group(frame, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)


class _Frames:
    """Frames of a SEG by segment and position, unpacked one at a time."""

    def __init__(self, data: Dataset, tolerance: float) -> None:
        self._tolerance = tolerance
        self._shape = int(data.Rows), int(data.Columns)
        self._pixels = frames_of(data)
        self.foreground = self._pixels.foreground
        shared = data.SharedFunctionalGroupsSequence[0]
        cosines = [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
        spacing = [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing]
        self._axes = np.array([np.multiply(cosines[3:], 1 / spacing[0]), np.multiply(cosines[:3], 1 / spacing[1])])
        self._normal = np.cross(cosines[:3], cosines[3:])
        self._by_segment: dict[int, list[tuple[float, npt.NDArray[np.float64], int]]] = {}
        every = [int(segment.SegmentNumber) for segment in data.SegmentSequence]
        for index, item in enumerate(data.PerFrameFunctionalGroupsSequence):
            plane = _group(item, shared, "PlanePositionSequence")
            position = np.array([float(v) for v in plane.ImagePositionPatient])
            entry = (float(position @ self._normal), position, index)
            for number in every if self._pixels.of_all_segments else [_segment_number(item, shared)]:
                self._by_segment.setdefault(number, []).append(entry)

    def take(self, segment: int, points: npt.NDArray[np.float64]) -> None:
        """Check that the frame at these points holds each of them, each in a voxel of its own, and nothing else."""
        position, index = self._frame_at(segment, points[0])
        exact = (points - position) @ self._axes.T
        whole = np.rint(exact)
        if np.abs(exact - whole).max() > INDEX_TOLERANCE:
            raise VerificationError(f"voxels of segment {segment} lie between the voxels of the SEG")
        if whole.min() < 0 or (whole >= self._shape).any():
            raise VerificationError(f"voxels of segment {segment} lie outside the frames of the SEG")
        frame = self._pixels.of(index, segment)
        flat = (whole[:, 0] * self._shape[1] + whole[:, 1]).astype(np.intp)
        expected = np.zeros(self._shape[0] * self._shape[1], bool)
        expected[flat] = True
        if np.count_nonzero(expected) != len(points) or not np.array_equal(expected, frame):
            wrong = int(np.count_nonzero(expected != frame))
            raise VerificationError(f"{wrong} voxels of segment {segment} differ from the mask in frame {index + 1}")

    def _frame_at(self, segment: int, point: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int]:
        distance = float(point @ self._normal)
        nearest = min(self._by_segment.get(segment, ()), key=lambda f: abs(f[0] - distance), default=None)
        if nearest is None or abs(nearest[0] - distance) > self._tolerance:
            raise VerificationError(f"no frame of segment {segment} lies at {distance:.3f} mm")
        return nearest[1], nearest[2]
