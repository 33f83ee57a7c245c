"""The frames of a SEG, read by hand from its bytes: where each lies, and its pixels; one small class for each encoding.

For verification alone: nothing here is shared with the encoder.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from orthanc_mask2seg.errors import VerificationError

Inside = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.unsignedinteger[Any]]
Part = tuple[int, int]
"""Where a value begins and ends in its bytes."""

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_PIXEL_DATA_HEAD = 12
_ITEM_HEAD = 8
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_PER_FRAME_GROUPS = 0x52009230
_PLANE_POSITION, _IMAGE_POSITION = 0x00209113, 0x00200032
_SEGMENT_IDENTIFICATION, _SEGMENT_NUMBER = 0x0062000A, 0x0062000B
_SUM_BLOCK = 1 << 22


class Pixels(Protocol):
    """What every encoding can say of its pixels.

    Attributes
    ----------
    foreground
        Labelled voxels of all frames.
    """

    foreground: int

    def inside(self, frame: int, first: int, stop: int) -> Inside:
        """Which pixels between two rows of a frame (counted from 0) are in its segment, shape (rows, columns)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame lies, and the segment that it is of; None where it holds all segments."""

    position: tuple[float, float, float]
    segment: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A SEG file.

    Attributes
    ----------
    data
        All elements but the pixels.
    places
        Of its frames, in their order.
    """

    data: Dataset
    places: tuple[Place, ...]
    pixels: Pixels


def opened(content: bytes) -> Opened:
    """Read a SEG that is not compressed.

    Raises
    ------
    VerificationError
        The encoding is none of ours, or the pixels are not what it allows.
    """
    file = io.BytesIO(content)
    data = dcmread(file, stop_before_pixels=True)
    if data.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        raise VerificationError("it is not in Explicit VR Little Endian")
    start = file.tell()
    head, raw = content[start : start + _PIXEL_DATA_HEAD], memoryview(content)[start + _PIXEL_DATA_HEAD :]
    if head[:4] != _PIXEL_DATA or struct.unpack("<L", head[8:])[0] != len(raw):
        raise VerificationError("the pixel data do not end with the file")
    pixels = _pixels(data, np.frombuffer(raw, np.uint8))
    places = tuple(_places(data))
    if len(places) != int(data.NumberOfFrames):
        raise VerificationError(f"{len(places)} frames are described, of {data.NumberOfFrames}")
    if isinstance(pixels, Labels):
        places = tuple(Place(place.position, None) for place in places)
    return Opened(data=data, places=places, pixels=pixels)


def _pixels(data: Dataset, raw: npt.NDArray[np.uint8]) -> Pixels:
    kind = str(data.SegmentationType), int(data.BitsAllocated)
    if kind == ("BINARY", 1):
        return Bits(data, raw)
    if kind == ("FRACTIONAL", 8):
        return Bytes(data, raw)
    if kind in {("LABELMAP", 8), ("LABELMAP", 16)}:
        return Labels(data, raw)
    raise VerificationError(f"{kind[0]} with {kind[1]} bits is not an encoding of ours")


class Bits:
    """BINARY: bits lowest first, frames without padding between them (PS3.5 section 8.1.1)."""

    def __init__(self, data: Dataset, raw: npt.NDArray[np.uint8]) -> None:
        self._raw = raw
        self._shape = int(data.Rows), int(data.Columns)
        used = -(-int(data.NumberOfFrames) * self._shape[0] * self._shape[1] // 8)
        if len(raw) != used + used % 2:
            raise VerificationError("the pixel data are not as long as the frames")
        self.foreground = sum(int(np.bitwise_count(block).sum(dtype=np.int64)) for block in _blocks(raw))

    def inside(self, frame: int, first: int, stop: int) -> Inside:
        """Unpack some rows."""
        rows, columns = self._shape
        begin = (frame * rows + first) * columns
        end = (frame * rows + stop) * columns
        bits = np.unpackbits(self._raw[begin // 8 : -(-end // 8)], bitorder="little")
        return bits[begin % 8 : begin % 8 + end - begin].reshape(-1, columns).view(np.bool_)


class Bytes:
    """FRACTIONAL with nothing between 0 and the maximum."""

    def __init__(self, data: Dataset, raw: npt.NDArray[np.uint8]) -> None:
        self._values = _whole_values(data, raw, np.dtype("u1"))
        self._maximum = int(data.MaximumFractionalValue)
        self.foreground = int(np.count_nonzero(raw))
        if self.foreground != sum(int(np.count_nonzero(frame == self._maximum)) for frame in self._values):
            raise VerificationError(f"there are values between 0 and {self._maximum}, though every voxel is in or out")

    def inside(self, frame: int, first: int, stop: int) -> Inside:
        """Compare some rows with the maximum."""
        return np.asarray(self._values[frame, first:stop] == self._maximum)


class Labels:
    """LABELMAP: the number of the segment that a pixel is in, or the background's."""

    def __init__(self, data: Dataset, raw: npt.NDArray[np.uint8]) -> None:
        self._values = _whole_values(data, raw, np.dtype(f"<u{int(data.BitsAllocated) // 8}"))
        self.foreground = sum(int(np.count_nonzero(frame)) for frame in self._values)
        self.segments = frozenset(int(segment.SegmentNumber) for segment in data.SegmentSequence)
        if int(data.PixelPaddingValue) != 0:
            raise VerificationError("the background is not 0")

    def inside(self, frame: int, first: int, stop: int) -> Inside:
        """Tell some rows from the background."""
        return np.asarray(self._values[frame, first:stop] != 0)

    def numbers(self, frame: int, first: int, stop: int) -> Numbers:
        """Segment numbers between two rows of a frame, shape (rows, columns)."""
        return self._values[frame, first:stop]


def _blocks(raw: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.unsignedinteger[Any]]]:
    """The same bits in large words, a few megabytes at a time."""
    whole = len(raw) // 8 * 8
    words = raw[:whole].view(np.uint64)
    for start in range(0, len(words), _SUM_BLOCK // 8):
        yield words[start : start + _SUM_BLOCK // 8]
    yield raw[whole:]


def _whole_values(data: Dataset, raw: npt.NDArray[np.uint8], kind: np.dtype[np.unsignedinteger[Any]]) -> Numbers:
    """Values of a whole byte or two each, shape (frames, rows, columns); what is left of the bytes is padding."""
    shape = int(data.NumberOfFrames), int(data.Rows), int(data.Columns)
    used = shape[0] * shape[1] * shape[2] * kind.itemsize
    if len(raw) != used + used % 2 or raw[used:].any():
        raise VerificationError("the pixel data are not as long as the frames")
    return raw[:used].view(kind).reshape(shape)


def _places(data: Dataset) -> Iterator[Place]:
    """Walk over the groups of the frames: as pydicom data sets they would take most of the time of a conversion."""
    raw = data.get_item(_PER_FRAME_GROUPS)
    shared = data.SharedFunctionalGroupsSequence[0]
    segment = shared.get("SegmentIdentificationSequence")
    position = shared.get("PlanePositionSequence")
    every = int(segment[0].ReferencedSegmentNumber) if segment else None
    common = _three(position[0].ImagePositionPatient) if position else None
    if raw is None or not isinstance(raw.value, bytes):
        raise VerificationError("the frames are not described as we do it")
    content = raw.value
    for item in _items(content, (0, len(content))):
        groups = dict(_elements(content, item))
        position_here, segment_here = common, every
        if _PLANE_POSITION in groups:
            start, end = _inner(content, groups[_PLANE_POSITION], _IMAGE_POSITION)
            position_here = _three(content[start:end].decode("ascii").split("\\"))
        if _SEGMENT_IDENTIFICATION in groups:
            start, end = _inner(content, groups[_SEGMENT_IDENTIFICATION], _SEGMENT_NUMBER)
            segment_here = int.from_bytes(content[start:end], "little")
        if position_here is None:
            raise VerificationError("a frame has no position")
        yield Place(position_here, segment_here)


def _three(numbers: Any) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in numbers)
    return x, y, z


def _inner(content: bytes, sequence: Part, tag: int) -> Part:
    """Value of an element of the only item of a sequence."""
    [item] = _items(content, sequence)
    return dict(_elements(content, item))[tag]


def _items(content: bytes, sequence: Part) -> Iterator[Part]:
    """Items of known length (PS3.5 section 7.5)."""
    start, end = sequence
    while start < end:
        (length,) = struct.unpack_from("<L", content, start + 4)
        start += _ITEM_HEAD
        yield start, _checked(start + length, end)
        start += length


def _elements(content: bytes, item: Part) -> Iterator[tuple[int, Part]]:
    """Tags and values of an item, Explicit VR Little Endian (PS3.5 section 7.1.2)."""
    start, end = item
    while start < end:
        group, element, vr, length = struct.unpack_from("<HH2sH", content, start)
        start += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<L", content, start)
            start += 4
        yield group << 16 | element, (start, _checked(start + length, end))
        start += length


def _checked(stop: int, end: int) -> int:
    if stop > end:
        raise VerificationError("the description of a frame is longer than what holds it")
    return stop
