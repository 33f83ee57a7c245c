"""Headers of a series from the first bytes of its files, where an archive sends parts of files.

The slices of a series have most elements in common, byte for byte: these are parsed once, and the headers share them.
Whoever wants to change a value of a header gives it another element; nobody changes an element.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, MutableSequence
from typing import NamedTuple

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
_UNKNOWN_LENGTH = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


class NotReadableError(Exception):
    """The header is not whole in these bytes, or is not written as it would have to be."""


class _Raw(NamedTuple):
    vr: bytes
    value: bytes
    start: int


class Beginnings:
    """Reads headers one by one."""

    def __init__(self) -> None:
        self._raw: dict[int, _Raw] = {}
        self._elements: dict[int, DataElement | RawDataElement] = {}
        self._character_sets: str | MutableSequence[str] | None = None

    def read(self, beginning: bytes) -> Dataset:
        """What `part10.header_of` gives for the whole file.

        Raises
        ------
        NotReadableError
            Only the whole file, or the archive's index, can tell.
        """
        try:
            raw, length = _elements(beginning)
        except struct.error:
            raise NotReadableError from None
        if not self._raw or raw.get(_CHARACTER_SET, _NONE).value != self._raw.get(_CHARACTER_SET, _NONE).value:
            return self._first(beginning[:length], raw)
        found: dict[BaseTag, DataElement | RawDataElement] = {}
        for tag, new in raw.items():
            old = self._raw.get(tag)
            if old is not None and old.vr == new.vr and old.value == new.value:
                element = self._elements.get(tag)
                if element is not None:
                    found[element.tag] = element
            elif not tag >> 16 & 1:
                changed = _raw_element(tag, new)
                if is_useful(changed):
                    found[changed.tag] = changed
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


def _raw_element(tag: int, raw: _Raw) -> RawDataElement:
    return RawDataElement(Tag(tag), raw.vr.decode(), len(raw.value), raw.value, raw.start, False, True)


def _elements(beginning: bytes) -> tuple[dict[int, _Raw], int]:
    """Elements by tag, and where the pixels begin."""
    if beginning[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise NotReadableError
    found: dict[int, _Raw] = {}
    start, before, end = _PREAMBLE + 4, 0, len(beginning)
    while True:
        group, element, vr, length = struct.unpack_from("<HH2sH", beginning, start)
        tag = group << 16 | element
        if tag >= _PIXELS:
            return found, start
        head = start
        start += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<L", beginning, start)
            start += 4
        if tag <= before or length == _UNKNOWN_LENGTH or start + length > end or not vr.isalpha():
            raise NotReadableError
        before = tag
        value = beginning[start : start + length]
        start += length
        if tag >= _FIRST_OF_DATA:
            found[tag] = _Raw(vr, value, head)
        elif tag == _TRANSFER_SYNTAX and value.rstrip(b"\0") != _EXPLICIT_LITTLE_ENDIAN:
            raise NotReadableError


def header_length(beginning: bytes) -> int:
    """Where the pixels begin; raises NotReadableError where that is not among these bytes."""
    try:
        return _elements(beginning)[1]
    except struct.error:
        raise NotReadableError from None


def headers(beginnings: Iterable[bytes]) -> Iterator[Dataset]:
    """Headers of the files of one series; see `Beginnings.read`."""
    reader = Beginnings()
    for beginning in beginnings:
        yield reader.read(beginning)
