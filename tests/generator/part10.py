"""Files of Explicit VR Little Endian as raw elements, so that a mutation may write what no library would."""

from __future__ import annotations

import struct

_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_HEAD = 132


def split(content: bytes) -> tuple[int, dict[int, bytes]]:
    """Where the data set starts, and each of its elements by tag, header and all; ValueError where it is not that."""
    elements: dict[int, bytes] = {}
    at = start = _HEAD
    if content[128:132] != b"DICM":
        raise ValueError("no preamble")
    while at < len(content):
        group, element, vr, short = struct.unpack("<HH2sH", content[at : at + 8])
        if not vr.isalpha():
            raise ValueError("not explicit")
        head = 12 if vr in _LONG else 8
        length = struct.unpack("<L", content[at + 8 : at + 12])[0] if vr in _LONG else short
        if length == _UNDEFINED:
            if group != 0x7FE0:
                raise ValueError("a sequence of undefined length")
            length = len(content) - at - head
        end = at + head + length
        if group == 2:
            start = end
        else:
            elements[group << 16 | element] = content[at:end]
        at = end
    return start, elements


def join(content: bytes, start: int, elements: dict[int, bytes]) -> bytes:
    """The file again, its elements in the order of their tags."""
    return content[:start] + b"".join(elements[tag] for tag in sorted(elements))


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An element, header and all; the value is padded to even length with a blank or a zero byte."""
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB"} else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr.encode() in _LONG:
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def with_element(content: bytes, tag: int, vr: str, value: bytes | None) -> bytes:
    """The file with one element written or, for None, left out."""
    start, elements = split(content)
    elements.pop(tag, None)
    if value is not None:
        elements[tag] = element(tag, vr, value)
    return join(content, start, elements)


def value_of(content: bytes, tag: int) -> bytes:
    """Value of an element; b'' where it is not there."""
    raw = split(content)[1].get(tag, b"")
    return raw[12 if raw[4:6] in _LONG else 8 :]
