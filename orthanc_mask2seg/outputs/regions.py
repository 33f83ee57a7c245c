"""Which voxels of an image are in which segment, read from anybody's segmentation.

BINARY, FRACTIONAL (from half of the maximum on) and LABELMAP, compressed or not, of any writer. Each frame goes where
it says that it lies: onto the plane of the source in the same place, flipped, turned or cropped as its geometry has it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread

from orthanc_mask2seg.core.display_frames import (
    LABELMAP,
    Frame,
    frames_of,
    pixels_of_frames,
    pixels_wrong,
    planes_by_reference,
)
from orthanc_mask2seg.core.geometry import POSITION_TOLERANCE_MM, grid_map, place
from orthanc_mask2seg.core.pixels import READING_ERRORS
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ImageSeries, Reason, Refusal, SegmentSpec, Uid
from orthanc_mask2seg.outputs.descriptions import described

Voxels = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The voxels of one segment on the grid of its source.

    Attributes
    ----------
    number
        SegmentNumber.
    corner
        (plane, row, column) of the source where `voxels` begins.
    voxels
        The smallest box that holds the segment, shape (planes, rows, columns).
    """

    number: int
    spec: SegmentSpec
    corner: tuple[int, int, int]
    voxels: Voxels

    @property
    def count(self) -> int:
        """Voxels in the segment."""
        return int(np.count_nonzero(self.voxels))

    @property
    def planes(self) -> range:
        """Planes of the source that the box spans."""
        return range(self.corner[0], self.corner[0] + self.voxels.shape[0])

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where in the source the box lies."""
        p, r, c = (slice(at, at + size) for at, size in zip(self.corner, self.voxels.shape, strict=True))
        return p, r, c


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """A segmentation, read.

    Attributes
    ----------
    seg
        Its data set, with the pixels taken out.
    regions
        The segments that have voxels, by number.
    empty
        Numbers and labels of those that have none.
    """

    seg: Dataset
    source: ImageSeries
    regions: tuple[Region, ...]
    empty: tuple[tuple[int, str], ...] = ()


def read_regions(content: bytes, source: ImageSeries, tolerance: float = POSITION_TOLERANCE_MM) -> Regions | Refusal:
    """Read a segmentation onto the grid of its source.

    Parameters
    ----------
    content
        The DICOM file.
    source
        The series that it lies on; only headers are needed.
    tolerance
        Largest distance (mm) of a frame from the plane that it lies on.

    Returns
    -------
    Regions, or Refusal
        `invalid_dicom` or `corrupt_pixel_data` where it cannot be read, `geometry_mismatch` where it lies elsewhere,
        `empty_mask` where no segment has a voxel.
    """
    try:
        seg = dcmread(io.BytesIO(content), force=True)
        problem = "" if seg.get("Modality") == "SEG" else "its Modality is not SEG"
        problem = problem or pixels_wrong(seg)
        if problem:
            return _unreadable(problem)
        found = _collect(seg, source, tolerance)
    except READING_ERRORS as error:
        return _unreadable(f"while reading: {type(error).__name__}")
    if isinstance(found, Refusal):
        return found
    specs = {int(item.SegmentNumber): described(item) for item in seg.SegmentSequence if item.SegmentNumber}
    del seg.PixelData
    if not found:
        return Refusal(
            reason=Reason.EMPTY_MASK,
            detail="The segmentation holds no voxel.",
            hint="Nothing, unless a segmentation was expected.",
            evidence=(counted(len(specs), "segment"),),
        )
    return Regions(
        seg=seg,
        source=source,
        regions=tuple(_region(n, specs[n], found[n]) for n in sorted(found) if n in specs),
        empty=tuple((n, spec.label) for n, spec in sorted(specs.items()) if n not in found),
    )


def _unreadable(why: str) -> Refusal:
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail=f"The segmentation cannot be read: {why}.",
        hint="mask2seg doctor says what is wrong with it.",
        evidence=(why,),
    )


Part = tuple[int, int, int, Voxels]
"""(plane, first row, first column, voxels): the smallest rectangle of one plane that holds a segment."""


def _collect(seg: Dataset, source: ImageSeries, tolerance: float) -> dict[int, list[Part]] | Refusal:
    """Rectangles of each segment that has voxels."""
    found: dict[int, list[Part]] = {}
    pixels_of = pixels_of_frames(seg)
    lookup = _Lookup(source, tolerance)
    shape = int(seg.Rows), int(seg.Columns)
    for frame in frames_of(seg)[: int(seg.get("NumberOfFrames") or 1)]:
        pixels = pixels_of(frame.number - 1).reshape(shape)
        if not pixels.any():
            continue
        where = lookup.plane_of(frame)
        if isinstance(where, Refusal):
            return where
        for number, inside in _inside(seg, frame, pixels):
            placed = lookup.placed(frame, where, inside)
            if placed is None:
                return _outside(f"voxels of frame {frame.number} fall outside of the images")
            found.setdefault(number, []).append((where, *_cropped(placed)))
    return found


def _inside(seg: Dataset, frame: Frame, pixels: npt.NDArray[Any]) -> Iterator[tuple[int, Voxels]]:
    """(segment number, its pixels) of one frame."""
    if seg.get("SegmentationType") == LABELMAP:
        background = int(seg.get("PixelPaddingValue") or 0)
        for value in np.unique(pixels).tolist():
            if value != background:
                yield int(value), pixels == value
        return
    if frame.segment is None:
        return
    maximum = int(seg.get("MaximumFractionalValue") or 1) if seg.get("SegmentationType") == "FRACTIONAL" else 1
    inside = pixels * 2 >= maximum if maximum == 1 else pixels.astype(np.uint16) * 2 >= maximum
    if inside.any():
        yield frame.segment, inside


class _Lookup:
    """Planes of the source by where frames lie, or by what they refer to where they do not say that."""

    def __init__(self, source: ImageSeries, tolerance: float) -> None:
        self._planes = source.volume.planes
        self._normal = np.array(source.volume.normal)
        self._distances = np.array(source.volume.distances)
        self._tolerance = tolerance
        self._references: Mapping[tuple[str, int | None], Any] = {}
        self._source = source

    def plane_of(self, frame: Frame) -> int | Refusal:
        """Index of the plane that a frame lies on."""
        if frame.geometry is None:
            return self._referred_to(frame)
        distance = float(self._normal @ frame.geometry.position)
        nearest = int(np.argmin(np.abs(self._distances - distance)))
        if abs(float(self._distances[nearest]) - distance) > self._tolerance:
            gap = abs(float(self._distances[nearest]) - distance)
            return _outside(f"frame {frame.number} lies {gap:.3f} mm from the nearest image")
        return nearest

    def _referred_to(self, frame: Frame) -> int | Refusal:
        if not self._references:
            places = {(str(p.sop_instance_uid), p.frame_number): i for i, p in enumerate(self._planes)}
            by_reference = planes_by_reference(self._source.headers)
            self._references = {
                key: places[str(p.sop_instance_uid), p.frame_number]
                for key, p in by_reference.items()
                if (str(p.sop_instance_uid), p.frame_number) in places
            }
        index = self._references.get(frame.source) if frame.source is not None else None
        return _outside(f"frame {frame.number} does not say where it lies") if index is None else int(index)

    def placed(self, frame: Frame, where: int, inside: Voxels) -> Voxels | None:
        """Pixels of a frame on the plane of the source; None where something falls outside."""
        target = self._planes[where].geometry
        if frame.geometry is None:
            return inside if inside.shape == (target.rows, target.columns) else None
        way = grid_map(frame.geometry, target, self._tolerance)
        if way is None:
            return None
        moved = place(inside.astype(np.uint8), way, target.rows, target.columns)
        return None if moved is None else moved.astype(bool)


def _outside(evidence: str) -> Refusal:
    return Refusal(
        reason=Reason.GEOMETRY_MISMATCH,
        detail="The segmentation does not lie on the grid of these images.",
        hint="Name the series that it was made on.",
        evidence=(evidence,),
    )


def _cropped(pixels: Voxels) -> tuple[int, int, Voxels]:
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return int(rows[0]), int(columns[0]), part.copy()


def _region(number: int, spec: SegmentSpec, parts: Sequence[Part]) -> Region:
    first = np.array([part[:3] for part in parts]).min(axis=0)
    last = np.array([(p, r + v.shape[0], c + v.shape[1]) for p, r, c, v in parts]).max(axis=0)
    voxels = np.zeros((last[0] - first[0] + 1, last[1] - first[1], last[2] - first[2]), bool)
    for plane, row, column, part in parts:
        r, c = row - first[1], column - first[2]
        voxels[plane - first[0], r : r + part.shape[0], c : c + part.shape[1]] |= part
    return Region(number=number, spec=spec, corner=(int(first[0]), int(first[1]), int(first[2])), voxels=voxels)


def source_uids_of(seg: Dataset) -> tuple[Uid, ...]:
    """SeriesInstanceUIDs of the images that a segmentation names (ReferencedSeriesSequence)."""
    items = seg.get("ReferencedSeriesSequence") or ()
    return tuple(Uid(str(item.SeriesInstanceUID)) for item in items if item.get("SeriesInstanceUID"))
