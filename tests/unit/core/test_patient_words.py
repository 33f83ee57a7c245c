"""No segment is called after its patient."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from orthanc_mask2seg.core.segments import Naming, describe


def header(description: str, name: str = "Smith^John", number: str = "P-0815") -> Dataset:
    data = Dataset()
    data.SeriesDescription, data.PatientName, data.PatientID = description, name, number
    return data


@pytest.mark.parametrize(
    ("description", "label"),
    [
        ("Mask of John Smith", "Segment 1"),
        ("JOHN_SMITH_liver_mask", "liver"),
        ("liver P-0815", "liver"),
        ("P-0815", "Segment 1"),
        ("Smith^John", "Segment 1"),
        ("smithfield nodule", "smithfield nodule"),
        ("liver", "liver"),
    ],
)
def test_the_patient_is_left_out(description: str, label: str) -> None:
    """Whole words only, in whatever case."""
    (spec,) = describe([1], header(description))
    assert spec.label == label


def test_what_a_mask_says_of_a_label_is_cleaned_too() -> None:
    """SegmentLabel of the mask's own items."""
    data = header("segmentation")
    data.SegmentSequence = [Dataset(), Dataset()]
    for number, item in enumerate(data.SegmentSequence, start=1):
        item.SegmentNumber, item.SegmentLabel = number, f"Smith lesion {number}"
    assert [spec.label for spec in describe([1, 2], data)] == ["lesion 1", "lesion 2"]


def test_a_patient_called_like_an_organ() -> None:
    """3D-IRCADb: the name of the structure is the PatientName, and the description says it as well."""
    (spec,) = describe([1], header("liver mask", name="liver"))
    assert spec.label == "liver"
    (spec,) = describe([1], header("", name="liver"), Naming(patient_name_rule=True))
    assert spec.label == "liver"


def test_other_names_and_numbers() -> None:
    """Several values."""
    data = header("Jones Brown 4711 lesion")
    data.OtherPatientNames, data.OtherPatientIDs = ["Jones^J", "Brown^J"], ["4711", "4712"]
    (spec,) = describe([1], data)
    assert spec.label == "lesion"


def test_a_short_number_is_taken_only_where_it_is_all() -> None:
    """PatientID 7 is no reason to rename "segment 7"."""
    (spec,) = describe([1], header("liver segment 7", number="7"))
    assert "7" in spec.label
