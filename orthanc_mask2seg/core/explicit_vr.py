"""Data elements as bytes, Explicit VR Little Endian (PS3.5 section 7.1.2).

For what repeats so often in one object that a pydicom data set of each would take most of the time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_ITEM = 0xFFFEE000
_LONGEST = 0xFFFFFFFE


def element(tag: int, vr: str, value: bytes) -> bytes:
    """A data element with a value that is encoded already, of even length."""
    return element_head(tag, vr, len(value)) + value


def element_head(tag: int, vr: str, length: int) -> bytes:
    """What stands before a value of `length` bytes; raises OverflowError where that cannot be written."""
    if vr not in _LONG:
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)
    if length > _LONGEST:
        raise OverflowError(f"a value of {length} bytes is longer than DICOM can say")
    return struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def uid(tag: int, value: str) -> bytes:
    """A UI element."""
    return element(tag, "UI", _even(value.encode("latin-1"), b"\0"))


def text(tag: int, vr: str, value: str) -> bytes:
    """An element of text of the default character set."""
    return element(tag, vr, _even(value.encode("latin-1"), b" "))


def item_head(length: int) -> bytes:
    """What stands before the content of a sequence's item."""
    return struct.pack("<HHL", _ITEM >> 16, _ITEM & 0xFFFF, length)


def item(content: bytes) -> bytes:
    """An item of a sequence, with elements that are encoded already."""
    return item_head(len(content)) + content


def sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """A sequence of such items."""
    return element(tag, "SQ", b"".join(items))


def encoded(data: Dataset, character_set: str | list[str] = "ISO_IR 6") -> bytes:
    """A data set as pydicom writes it."""
    target = DicomBytesIO()
    target.is_little_endian, target.is_implicit_VR = True, False
    write_dataset(target, data, character_set)
    return target.getvalue()


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)
