"""Headers of a series from the first bytes of its files, where an archive sends parts of files.

The slices of a series have most elements in common, byte for byte: these are parsed once, and the headers share them.
Whoever wants to change a value of a header gives it another element; nobody changes an element.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, MutableSequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag, Tag

from orthanc_mask2seg.errors import ArchiveRejected
from orthanc_mask2seg.pacs.part10 import DICOM_FAULTS, header_of, is_useful

FIRST_LOOKS = (8 << 10, 64 << 10)
"""Bytes asked of the first file, one after the other; a longer header is read from the archive's index. Not more than
need be: Orthanc sends no part that ends behind the file."""

SPARE = 1 << 10
"""How much longer than the first header another one may be, in bytes."""

_PREAMBLE = 128
_EXPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2.1"
_TRANSFER_SYNTAX = 0x00020010
_CHARACTER_SET = 0x00080005
_FIRST_OF_DATA = 0x00080000
_PIXELS = 0x7FE00000
_PIXEL_TAG = b"\xe0\x7f\x10\x00"
_UNKNOWN_LENGTH = 0xFFFFFFFF
_DECISIVE = frozenset({_TRANSFER_SYNTAX, _CHARACTER_SET})
MOST_LAYOUTS = 8
"""Numbers get longer, and all that follows moves: a series has a few layouts."""

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


class NotReadableError(Exception):
    """The header is not whole in these bytes, or is not written as it would have to be."""


class _Raw(NamedTuple):
    vr: bytes
    value: bytes
    start: int


class _Place(NamedTuple):
    """Where the value of an element stands: its first byte, and that behind its last."""

    tag: int
    vr: bytes
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """A header as others may be laid out.

    Attributes
    ----------
    content
        Its bytes, up to the pixels.
    places
        Of all its elements, in their order; `values` and `ends` are theirs.
    shared
        Elements that are those of the first header.
    own
        Tags of the others.
    """

    content: npt.NDArray[np.uint8]
    places: tuple[_Place, ...]
    values: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    shared: dict[BaseTag, DataElement | RawDataElement]
    own: frozenset[int]


class Beginnings:
    """Reads headers one by one."""

    def __init__(self) -> None:
        self._raw: dict[int, _Raw] = {}
        self._elements: dict[int, DataElement | RawDataElement] = {}
        self._character_sets: str | MutableSequence[str] | None = None
        self._layouts: list[_Layout] = []

    def read(self, beginning: bytes) -> Dataset:
        """What `part10.header_of` gives for the whole file.

        Raises
        ------
        NotReadableError
            Only the whole file, or the archive's index, can tell.
        """
        for layout in self._layouts:
            header = self._laid_out(layout, beginning)
            if header is not None:
                return header
        try:
            raw, places, length = _elements(beginning)
        except struct.error:
            raise NotReadableError from None
        header = self._compared(beginning, raw, length)
        if len(self._layouts) < MOST_LAYOUTS:
            self._layouts.append(self._layout(beginning, raw, places, length))
        return header

    def _compared(self, beginning: bytes, raw: dict[int, _Raw], length: int) -> Dataset:
        """Compare each element with that of the first header."""
        if not self._raw or raw.get(_CHARACTER_SET, _NONE).value != self._raw.get(_CHARACTER_SET, _NONE).value:
            return self._first(beginning[:length], raw)
        found: dict[BaseTag, DataElement | RawDataElement] = {}
        for tag, new in raw.items():
            old = self._raw.get(tag)
            if old is not None and old.vr == new.vr and old.value == new.value:
                element = self._elements.get(tag)
                if element is not None:
                    found[element.tag] = element
            else:
                _keep(found, tag, new)
        return self._with(found)

    def _layout(self, beginning: bytes, raw: dict[int, _Raw], places: list[_Place], length: int) -> _Layout:
        """Where everything stands in this header, and which elements are those of the first one."""
        same = {tag for tag, new in raw.items() if tag in self._raw and new[:2] == self._raw[tag][:2]}
        return _Layout(
            content=np.frombuffer(beginning, np.uint8, count=length),
            places=tuple(places),
            values=np.array([place.value for place in places]),
            ends=np.array([place.end for place in places]),
            shared={e.tag: e for tag, e in self._elements.items() if tag in same},
            own=frozenset(raw) - same,
        )

    def _laid_out(self, layout: _Layout, beginning: bytes) -> Dataset | None:
        """A header whose elements stand where those of another one do: only those that hold other bytes are read.

        None where they do not stand there, or where one of them decides how the others are read.
        """
        length = len(layout.content)
        if beginning[length : length + len(_PIXEL_TAG)] != _PIXEL_TAG:
            return None
        differing = np.flatnonzero(np.frombuffer(beginning, np.uint8, count=length) != layout.content)
        index = np.searchsorted(layout.ends, differing, side="right")
        if (differing < layout.values[index]).any():  # not in a value: a tag, a length, the preamble
            return None
        changed = layout.own.union(layout.places[i].tag for i in set(index.tolist()))
        if changed & _DECISIVE:
            return None
        found = dict(layout.shared)
        for place in layout.places:
            if place.tag in changed:
                found.pop(BaseTag(place.tag), None)
                if place.tag >= _FIRST_OF_DATA:
                    value = beginning[place.value : place.end]
                    _keep(found, place.tag, _Raw(place.vr, value, place.value))
        return self._with(found)

    def _with(self, found: dict[BaseTag, DataElement | RawDataElement]) -> Dataset:
        header = Dataset(found)
        header.set_original_encoding(
            is_implicit_vr=False, is_little_endian=True, character_encoding=self._character_sets
        )
        return header

    def read_or_parse(self, content: bytes) -> Dataset:
        """The header of a whole file, however it is written.

        Raises
        ------
        ArchiveRejected
            It is not readable as DICOM.
        """
        try:
            return self.read(content)
        except NotReadableError:
            return header_of(content)

    def _first(self, beginning: bytes, raw: dict[int, _Raw]) -> Dataset:
        try:
            header = header_of(beginning)
        except ArchiveRejected:
            raise NotReadableError from None
        self._raw = raw
        self._layouts.clear()  # they share elements with another first header
        self._elements = {int(element.tag): _read(header, element) for element in header.values()}
        self._character_sets = header.original_character_set
        return header


_NONE = _Raw(b"", b"", 0)


def _read(header: Dataset, element: DataElement | RawDataElement) -> DataElement | RawDataElement:
    """An element with its value read; as it is, where it is a sequence or cannot be read: whoever looks will see."""
    if element.VR == "SQ":
        return element
    try:
        return header[element.tag]
    except DICOM_FAULTS:
        return element


def _keep(found: dict[BaseTag, DataElement | RawDataElement], tag: int, raw: _Raw) -> None:
    """Put in an element that is not the first header's, unless it is private or too large to be of use."""
    if tag >> 16 & 1:
        return
    element = _raw_element(tag, raw)
    if is_useful(element):
        found[element.tag] = element


def _raw_element(tag: int, raw: _Raw) -> RawDataElement:
    return RawDataElement(Tag(tag), raw.vr.decode(), len(raw.value), raw.value, raw.start, False, True)


def _elements(beginning: bytes) -> tuple[dict[int, _Raw], list[_Place], int]:
    """Elements by tag, where all of them stand (also the file's meta information), and where the pixels begin."""
    if beginning[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise NotReadableError
    found: dict[int, _Raw] = {}
    places: list[_Place] = []
    start, before, end = _PREAMBLE + 4, 0, len(beginning)
    while True:
        group, element, vr, length = struct.unpack_from("<HH2sH", beginning, start)
        tag = group << 16 | element
        if tag >= _PIXELS:
            return found, places, start
        head = start
        start += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<L", beginning, start)
            start += 4
        if tag <= before or length == _UNKNOWN_LENGTH or start + length > end or not vr.isalpha():
            raise NotReadableError
        before = tag
        value = beginning[start : start + length]
        places.append(_Place(tag, vr, start, start + length))
        start += length
        if tag >= _FIRST_OF_DATA:
            found[tag] = _Raw(vr, value, head)
        elif tag == _TRANSFER_SYNTAX and value.rstrip(b"\0") != _EXPLICIT_LITTLE_ENDIAN:
            raise NotReadableError


def header_length(beginning: bytes) -> int:
    """Where the pixels begin; raises NotReadableError where that is not among these bytes."""
    try:
        return _elements(beginning)[2]
    except struct.error:
        raise NotReadableError from None


def headers(beginnings: Iterable[bytes]) -> Iterator[Dataset]:
    """Headers of the files of one series; see `Beginnings.read`."""
    reader = Beginnings()
    for beginning in beginnings:
        yield reader.read(beginning)
