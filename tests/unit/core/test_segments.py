"""What the segments of a mask are called, and who says so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from orthanc_mask2seg.config import Settings, load
from orthanc_mask2seg.core.dcmqi_labels import parse
from orthanc_mask2seg.core.segments import TISSUE, Naming, clean_name, describe
from orthanc_mask2seg.core.totalsegmentator import table
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import SegmentSpec
from orthanc_mask2seg.service import pipeline
from orthanc_mask2seg.service.naming import naming_of
from tests.builders import Study, study


def header(description: str = "", **tags: Any) -> Dataset:
    data = Dataset()
    data.SeriesDescription = description
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def segment(number: int, **tags: Any) -> Dataset:
    item = Dataset()
    item.SegmentNumber = number
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def one(data: Dataset, naming: Naming | None = None, label: int = 1) -> SegmentSpec:
    (spec,) = describe([label], data, naming)
    return spec


def shown(specs: tuple[SegmentSpec, ...]) -> list[tuple[str, str]]:
    return [(s.label, "" if s.needs_coding else s.property_type.meaning) for s in specs]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("liver mask", "liver"), ("LiverMask", "Liver"), ("seg_liver_v2", "liver"), ("mask-Leber", "Leber"),
        ("Lebermaske", "Leber"), ("GTV_Mass", "GTV_Mass"), ("GTV mask 0-255", "GTV"), ("Nierenzystenmaske",
        "Nierenzysten"), ("GTV (tumour slices only)", "GTV"), ("Segmentierung Leber", "Leber"), ("肝臓マスク", "肝臓"),
        ("masque du foie", "du foie"), ("mask", ""), ("MASK 3", ""), ("label 1", ""), ("0-255", ""), ("", ""),
        ("seg_LeftKidney-v2", "Left Kidney"), ("a\\b\n c", "ab c"), ("x" * 80, "x" * 64), ("ROI", "ROI"),
    ],
)  # fmt: skip
def test_names_are_cleaned(text: str, expected: str) -> None:
    """Words that say only that this is a mask go; the site's own words stay."""
    assert clean_name(text) == expected


def test_the_sites_word_is_the_label_and_its_meaning_the_code() -> None:
    """A German name, coded."""
    spec = one(header("mask-Leber"))
    assert (spec.label, spec.property_type.value, spec.needs_coding) == ("Leber", "10200004", False)
    assert spec.tracking_id == "Leber"


def test_a_finding_in_an_organ_has_its_region() -> None:
    """Never the organ's own code."""
    spec = one(header("liver tumour"))
    assert (spec.category.value, spec.property_type.value) == ("49755003", "108369006")
    assert [r.value for r in spec.anatomic_regions] == ["10200004"]


def test_an_unknown_name_has_no_borrowed_code() -> None:
    """Generic category and type; the name in the label."""
    spec = one(header("liver without vessels"))
    assert (spec.label, spec.category, spec.property_type) == ("liver without vessels", TISSUE, TISSUE)
    assert spec.needs_coding


def test_labels_without_names_are_numbered() -> None:
    """And of many labels under one description none has its code: one may be the tumour."""
    assert shown(describe([1], header("mask"))) == [("Segment 1", "")]
    assert shown(describe([1, 3], header())) == [("Label 1", ""), ("Label 3", "")]
    assert shown(describe([1, 2], header("liver mask"))) == [("liver 1", ""), ("liver 2", "")]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"SegmentLabel": "Milz"}, ("Milz", "Spleen")),
        ({"SegmentSequence": [segment(1, SegmentLabel="Milz")]}, ("Milz", "Spleen")),
        ({"ROIName": "spleen_seg"}, ("spleen", "Spleen")),
        ({"ContentLabel": "SEGMENTATION", "ContentDescription": "spleen"}, ("spleen", "Spleen")),
        ({"ContentLabel": "SPLEEN"}, ("SPLEEN", "Spleen")),
        ({"ImageComments": "Mr. Doe's spleen"}, ("Segment 1", "")),
        ({"DerivationDescription": "spleen", "ProtocolName": "spleen"}, ("Segment 1", "")),
    ],
)
def test_a_silent_description_is_helped_out(tags: dict[str, Any], expected: tuple[str, str]) -> None:
    """By attributes that speak of the segment; not by those that may speak of the patient."""
    assert shown(describe([1], header("binary mask", **tags))) == [expected]
    assert shown(describe([1], header("liver", **tags))) == [("liver", "Liver")], "not asked"


def test_a_body_part_is_a_place_and_no_name() -> None:
    """A mask in a study of the brain may well be a tumour."""
    spec = one(header("mask", BodyPartExamined="BRAIN"))
    assert (spec.label, spec.property_type, spec.needs_coding) == ("Segment 1 (brain)", TISSUE, True)
    assert [r.meaning for r in spec.anatomic_regions] == ["Brain"]
    assert one(header("mask", BodyPartExamined="CHEST")).label == "Segment 1"
    assert one(header("XY", BodyPartExamined="BRAIN")).anatomic_regions == ()


def test_the_patients_name_is_read_only_by_rule_and_never_shown_if_unknown() -> None:
    """3D-IRCADb has the organ there; everybody else has a person there."""
    rule = Naming(patient_name_rule=True)
    assert one(header("mask", PatientName="livertumor01")).label == "Segment 1"
    found = one(header("mask", PatientName="livertumor01"), rule)
    assert (found.label, found.property_type.meaning) == ("livertumor01", "Neoplasm")
    assert one(header("mask", PatientName="Doe^Jane"), rule).label == "Segment 1"
    assert one(header("spleen", PatientName="liver"), rule).label == "spleen"


def test_a_table_goes_by_value() -> None:
    """Before the description; a value that it lacks is named as without it."""
    naming = Naming(table=parse("1,Leber\n2,Herd X\n3,left kidney\n4,Leber"))
    specs = describe([1, 2, 3, 4, 9], header("CT abdomen", SeriesInstanceUID="1.2"), naming)
    assert shown(specs) == [
        ("Leber", "Liver"), ("Herd X", ""), ("left kidney", "Kidney"), ("Leber 2", "Liver"), ("CT abdomen 9", ""),
    ]  # fmt: skip
    assert len({s.recommended_display_cielab for s in specs}) == len(specs)


def test_a_named_mask_of_one_label_is_no_class_number() -> None:
    """The 1 of "liver mask" is not TotalSegmentator's spleen."""
    naming = Naming(table=table())
    assert shown(describe([1], header("liver mask"), naming)) == [("liver", "Liver")]
    assert shown(describe([1], header("ROI XY"), naming)) == [("ROI XY", "")]
    assert shown(describe([1], header("mask"), naming)) == [("spleen", "Spleen")]
    own = Naming(table=parse("1,Milz"))
    assert shown(describe([1], header("XY"), own)) == [("Milz", "Spleen")], "the site's word"


def test_a_site_teaches_names() -> None:
    """They go before the built-in ones."""
    naming = Naming(table=parse('{"Herd X": "52988006", "liver": {"code": "78961009"}}'))
    assert shown(describe([1], header("Herd X Maske"), naming)) == [("Herd X", "Lesion")]
    assert shown(describe([1], header("liver"), naming)) == [("liver", "Spleen")]


@pytest.mark.parametrize(
    ("labels", "description", "tags", "names"),
    [
        ([1, 5], "TotalSegmentator labelmap", {}, ["spleen", "liver"]),
        ([1], "TotalSegmentator labelmap", {}, ["spleen"]),
        ([1, 5], "mask", {"ManufacturerModelName": "TotalSegmentator"}, ["spleen", "liver"]),
        ([1], "TotalSegmentator", {}, ["TotalSegmentator"]),
        ([1], "TotalSegmentator liver", {}, ["TotalSegmentator liver"]),
        ([1, 2], "TotalSegmentator lung_vessels", {}, ["TotalSegmentator lung_vessels 1"] * 0 or None),
        ([1, 2], "TotalSegmentator total_mr", {}, None),
        ([1, 2], "TotalSegmentator labelmap", {"Modality": "MR"}, None),
        ([1, 118], "TotalSegmentator labelmap", {}, None),
        ([1, 5], "labelmap", {"PatientName": "TotalSegmentator"}, None),
    ],
)
def test_totalsegmentators_classes_are_recognised(
    labels: list[int], description: str, tags: dict[str, Any], names: list[str] | None
) -> None:
    """Only where a text of the header says so and nothing speaks against it."""
    specs = describe(labels, header(description, **tags))
    if names is None:
        assert all(s.needs_coding for s in specs)
    else:
        assert [s.label for s in specs] == names


def test_who_drew_it() -> None:
    """The table, the mask, the settings, in this order."""
    ours = Naming(algorithm_type="MANUAL", algorithm_name="readers")
    assert (one(header("x")).algorithm_type, one(header("x")).algorithm_name) == ("SEMIAUTOMATIC", "unspecified")
    spec = one(header("x"), ours)
    assert (spec.algorithm_type, spec.algorithm_name) == ("MANUAL", "readers")
    item = segment(1, SegmentAlgorithmType="AUTOMATIC", SegmentAlgorithmName="nnU-Net")
    spec = one(header("x", SegmentSequence=[item]), ours)
    assert (spec.algorithm_type, spec.algorithm_name) == ("AUTOMATIC", "nnU-Net")
    assert one(header("x", SegmentAlgorithmType="MAGIC")).algorithm_type == "SEMIAUTOMATIC"
    assert one(header("TotalSegmentator labelmap")).algorithm_name == "TotalSegmentator"


def test_labels_of_a_mask_that_names_them() -> None:
    """In the way of segmentations."""
    items = [segment(1, SegmentLabel="liver"), segment(2, SegmentLabel="liver tumor"), segment(4, SegmentLabel="liver")]
    specs = describe([1, 2, 3, 4], header("", SegmentSequence=items))
    assert shown(specs) == [("liver", "Liver"), ("liver tumor", "Neoplasm"), ("Label 3", ""), ("liver 2", "Liver")]


@given(st.text(max_size=100), st.lists(st.integers(1, 300), min_size=1, max_size=6, unique=True))
def test_labels_are_what_dicom_takes(text: str, labels: list[int]) -> None:
    """At most 64 printable characters, no backslash, not empty, no two alike."""
    specs = describe(sorted(labels), header(text.replace("\\", "")))
    names = [s.label for s in specs]
    assert len(set(names)) == len(names) == len(labels)
    assert all(0 < len(n) <= 64 and n.isprintable() and "\\" not in n and n == n.strip() for n in names)


def segments_of(made: Study, settings: Settings | None = None) -> list[Dataset]:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), settings or Settings())
    assert not isinstance(ended, pipeline.NotYet)
    assert ended[0].outputs, ended[0]
    return list(dcmread(io.BytesIO(archive.content(ended[0].outputs[0].orthanc_id))).SegmentSequence)


def test_the_segmentation_says_it() -> None:
    """Type, region, laterality and colour as they are encoded."""
    (item,) = segments_of(study(description="Nierenzyste links"))
    assert item.SegmentLabel == item.TrackingID == "Nierenzyste links"
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Cyst"
    modifier = item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert modifier.CodeMeaning == "Left"
    assert item.AnatomicRegionSequence[0].CodeValue == "64033007"
    assert len(item.RecommendedDisplayCIELabValue) == 3


def test_a_corrected_mask_has_the_same_finding() -> None:
    """TrackingUID depends on the mask's series and the label, not on the voxels."""
    first = study()
    second = study(stored=lambda labels: np.where(np.arange(labels.shape[1])[:, None] % 2, labels, 0).astype(np.uint16))
    assert first.mask[0].SeriesInstanceUID == second.mask[0].SeriesInstanceUID
    uids = {segments_of(made)[0].TrackingUID for made in (first, second)}
    assert len(uids) == 1
    assert uids != {segments_of(study(number=902))[0].TrackingUID}


def test_settings_reach_the_segmentation(tmp_path: Path) -> None:
    """LabelTable is relative to the configuration file; the built-in table is no path."""
    (tmp_path / "labels.csv").write_text("1,Milz\n")
    file = tmp_path / "orthanc.json"
    file.write_text('{"Mask2Seg": {"LabelTable": "labels.csv", "AlgorithmType": "MANUAL"}}')
    (item,) = segments_of(study(description="mask"), load(file, {}))
    assert (item.SegmentLabel, item.SegmentAlgorithmType) == ("Milz", "MANUAL")
    file.write_text('{"Mask2Seg": {"LabelTable": "totalsegmentator"}}')
    assert naming_of(load(file, {})).table == table()
    assert naming_of(Settings()) == Naming()


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (b"\xff\xfe1", "UTF-8"), (b"[", "JSON")])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    """By its file name."""
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"labels.csv.*{message}"):
        naming_of(Settings(label_table=str(path)))
