"""Pixels of a SEG's frames, unpacked by hand from its bytes: one small class for each encoding.

For verification alone: nothing here is shared with the encoder.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from orthanc_mask2seg.errors import VerificationError

Inside = npt.NDArray[np.bool_]


class Frames(Protocol):
    """What every encoding can say of its frames.

    Attributes
    ----------
    foreground
        Labelled voxels of all frames.
    of_all_segments
        A frame holds all segments of its plane, not one.
    """

    foreground: int
    of_all_segments: bool

    def of(self, index: int, segment: int) -> Inside:
        """Which pixels of a frame (counted from 0) are in a segment, shape (rows * columns,)."""


def frames_of(data: Dataset) -> Frames:
    """Pixels of a SEG that is not compressed.

    Raises
    ------
    VerificationError
        The encoding is none of ours, or the pixels are not what it allows.
    """
    kind = str(data.SegmentationType), int(data.BitsAllocated)
    if kind == ("BINARY", 1):
        return _Bits(data)
    if kind == ("FRACTIONAL", 8):
        return _Bytes(data)
    if kind in {("LABELMAP", 8), ("LABELMAP", 16)}:
        return _Labels(data)
    raise VerificationError(f"{kind[0]} with {kind[1]} bits is not an encoding of ours")


class _Bits:
    """BINARY: bits lowest first, frames without padding between them (PS3.5 section 8.1.1)."""

    of_all_segments = False

    def __init__(self, data: Dataset) -> None:
        self._packed = np.frombuffer(data.PixelData, np.uint8)
        self._size = int(data.Rows) * int(data.Columns)
        self.foreground = int(np.bitwise_count(self._packed).sum()) if self._packed.size else 0

    def of(self, index: int, segment: int) -> Inside:  # noqa: ARG002 - a frame has one segment
        first = index * self._size
        start, end = first // 8, -(-(first + self._size) // 8)
        bits = np.unpackbits(self._packed[start:end], bitorder="little")
        return bits[first - start * 8 : first - start * 8 + self._size].astype(bool)


class _Bytes:
    """FRACTIONAL with nothing between 0 and the maximum."""

    of_all_segments = False

    def __init__(self, data: Dataset) -> None:
        values = _whole_values(data, np.dtype("u1"))
        maximum = int(data.MaximumFractionalValue)
        self.foreground = int(np.count_nonzero(values))
        if self.foreground != np.count_nonzero(values == maximum):
            raise VerificationError(f"there are values between 0 and {maximum}, though every voxel is in or out")
        self._inside = values == maximum

    def of(self, index: int, segment: int) -> Inside:  # noqa: ARG002 - a frame has one segment
        return np.asarray(self._inside[index], bool)


class _Labels:
    """LABELMAP: the number of the segment that a pixel is in, or the background's."""

    of_all_segments = True

    def __init__(self, data: Dataset) -> None:
        self._values = _whole_values(data, np.dtype(f"<u{int(data.BitsAllocated) // 8}"))
        self.foreground = int(np.count_nonzero(self._values))
        described = {int(segment.SegmentNumber) for segment in data.SegmentSequence}
        found = set(np.unique(self._values).tolist())
        if int(data.PixelPaddingValue) != 0 or not found <= described | {0}:
            raise VerificationError("there are values that no segment has")

    def of(self, index: int, segment: int) -> Inside:
        return np.asarray(self._values[index] == segment, bool)


def _whole_values(data: Dataset, kind: np.dtype[np.unsignedinteger]) -> npt.NDArray[np.unsignedinteger]:
    """Values of a whole byte or two each, shape (frames, rows * columns); the rest of the bytes is padding."""
    frames, size = int(data.NumberOfFrames), int(data.Rows) * int(data.Columns)
    values = np.frombuffer(data.PixelData[: frames * size * kind.itemsize], kind)
    if values.size != frames * size:
        raise VerificationError("the pixel data are shorter than the frames")
    return values.reshape(frames, size)
