"""The DICOM JSON model (PS3.18 annex F) read into our nouns: search results and the headers of instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import format_number_as_ds

from orthanc_mask2seg.pacs.orthanc_json import MAX_DEPTH, UNICODE
from orthanc_mask2seg.pacs.part10 import LONGEST_VALUE

_TEXTS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_INTEGERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_FLOATS = frozenset({"FL", "FD"})
_LONGEST_DS = 16
_CHARACTER_SET = "00080005"
_PERSON = ("Alphabetic", "Ideographic", "Phonetic")

Surprise = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What an answer of another shape leads to."""


def first(record: Mapping[str, Any], tag: str) -> str:
    """First value of an element as text; '' where there is none."""
    element = record.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(values, Sequence) or not values or not isinstance(values[0], (str, int, float)):
        return ""
    return str(values[0]).strip(" \0")


def number(record: Mapping[str, Any], tag: str) -> int | None:
    """First value of an element as a number; None where there is none."""
    text = first(record, tag)
    return int(text) if text.isdecimal() else None


def headers_from(records: Iterable[Mapping[str, Any]]) -> tuple[Dataset, ...]:
    """Read the metadata of instances.

    Private, binary and long elements are left out, as is what cannot be parsed: addresses of bulk data are not
    followed.
    """
    reader = _Reader()
    return tuple(reader.header(record) for record in records)


class _Reader:
    """Reads headers. Most values are the same in every instance of a series: each of them is parsed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, tuple[Any, ...]], DataElement | None] = {}

    def header(self, record: Mapping[str, Any]) -> Dataset:
        header = self._items(record, depth=0)
        header.SpecificCharacterSet = UNICODE
        return header

    def _items(self, record: Mapping[str, Any], depth: int) -> Dataset:
        dataset = Dataset()
        for name, content in record.items():
            tag = _tag_of(name)
            if tag is None or not isinstance(content, Mapping):
                continue
            vr, values = _vr_of(tag, content), content.get("Value") or []
            if vr == "SQ" and depth < MAX_DEPTH:
                items = (self._items(item, depth + 1) for item in values if isinstance(item, Mapping))
                dataset.add(DataElement(tag, "SQ", DicomSequence(items)))
            elif vr != "SQ" and "BulkDataURI" not in content and "InlineBinary" not in content:
                element = self._element(name, tag, vr, values)
                if element is not None:
                    dataset[tag] = element
        return dataset

    def _element(self, name: str, tag: BaseTag, vr: str, values: Sequence[Any]) -> DataElement | None:
        try:
            key = (name, vr, tuple(map(str, values) if vr == "PN" else values))
            known = self._known.get(key)
            if known is None:
                known = DataElement(tag, vr, _parsed(vr, values), validation_mode=config.IGNORE)
                self._known[key] = known
            # a list is not shared between data sets, as it can be changed
            value = list(known.value) if known.VM > 1 else known.value
            return DataElement(tag, vr, value, already_converted=known.VM <= 1, validation_mode=config.IGNORE)
        except Surprise:
            return None


def _tag_of(name: str) -> BaseTag | None:
    """Tag of "ggggeeee"; None where the element is of no use to us."""
    try:
        tag = Tag(int(name, 16))
    except (ValueError, OverflowError):
        return None
    return None if tag.is_private or tag.element == 0 or name == _CHARACTER_SET else tag


def _vr_of(tag: BaseTag, content: Mapping[str, Any]) -> str:
    vr = content.get("vr")
    if isinstance(vr, str):
        return vr
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _parsed(vr: str, values: Sequence[Any]) -> Any:
    if vr == "PN":
        return _joined(_person(value) for value in values)
    if vr == "DS":
        return _joined(_decimal(value) for value in values)
    if vr == "IS":
        return _joined("" if value is None else str(int(value)) for value in values)
    if vr in _TEXTS:
        return _joined("" if value is None else _text(value) for value in values)
    parse = int if vr in _INTEGERS else float if vr in _FLOATS else _pointer if vr == "AT" else _never
    parsed = [parse(value) for value in values]
    return parsed if len(parsed) > 1 else parsed[0] if parsed else None


def _joined(parts: Iterable[str]) -> str:
    text = "\\".join(parts)
    if len(text) > LONGEST_VALUE:
        raise ValueError
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _person(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return "=".join(value.get(part) or "" for part in _PERSON).rstrip("=")


def _decimal(value: Any) -> str:
    """A decimal string: as it is, where the archive keeps the digits; else the shortest that gives this number."""
    if value is None or isinstance(value, str):
        return value or ""
    text = repr(value) if isinstance(value, float) else str(int(value))
    return text if len(text) <= _LONGEST_DS else format_number_as_ds(float(value))


def _pointer(value: Any) -> BaseTag:
    return Tag(int(value, 16))


def _never(_value: Any) -> Any:
    raise TypeError
