"""Pixel data of a SEG: only the rows in which a segment lies are packed, and what stands between is one block of zeros.

Frames are in the order of the segments, and within each in the order of the planes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.core.scan import Region
from orthanc_mask2seg.model import LabelArray

BITS = 8

Numbers = npt.NDArray[np.uint16]
"""Number of the segment of each label, 0 where it has none; shape (labels,)."""


class Frame(NamedTuple):
    """A frame of a segment.

    Attributes
    ----------
    segment
        Number of its segment; 0 where the frame holds all segments.
    place
        Number of its plane among those that have a frame, from 0.
    """

    segment: int
    place: int


class Packer(Protocol):
    """Takes planes, and gives frames."""

    def add(self, place: int, plane: LabelArray, regions: Sequence[Region], numbers: Numbers) -> None:
        """Take the labels of one plane of one mask.

        Parameters
        ----------
        plane
            Labels, shape (rows, columns).
        regions
            Where those lie that have a segment; at least one.
        """

    def frames(self) -> list[Frame]:
        """All frames, in the order of the pixel data."""

    def length(self) -> int:
        """Bytes of the pixel data."""

    def parts(self) -> Iterator[memoryview]:
        """The pixel data in pieces."""


class Bits:
    """BINARY: one bit for each pixel, lowest first, frames without padding between them (PS3.5 section 8.1.1)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._rows: dict[Frame, tuple[int, npt.NDArray[np.uint8]]] = {}

    def add(self, place: int, plane: LabelArray, regions: Sequence[Region], numbers: Numbers) -> None:
        """Pack each label."""
        step = 1 if self._shape[1] % BITS == 0 else BITS  # so many rows are whole bytes
        alone = len(regions) == 1 and plane.dtype == np.uint8
        for region in regions:
            first = region.first_row - region.first_row % step
            block = plane[first : region.last_row + 1]
            packed = np.packbits(block if alone else block == region.label, bitorder="little")
            self._rows[Frame(int(numbers[region.label]), place)] = first, packed

    def frames(self) -> list[Frame]:
        """All frames, segment by segment."""
        return sorted(self._rows)

    def length(self) -> int:
        """Bytes of the pixel data."""
        return -(-len(self._rows) * self._shape[0] * self._shape[1] // BITS)

    def parts(self) -> Iterator[memoryview]:
        """The pixel data in pieces, or in one where frames begin within bytes."""
        rows, columns = self._shape
        if rows * columns % BITS:
            yield self._shifted().data
            return
        zeros = memoryview(bytes(rows * columns // BITS))
        for frame in self.frames():
            first, packed = self._rows[frame]
            before = first * columns // BITS
            yield zeros[:before]
            yield packed.data
            yield zeros[before + len(packed) :]

    def _shifted(self) -> npt.NDArray[np.uint8]:
        rows, columns = self._shape
        result = np.zeros(self.length(), np.uint8)
        for index, frame in enumerate(self.frames()):
            first, packed = self._rows[frame]
            start = (index * rows + first) * columns
            bits = np.unpackbits(packed, count=min(len(packed) * BITS, (rows - first) * columns), bitorder="little")
            moved = np.packbits(np.concatenate([np.zeros(start % BITS, np.uint8), bits]), bitorder="little")
            result[start // BITS : start // BITS + len(moved)] |= moved
        return result


class Bytes:
    """FRACTIONAL: one byte for each pixel.

    Parameters
    ----------
    maximum
        Stored value of what is in a segment; None where the planes hold the values to be stored.
    """

    def __init__(self, shape: tuple[int, int], maximum: int | None) -> None:
        self._shape = shape
        self.as_is = maximum is None
        self._maximum = maximum
        self._planes: dict[Frame, tuple[LabelArray, Region]] = {}

    def add(self, place: int, plane: LabelArray, regions: Sequence[Region], numbers: Numbers) -> None:
        """Keep where each label lies."""
        for region in regions:
            self._planes[Frame(int(numbers[region.label]), place)] = plane, region

    def frames(self) -> list[Frame]:
        """All frames, segment by segment."""
        return sorted(self._planes)

    def length(self) -> int:
        """Bytes of the pixel data."""
        return len(self._planes) * self._shape[0] * self._shape[1]

    def parts(self) -> Iterator[memoryview]:
        """The pixel data in pieces, each made when it is asked for."""
        rows, columns = self._shape
        zeros = memoryview(bytes(rows * columns))
        for frame in self.frames():
            plane, region = self._planes[frame]
            if self._maximum is None:
                yield np.ascontiguousarray(plane, np.uint8).data.cast("B")
                continue
            inside = plane[region.first_row : region.last_row + 1] == region.label
            yield zeros[: region.first_row * columns]
            yield (inside.view(np.uint8) * np.uint8(self._maximum)).data.cast("B")
            yield zeros[(region.last_row + 1) * columns :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbered:
    """The rows of a plane from `first` up to `stop` hold labels; their numbers, unless each is its own."""

    plane: LabelArray
    first: int
    stop: int
    numbers: Numbers | None

    def rows(self) -> LabelArray:
        """Segment numbers of these rows."""
        rows = self.plane[self.first : self.stop]
        return rows if self.numbers is None else np.take(self.numbers, rows)


class Labels:
    """LABELMAP: the number of the segment that each pixel is in, 0 for none.

    Parameters
    ----------
    segments
        Number of all segments: beyond 255 a pixel has two bytes.
    """

    def __init__(self, shape: tuple[int, int], segments: int) -> None:
        self._shape = shape
        self._type = np.dtype("u1" if segments <= np.iinfo(np.uint8).max else "<u2")
        self._planes: dict[Frame, list[_Numbered]] = {}

    def add(self, place: int, plane: LabelArray, regions: Sequence[Region], numbers: Numbers) -> None:
        """Keep between which rows there are labels."""
        same = plane.dtype == self._type and all(numbers[r.label] == r.label for r in regions)
        self._planes.setdefault(Frame(0, place), []).append(
            _Numbered(
                plane=plane,
                first=min(r.first_row for r in regions),
                stop=max(r.last_row for r in regions) + 1,
                numbers=None if same else numbers.astype(self._type),
            )
        )

    def frames(self) -> list[Frame]:
        """All frames, plane by plane."""
        return sorted(self._planes)

    def length(self) -> int:
        """Bytes of the pixel data."""
        return len(self._planes) * self._shape[0] * self._shape[1] * self._type.itemsize

    def parts(self) -> Iterator[memoryview]:
        """The pixel data in pieces, each made when it is asked for."""
        row = self._shape[1] * self._type.itemsize
        zeros = memoryview(bytes(self._shape[0] * row))
        for frame in self.frames():
            masks = self._planes[frame]
            start, stop = min(m.first for m in masks), max(m.stop for m in masks)
            yield zeros[: start * row]
            yield np.ascontiguousarray(self._united(masks, start, stop)).data.cast("B")
            yield zeros[stop * row :]

    def _united(self, masks: Sequence[_Numbered], start: int, stop: int) -> LabelArray:
        if len(masks) == 1:
            return masks[0].rows()
        result = np.zeros((stop - start, self._shape[1]), self._type)
        for mask in masks:
            part, here = result[mask.first - start : mask.stop - start], mask.rows()
            if np.logical_and(part, here).any():
                raise ValueError("a label map cannot hold segments that overlap")
            part += here
        return result
