"""The SEG is read again by a path that shares nothing with the encoder, and compared with the mask, voxel by voxel.

The truth is the mask as it came: its own stored pixels, its own plane positions. Every labelled voxel is carried into
patient space and looked up in the SEG's frames, which are unpacked by hand from the encoded bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import dcmread

from orthanc_mask2seg.core.frames import Labels, Opened, opened
from orthanc_mask2seg.errors import VerificationError
from orthanc_mask2seg.model import LabelArray, PlaneGeometry

INDEX_TOLERANCE = 0.45
"""Largest distance (in pixels) of a mask voxel from the centre of the SEG voxel that stands for it: beyond the matching
tolerance, below the half where another voxel is nearer."""

PLANE_TOLERANCE_MM = 0.05
"""Largest distance (mm) of a mask plane from the SEG frame that stands for it, where the caller gives none."""

ROUNDING_MM = 1e-3
"""What positions may lose as decimal strings."""

Span = tuple[int, int]
"""First, and behind the last."""


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
    frames = _Frames(opened(content), tolerance + ROUNDING_MM)
    compared = 0
    for truth in truths:
        for geometry, labels, numbers in _expected(truth):
            compared += frames.compare(geometry, labels, numbers)
    frames.finish(compared)
    return compared


def _expected(truth: Truth | ResampledTruth) -> Iterator[tuple[PlaneGeometry, LabelArray, Mapping[int, int]]]:
    """Planes that have a label, with the labels that they have to hold."""
    if isinstance(truth, Truth):
        if truth.labels.any():
            yield truth.geometry, truth.labels, truth.segment_numbers
        return
    for target in truth.targets:
        nearest = _nearest(target, truth)
        if nearest is None or not nearest.labels.any():
            continue
        rows, columns = (a.ravel() for a in np.indices((target.rows, target.columns)))
        labels = _labels_at(_points(target, rows, columns), nearest)
        if labels.any():
            yield target, labels.reshape(target.rows, target.columns), nearest.segment_numbers


def _nearest(target: PlaneGeometry, truth: ResampledTruth) -> Truth | None:
    """The plane of the mask in whose slab a plane lies."""
    normal = np.cross(truth.planes[0].geometry.row_cosines, truth.planes[0].geometry.column_cosines)
    offsets = np.array([np.dot(normal, p.geometry.position) for p in truth.planes]) - np.dot(target.position, normal)
    nearest = int(np.argmin(np.abs(offsets)))
    return truth.planes[nearest] if abs(offsets[nearest]) <= truth.heights[nearest] * (0.5 + 1e-6) else None


def _labels_at(points: npt.NDArray[np.float64], plane: Truth) -> npt.NDArray[np.uint16]:
    """Label of the mask's pixel in whose cell each point of one plane lies; 0 outside."""
    result = np.zeros(len(points), np.uint16)
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


@dataclass(frozen=True, slots=True)
class _Window:
    """Where the labelled part of a mask's plane lies in a frame.

    Attributes
    ----------
    rows, columns
        (first, stop) in the frame.
    labels
        What has to be there, shape (rows, columns).
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    labels: LabelArray


@dataclass(slots=True)
class _PlaneOfFrames:
    """Frames at one position: (segment, or None where one frame holds all; index of the frame)."""

    position: npt.NDArray[np.float64]
    frames: dict[int | None, int]


class _Frames:
    """Frames of a SEG by position, and which of them have been compared."""

    def __init__(self, seg: Opened, tolerance: float) -> None:
        self._tolerance = tolerance
        self._pixels = seg.pixels
        self._shape = int(seg.data.Rows), int(seg.data.Columns)
        shared = seg.data.SharedFunctionalGroupsSequence[0]
        cosines = [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
        spacing = [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing]
        self._axes = np.array([np.multiply(cosines[3:], 1 / spacing[0]), np.multiply(cosines[:3], 1 / spacing[1])])
        self._normal = np.cross(cosines[:3], cosines[3:])
        at: dict[tuple[float, float, float], _PlaneOfFrames] = {}
        for index, place in enumerate(seg.places):
            plane = at.setdefault(place.position, _PlaneOfFrames(np.array(place.position), {}))
            if plane.frames.setdefault(place.segment, index) != index:
                raise VerificationError(f"two frames of segment {place.segment} lie at the same place")
        self._planes = list(at.values())
        self._distances = np.array([plane.position @ self._normal for plane in self._planes])
        self._left = set(range(len(seg.places)))
        self._found = 0

    def compare(self, geometry: PlaneGeometry, labels: LabelArray, numbers: Mapping[int, int]) -> int:
        """Compare a plane of a mask with the frames that lie where it lies.

        Parameters
        ----------
        labels
            At least one is not 0.
        numbers
            Label to the segment that has to hold it.

        Returns
        -------
        int
            Labelled voxels of the mask.
        """
        marked = labels != 0
        rows, columns = _span(np.flatnonzero(marked.any(axis=1))), _span(np.flatnonzero(marked.any(axis=0)))
        plane = self._plane_at(geometry, rows, columns)
        window = self._window(geometry, labels, rows, columns, plane.position)
        if isinstance(self._pixels, Labels):
            self._compare_numbers(self._pixels, plane.frames[None], window, numbers)
        else:
            for label, number in numbers.items():
                if number in plane.frames:
                    self._compare_segment(plane.frames[number], window, label, number)
        return int(np.count_nonzero(window.labels))

    def finish(self, compared: int) -> None:
        """Make sure that each frame was compared, and that nothing lies beside what was."""
        if self._left:
            raise VerificationError(f"{len(self._left)} frames of the SEG lie where the mask has no labels of theirs")
        if not compared == self._found == self._pixels.foreground:
            raise VerificationError(
                f"the SEG holds {self._pixels.foreground} labelled voxels, the mask {compared}, {self._found} in common"
            )

    def _plane_at(self, geometry: PlaneGeometry, rows: Span, columns: Span) -> _PlaneOfFrames:
        corners = _points(geometry, *_corners(rows, columns)) @ self._normal
        nearest = int(np.argmin(np.abs(self._distances - corners[0]))) if self._planes else -1
        if nearest < 0 or np.abs(corners - self._distances[nearest]).max() > self._tolerance:
            raise VerificationError(f"no frame lies at {corners[0]:.3f} mm")
        return self._planes[nearest]

    def _window(
        self,
        geometry: PlaneGeometry,
        labels: LabelArray,
        rows: Span,
        columns: Span,
        position: npt.NDArray[np.float64],
    ) -> _Window:
        """Carry the part of a plane that has labels into patient space, and find it in a frame.

        What leads from pixel to pixel is linear, so the corners are the farthest off.
        """
        corners = (_points(geometry, *_corners(rows, columns)) - position) @ self._axes.T
        whole = np.rint(corners)
        steps = np.rint(
            [
                self._axes @ np.multiply(geometry.column_cosines, geometry.pixel_spacing[0]),
                self._axes @ np.multiply(geometry.row_cosines, geometry.pixel_spacing[1]),
            ]
        ).astype(int)
        sizes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (rows[1] - rows[0] - 1, columns[1] - columns[0] - 1)
        if (
            np.abs(corners - whole).max() > INDEX_TOLERANCE
            or (np.abs(steps).sum(axis=0) != 1).any()
            or (np.abs(steps).sum(axis=1) != 1).any()
            or (whole[0] + sizes @ steps != whole).any()
        ):
            raise VerificationError("voxels of the mask lie between the voxels of the SEG")
        if whole.min() < 0 or (whole >= self._shape).any():
            raise VerificationError("voxels of the mask lie outside the frames of the SEG")
        part = labels[slice(*rows), slice(*columns)][:: _direction(steps[0]), :: _direction(steps[1])]
        low, high = whole.min(axis=0).astype(int).tolist(), whole.max(axis=0).astype(int).tolist()
        return _Window((low[0], high[0] + 1), (low[1], high[1] + 1), part if steps[0][0] else part.T)

    def _compare_segment(self, index: int, window: _Window, label: int, number: int) -> None:
        inside = self._pixels.inside(index, *window.rows)[:, slice(*window.columns)]
        if not np.array_equal(inside, window.labels == label):
            wrong = int(np.count_nonzero(inside != (window.labels == label)))
            raise VerificationError(f"{wrong} voxels of segment {number} differ from the mask in frame {index + 1}")
        self._found += int(np.count_nonzero(inside))
        self._left.discard(index)

    def _compare_numbers(self, pixels: Labels, index: int, window: _Window, numbers: Mapping[int, int]) -> None:
        found = pixels.numbers(index, *window.rows)[:, slice(*window.columns)]
        if pixels.segments != set(numbers.values()):  # other masks have a share in the frame
            found = np.where(np.isin(found, list(numbers.values())), found, 0)
        expected = window.labels
        if any(label != number for label, number in numbers.items()):
            table = np.zeros(max(numbers) + 1, np.uint16)
            table[list(numbers)] = list(numbers.values())
            expected = table[expected]
        if not np.array_equal(found, expected):
            wrong = int(np.count_nonzero(found != expected))
            raise VerificationError(f"{wrong} voxels differ from the mask in frame {index + 1}")
        self._found += int(np.count_nonzero(found))
        self._left.discard(index)


def _span(places: npt.NDArray[np.intp]) -> Span:
    """First, and behind the last."""
    return int(places[0]), int(places[-1]) + 1


def _corners(rows: Span, columns: Span) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the first and last pixels."""
    return np.array([rows[0], rows[0], rows[1] - 1, rows[1] - 1]), np.array([columns[0], columns[1] - 1] * 2)


def _direction(step: npt.NDArray[np.intp]) -> int:
    return int(step.sum())
