"""Orthanc's JSON read into our nouns: series records and the tags of instances."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from orthanc_mask2seg.errors import ArchiveGarbled, ArchiveRejected, NotInArchive
from orthanc_mask2seg.model import ArchiveKey, Series, Uid

ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
"""What Orthanc calls an identifier: a SHA-1 digest in five groups."""

MD5 = re.compile(r"[0-9a-f]{32}")

UID = re.compile(r"[0-9.]{1,64}")
"""What may be a UID (PS3.5 section 9.1), leniently: leading zeros occur in the wild."""

MAX_DEPTH = 32
"""Sequences nested deeper than this are left out: nothing that we read lies so deep, and attacks do."""

UNICODE = "ISO_IR 192"
"""SpecificCharacterSet of what Orthanc has decoded: UTF-8."""

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "OB or OW", "UN"})
_INTEGERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_FLOATS = frozenset({"FL", "FD"})
_AMBIGUOUS = frozenset({"US or SS", "US or OW", "US or SS or OW"})
_MAX_SIGNED = 0x7FFF

_CHARACTER_SET = "0008,0005"
_PIXEL_REPRESENTATION = "0028,0103"


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Turn a surprise in the shape of an answer into one of our faults."""
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ArchiveGarbled(f"The answer on {what} is no JSON, so it may not be Orthanc's") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ArchiveRejected(f"Orthanc's answer on {what} is not understood ({type(error).__name__})") from None


def checked_id(key: str) -> str:
    """Let a key into a URL only if it is an Orthanc identifier."""
    if not ORTHANC_ID.fullmatch(key):
        raise NotInArchive("This is not an Orthanc identifier: five groups of eight hexadecimal digits are expected")
    return key


def series_from(record: Mapping[str, Any], study_instance_uid: Uid) -> Series:
    """Read one record of `/series?expand`."""
    tags = record["MainDicomTags"]
    return Series(
        key=ArchiveKey(record["ID"]),
        series_instance_uid=Uid(tags["SeriesInstanceUID"]),
        study_instance_uid=study_instance_uid,
        study_key=ArchiveKey(record["ParentStudy"]),
        modality=tags.get("Modality", ""),
        series_description=tags.get("SeriesDescription", ""),
        series_number=tags.get("SeriesNumber", ""),
        manufacturer=tags.get("Manufacturer", ""),
        station_name=tags.get("StationName", ""),
        instance_keys=tuple(ArchiveKey(key) for key in record["Instances"]),
        last_update=record.get("LastUpdate", ""),
    )


def headers_from(instances: Iterable[Mapping[str, Any]]) -> tuple[Dataset, ...]:
    """Read the short form of the tags of a series' instances ({"0028,0010": "512"}).

    Text is as Orthanc holds it, and so are decimal strings, digit for digit. Private and binary elements are left
    out, as is what cannot be parsed; long values (over 256 characters) are empty.
    """
    reader = _Reader()
    return tuple(reader.header(tags) for tags in instances)


class _Reader:
    """Reads headers. Most values are the same in every instance of a series: each of them is parsed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, bool], tuple[str, Any]] = {}

    def header(self, tags: Mapping[str, Any]) -> Dataset:
        header = self._items(tags, signed=tags.get(_PIXEL_REPRESENTATION) == "1", depth=0)
        header.SpecificCharacterSet = UNICODE
        return header

    def _items(self, tags: Mapping[str, Any], *, signed: bool, depth: int) -> Dataset:
        plain: dict[BaseTag, DataElement | RawDataElement] = {}
        sequences = []
        for name, value in tags.items():
            tag, vr = _tag_and_vr(name)
            if vr == "SQ":
                sequences.append((tag, value or ()))
            elif vr is not None:
                element = self._element(name, tag, vr, value or "", signed=signed)
                if element is not None:
                    plain[tag] = element
        dataset = Dataset(plain)
        for tag, items in sequences if depth < MAX_DEPTH else ():
            read = (self._items(item, signed=signed, depth=depth + 1) for item in items)
            dataset.add(DataElement(tag, "SQ", Sequence(read)))
        return dataset

    def _element(self, name: str, tag: BaseTag, vr: str, value: str, *, signed: bool) -> DataElement | None:
        known = self._known.get((name, value, signed))
        if known is not None:
            return DataElement(tag, *known, already_converted=True, validation_mode=config.IGNORE)
        try:
            if vr in _AMBIGUOUS:
                vr = _resolved(value, signed=signed)
            element = DataElement(tag, vr, _parsed(vr, value), validation_mode=config.IGNORE)
        except (ValueError, TypeError, OverflowError):
            return None
        if not isinstance(element.value, MultiValue):  # a list is not shared, as it can be changed
            self._known[name, value, signed] = (vr, element.value)
        return element


@lru_cache(maxsize=10_000)
def _tag_and_vr(name: str) -> tuple[BaseTag, str | None]:
    """Tag and VR of "gggg,eeee"; no VR where the element is of no use to us."""
    tag = Tag(int(name[:4], 16), int(name[5:], 16))
    if tag.is_private or tag.element == 0 or name == _CHARACTER_SET:
        return tag, None
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return tag, None
    return tag, None if vr in _BINARY else vr


def _resolved(value: str, *, signed: bool) -> str:
    """VR of an element whose VR depends on PixelRepresentation (PS3.5 annex A, note on ambiguous VRs)."""
    numbers = [int(part) for part in value.split("\\") if part]
    negative = any(number < 0 for number in numbers)
    return "SS" if negative or (signed and all(number <= _MAX_SIGNED for number in numbers)) else "US"


def _parsed(vr: str, value: str) -> Any:
    if vr in _INTEGERS:
        return _several(int, value)
    if vr in _FLOATS:
        return _several(float, value)
    if vr == "AT":
        return _several(_tag, value)
    return value


def _tag(text: str) -> BaseTag:
    return Tag(int(text.strip("()").replace(",", ""), 16))


def _several(parse: Callable[[str], Any], value: str) -> Any:
    """No, one or many values; None stands for none."""
    if not value:
        return None
    parts = [parse(part.strip()) for part in value.split("\\")]
    return parts[0] if len(parts) == 1 else parts
