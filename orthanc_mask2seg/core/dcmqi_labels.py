"""dcmqi's meta-information of a segmentation (its `seg` JSON schema), read as a table of labels.

`TrackingIdentifier` and `TrackingUniqueIdentifier` are read over: a file that serves many patients would give all of
them one and the same finding. So are `ContentCreatorName`, `SeriesDescription` and the like.
"""

from __future__ import annotations

from typing import Any

from orthanc_mask2seg.core.labels import (
    ALGORITHM_TYPES,
    LabelRow,
    LabelTable,
    Record,
    add_row,
    is_json,
    json_of,
    label_value,
    parse_rows,
    rgb_colour,
)
from orthanc_mask2seg.core.terms import Coding
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import CodedConcept

_ATTRIBUTES = "segmentAttributes"


def parse(text: str, source: str = "LabelTable") -> LabelTable:
    """Read a label table: dcmqi's meta-information, JSON or CSV; see `labels.parse_rows`.

    Raises
    ------
    ConfigurationError
        Names the row and what is wrong with it.
    """
    text = text.removeprefix("\ufeff")
    if is_json(text):
        document = json_of(text, source)
        if isinstance(document, dict) and _ATTRIBUTES in document:
            return _of_document(document, source)
    return parse_rows(text, source)


def _of_document(document: dict[str, Any], source: str) -> LabelTable:
    files = document[_ATTRIBUTES]
    if not isinstance(files, list) or not all(isinstance(segments, list) for segments in files):
        raise ConfigurationError(f"{source}: {_ATTRIBUTES} must be a list of lists of segments")
    rows: dict[int, LabelRow] = {}
    for place, segments in enumerate(files, start=1):
        for number, segment in enumerate(segments, start=1):
            where = f"{source}, {_ATTRIBUTES} {place}, segment {number}"
            if not isinstance(segment, dict):
                raise ConfigurationError(f"{where}: a segment is a JSON object")
            record = Record(where, {**segment, "value": segment.get("labelID")})
            add_row(rows, record, label_value(record), _row(record))
    return LabelTable(name=source, rows=rows)


def _row(record: Record) -> LabelRow:
    category = _concept(record, "SegmentedPropertyCategoryCodeSequence")
    property_type = _concept(record, "SegmentedPropertyTypeCodeSequence")
    if category is None or property_type is None:
        raise record.wrong("SegmentedPropertyCategoryCodeSequence and SegmentedPropertyTypeCodeSequence are needed")
    modifiers = [
        _concept(record, name)
        for name in ("SegmentedPropertyTypeModifierCodeSequence", "AnatomicRegionModifierSequence")
    ]
    region = _concept(record, "AnatomicRegionSequence")
    kind = record.text("SegmentAlgorithmType").upper()
    if kind and kind not in ALGORITHM_TYPES:
        raise record.wrong(f"SegmentAlgorithmType {kind!r} is none of {', '.join(ALGORITHM_TYPES)}")
    names = (record.text(key) for key in ("SegmentLabel", "SegmentDescription"))
    return LabelRow(
        name=next((name for name in names if name), property_type.meaning),
        coding=Coding(
            category=category,
            property_type=property_type,
            modifiers=tuple(dict.fromkeys(m for m in modifiers if m is not None)),
            regions=(region,) if region else (),
            colour=_colour(record),
        ),
        algorithm_type=kind,
        algorithm_name=record.text("SegmentAlgorithmName")[:64],
    )


def _colour(record: Record) -> tuple[float, float, float] | None:
    value = record.cells.get("recommendedDisplayRGBValue")
    colour = None if value is None else rgb_colour(value)
    if value is not None and colour is None:
        raise record.wrong(f"recommendedDisplayRGBValue {value!r} is not three numbers from 0 to 255")
    return colour


def _concept(record: Record, name: str) -> CodedConcept | None:
    item = record.cells.get(name)
    if isinstance(item, list):
        item = item[0] if item else None
    if item is None:
        return None
    keys = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    parts = [str(item.get(key) or "").strip() for key in keys] if isinstance(item, dict) else []
    if not parts or not all(parts):
        raise record.wrong(f"{name} needs {', '.join(keys)}")
    value, scheme, meaning = parts
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning[:64])
