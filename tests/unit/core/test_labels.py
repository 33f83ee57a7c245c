"""Label tables: JSON, CSV and dcmqi's meta-information."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orthanc_mask2seg.core.colours import cielab
from orthanc_mask2seg.core.dcmqi_labels import parse
from orthanc_mask2seg.core.labels import LabelTable
from orthanc_mask2seg.core.totalsegmentator import NAMES, table
from orthanc_mask2seg.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
TRUTH = ROOT.parent / "shared/data/A02_ts_multilabel_j2k/truth.json"


def types(read: LabelTable) -> dict[int, tuple[str, str]]:
    """Value to name and meaning of the type."""
    return {v: (r.name, r.coding.property_type.meaning if r.coding else "") for v, r in read.rows.items()}


@pytest.mark.parametrize(
    "text",
    [
        '{"1": "Leber", "7": "Was auch immer"}',
        '[{"value": 1, "name": "Leber"}, {"labelID": "7", "label": "Was auch immer"}]',
        "1,Leber\n7,Was auch immer\n",
        "\ufeffValue;Name\r\n1;Leber\r\n\r\n# a remark\r\n7;Was auch immer\r\n",
        'name\tvalue\nLeber\t1\n"Was auch immer"\t7\n',
    ],
)
def test_rows_name_values(text: str) -> None:
    """A name that the built-in table knows has its code; another has none."""
    assert types(parse(text)) == {1: ("Leber", "Liver"), 7: ("Was auch immer", "")}


def test_a_row_has_codes_side_and_colour_of_its_own() -> None:
    """Meaning and category may be left out where the code is in the built-in table."""
    row = parse("value,name,code,scheme,meaning,category,side,colour\n3,X,112121,DCM,,,rechts,#ff0000").rows[3]
    assert row.coding is not None
    assert row.coding.property_type.meaning == "Infiltrate"
    assert [m.meaning for m in row.coding.modifiers] == ["Right"]
    assert row.coding.colour == cielab("ff0000")
    new = parse('{"3": {"name": "Y", "code": "99:A1", "meaning": "Mine", "category": "Tissue", "rgb": [255, 0, 0]}}')
    coding = new.rows[3].coding
    assert coding is not None
    assert (coding.property_type.value, coding.property_type.scheme_designator) == ("A1", "99")
    assert coding.colour == cielab("ff0000")


def test_a_site_teaches_names() -> None:
    """A row without a value has a name and a code; rows with values may use it."""
    read = parse('{"Herd X": "52988006", "2": "Herd X"}')
    assert [t.name for t in read.terms] == ["Herd X"]
    assert types(read) == {2: ("Herd X", "Lesion")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("3", "has neither a value nor a code|no name|no rows"),
        ("[]", "no rows"),
        ("", "no rows"),
        ("[3]", "row 1: a row is a JSON object"),
        ('{"1": 3}', "table, 1: a row is a JSON object"),
        ('[{"value": 0, "name": "x"}]', "row 1: the value must be a whole number from 1"),
        ('[{"value": 1.5, "name": "x"}]', "row 1: the value must be"),
        ("1,liver\n1,spleen", "row 2: value 1 is named twice, as 'liver' and as 'spleen'"),
        ("value,name\n1,", "row 1: the row has no name"),
        ("value,nmae\n1,x", "first line: 'nmae' is not a column; did you mean 'name'"),
        ("1,a,b", "row 1: 3 cells for 2 columns"),
        ('1,"a', "not valid CSV"),
        ("value,name,code\n1,x,abc", "row 1: 'abc' is not a code of SCT"),
        ("value,name,code\n1,x,123456789", "row 1: the code 123456789 needs a meaning"),
        ("value,name,code,meaning\n1,x,123456789,M", "row 1: the code 123456789 needs a category"),
        ("value,name,code,category\n1,x,10200004,organ", "row 1: 'organ' is not a category"),
        ("value,name,category\n1,x,tissue", "row 1: a category needs a code"),
        ("value,name,side\n1,kidney,up", "row 1: 'up' is not a laterality"),
        ("value,name,colour\n1,kidney,redd", "row 1: 'redd' is not a colour"),
        ("value,name,code\n,x,", "row 1: 'x' has neither a value nor a code"),
    ],
)
def test_errors_name_the_row(text: str, message: str) -> None:
    """And the file."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse(text, "table")
    assert str(caught.value).startswith("table")


def concept(value: str, meaning: str) -> dict[str, str]:
    return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}


def dcmqi_segment(**other: Any) -> dict[str, Any]:
    return {
        "labelID": 1,
        "SegmentDescription": "Lesion in the liver",
        "SegmentLabel": "Lesion 1",
        "SegmentAlgorithmType": "AUTOMATIC",
        "SegmentAlgorithmName": "nnU-Net",
        "SegmentedPropertyCategoryCodeSequence": concept("49755003", "Morphologically Abnormal Structure"),
        "SegmentedPropertyTypeCodeSequence": concept("52988006", "Lesion"),
        "AnatomicRegionSequence": concept("10200004", "Liver"),
        "recommendedDisplayRGBValue": [255, 0, 0],
        "TrackingIdentifier": "Lesion 1",
        "TrackingUniqueIdentifier": "1.2.3.4",
    } | other


def dcmqi(*segments: dict[str, Any]) -> str:
    return json.dumps(
        {"ContentCreatorName": "Reader1", "SeriesDescription": "Lesions", "segmentAttributes": [list(segments)]}
    )


def test_dcmqi_meta_information_is_taken_as_it_is() -> None:
    """Except for the tracking UID, which would be that of many patients."""
    left = concept("7771000", "Left")
    other = dcmqi_segment(labelID=2, SegmentLabel="", SegmentedPropertyTypeModifierCodeSequence=[left])
    rows = parse(dcmqi(dcmqi_segment(), other)).rows
    assert [(v, r.name, r.algorithm_type, r.algorithm_name) for v, r in rows.items()] == [
        (1, "Lesion 1", "AUTOMATIC", "nnU-Net"),
        (2, "Lesion in the liver", "AUTOMATIC", "nnU-Net"),
    ]
    coding = rows[2].coding
    assert coding is not None
    assert [c.meaning for c in (coding.property_type, *coding.modifiers, *coding.regions)] == [
        "Lesion",
        "Left",
        "Liver",
    ]
    assert coding.colour == cielab("ff0000")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"segmentAttributes": {}}', "must be a list of lists"),
        ('{"segmentAttributes": [[3]]}', "segment 1: a segment is a JSON object"),
        (dcmqi(dcmqi_segment(labelID=None)), "segment 1: the value must be"),
        (dcmqi(dcmqi_segment(), dcmqi_segment()), "segment 2: value 1 is named twice"),
        (dcmqi(dcmqi_segment(SegmentAlgorithmType="MAGIC")), "'MAGIC' is none of"),
        (dcmqi(dcmqi_segment(SegmentedPropertyTypeCodeSequence=None)), "are needed"),
        (dcmqi(dcmqi_segment(AnatomicRegionSequence={"CodeValue": "1"})), "AnatomicRegionSequence needs CodeValue"),
        (dcmqi(dcmqi_segment(recommendedDisplayRGBValue=[1, 2])), "not three numbers"),
    ],
)
def test_errors_in_dcmqi_name_the_segment(text: str, message: str) -> None:
    """And what is wrong with it."""
    with pytest.raises(ConfigurationError, match=message):
        parse(text)


def test_the_examples_of_the_documentation_are_tables() -> None:
    """docs/segments.md."""
    text = (ROOT / "docs/segments.md").read_text(encoding="utf-8")
    for kind, count in (("csv", 3), ("json", 2)):
        example = re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)
        assert example
        read = parse(example[1])
        assert len(read.rows) == count
        assert all(row.coding for row in read.rows.values())
        assert [t.name for t in read.terms] == ["Herd X"]


def test_all_classes_of_totalsegmentator_are_coded() -> None:
    """117, each with a name of its own."""
    assert len(set(NAMES)) == len(NAMES) == 117
    assert [v for v, row in table().rows.items() if row.coding is None] == []
    by_name = {row.name: row.coding for row in table().rows.values()}
    for name, coding in by_name.items():
        side = "Left" if "_left" in name else "Right" if "_right" in name else ""
        assert coding is not None
        said = " ".join(c.meaning for c in (*coding.modifiers, coding.property_type)).casefold()
        assert side.casefold() in said, name


@pytest.mark.skipif(not TRUTH.is_file(), reason="the test data are not here")
def test_class_numbers_agree_with_the_data() -> None:
    """31 of them, by TotalSegmentator's own reference output."""
    segments = json.loads(TRUTH.read_text())["segments"]
    assert len(segments) == 31
    assert {s["label"]: s["name"] for s in segments} == {s["label"]: NAMES[s["label"] - 1] for s in segments}
