"""Files of one series that are written alike: what needs pydicom is decided for the first, and compared for the others.

Most slices of a series differ in their pixels, position, numbers and times only. A file that differs in anything else
that says where the slice lies or what its pixels are is decoded like the first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from orthanc_mask2seg.core.pixels import Decoded, decode, is_telling
from orthanc_mask2seg.model import Refusal

_PREAMBLE = 128
_EXPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2.1"
_TRANSFER_SYNTAX = 0x00020010
_FIRST_OF_DATA = 0x00080000
_CLASS, _INSTANCE = 0x00080016, 0x00080018
_PIXELS = 0x00280000
_PIXEL_DATA = 0x7FE00010
_UNKNOWN_LENGTH = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_NUMBERS = {b"DS": float, b"IS": int}
_BITS = {8: "1", 16: "2", 32: "4"}


class _Element(NamedTuple):
    tag: int
    vr: bytes
    value: memoryview


class _UnlikeError(Exception):
    """The file is not written as it would have to be."""


class AlikeFiles:
    """Decodes the files of a series one by one."""

    def __init__(self) -> None:
        self._pattern: _Pattern | None = None

    def decode(self, content: bytes) -> Decoded | Refusal:
        """What `pixels.decode` gives; of the header the instance and its pixels only, where it is like the first."""
        if self._pattern is not None:
            try:
                return self._pattern.decode(content)
            except (_UnlikeError, struct.error, ValueError):
                pass
        decoded = decode(content)
        if self._pattern is None and isinstance(decoded, Decoded):
            self._pattern = _pattern_of(content, decoded)
        return decoded


@dataclass(frozen=True, slots=True)
class _Pattern:
    """How a file is written.

    Attributes
    ----------
    telling
        Raw values of what says where the slice lies and what its pixels are.
    described
        The same of the pixels, as data elements.
    limits
        Smallest and largest value that BitsStored allows; of others pydicom takes some bits only.
    """

    telling: dict[int, tuple[bytes, bytes]]
    described: dict[Any, DataElement]
    shape: tuple[int, int]
    kind: np.dtype[Any]
    limits: tuple[int, int]

    def decode(self, content: bytes) -> Decoded:
        """Decode a file that is written so; raise where it is not."""
        pixels: memoryview | None = None
        named: dict[int, str] = {}
        seen = 0
        for tag, vr, value in _elements(content):
            if tag in {_CLASS, _INSTANCE}:
                named[tag] = str(value, "ascii").rstrip(" \0")
            elif is_telling(BaseTag(tag)):
                seen += 1
                expected = self.telling.get(tag)
                if expected is None or expected[0] != vr or (expected[1] != value and not _varies(tag, vr, value)):
                    raise _UnlikeError
            elif tag == _PIXEL_DATA:
                pixels = value
        size = self.shape[0] * self.shape[1] * self.kind.itemsize
        if pixels is None or seen != len(self.telling) or len(pixels) != size + size % 2 or len(named) != 2:
            raise _UnlikeError
        return self._decoded(named, pixels[:size])

    def _decoded(self, named: dict[int, str], pixels: memoryview) -> Decoded:
        header = Dataset({**self.described, **{BaseTag(tag): _uid(tag, value) for tag, value in named.items()}})
        frames = np.frombuffer(pixels, self.kind).reshape(1, *self.shape)
        word = int(frames.view(f"<u{self.kind.itemsize}").max())
        if word > self.limits[1] and not self.limits[0] <= frames.min() <= frames.max() <= self.limits[1]:
            raise _UnlikeError
        return Decoded(header, frames, word=word, like_first=True)


def _uid(tag: int, value: str) -> RawDataElement:
    """Read when somebody asks for it."""
    return RawDataElement(BaseTag(tag), "UI", len(value), value.encode("ascii"), 0, False, True)


def _pattern_of(content: bytes, decoded: Decoded) -> _Pattern | None:
    """How a file is written; None where only pydicom can read others of its kind."""
    header = decoded.header
    bits, frames = header.get("BitsAllocated"), decoded.frames
    if decoded.coloured or decoded.floating or decoded.lossy or len(frames) != 1 or bits not in _BITS:
        return None
    signed = bool(header.get("PixelRepresentation"))
    kind = np.dtype(f"<{'i' if signed else 'u'}{_BITS[bits]}")
    stored = int(header.get("BitsStored") or bits)
    limits = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    try:
        telling = {e.tag: (e.vr, bytes(e.value)) for e in _elements(content) if is_telling(BaseTag(e.tag))}
        described = {e.tag: e for e in header if int(e.tag) >> 16 == _PIXELS >> 16}
        pattern = _Pattern(telling, described, (frames.shape[1], frames.shape[2]), kind, limits)
        again = pattern.decode(content)
    except (_UnlikeError, struct.error, ValueError):
        return None
    if not np.array_equal(again.frames, frames) or again.word != decoded.word:
        return None
    return pattern


def _varies(tag: int, vr: bytes, value: memoryview) -> bool:
    """Whether a value that may be another one in each slice can be read; raise ValueError where not."""
    if tag >= _PIXELS:
        return False
    text = str(value, "ascii").strip(" \0")
    if vr == b"UI":
        return all(part.isdigit() for part in text.split("."))
    number = _NUMBERS.get(vr)
    if number is None or not text:
        return False
    for part in text.split("\\"):
        number(part)
    return "_" not in text


def _elements(content: bytes) -> Iterator[_Element]:
    """Elements of a PS3.10 file in Explicit VR Little Endian, up to its pixels; raise where it is none."""
    data, end = memoryview(content), len(content)
    if content[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise _UnlikeError
    start, before, syntax = _PREAMBLE + 4, 0, b""
    while start < end:
        group, element, vr, length = struct.unpack_from("<HH2sH", content, start)
        start += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<L", content, start)
            start += 4
        tag = group << 16 | element
        if tag <= before or length == _UNKNOWN_LENGTH or start + length > end or not vr.isalpha():
            raise _UnlikeError
        before = tag
        value = data[start : start + length]
        start += length
        if tag == _TRANSFER_SYNTAX:
            syntax = bytes(value).rstrip(b"\0")
        if tag >= _FIRST_OF_DATA:
            if syntax != _EXPLICIT_LITTLE_ENDIAN:
                raise _UnlikeError
            yield _Element(tag, vr, value)
        if tag == _PIXEL_DATA:
            return
