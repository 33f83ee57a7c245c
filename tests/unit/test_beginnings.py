"""Headers from the first bytes of files are those of the whole files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread

from orthanc_mask2seg.pacs.beginnings import Beginnings, NotReadableError, header_length, headers
from orthanc_mask2seg.pacs.part10 import header_of
from tests.builders import Grid, image_series, to_bytes


def series() -> list[bytes]:
    """Slices that differ in much: numbers, texts that are not ASCII, sequences, private and missing elements."""
    made = image_series(Grid(planes=5), SpecificCharacterSet="ISO_IR 100", PatientName="Äpfel^Öl")
    for number, data in enumerate(made):
        item = Dataset()
        item.CodeMeaning = f"Übersicht {number // 2}"
        data.ProcedureCodeSequence = [item]
        data.add_new(0x00091001, "LO", f"private {number}")
        data.ImageComments = "ä" * (number + 1)
    del made[2].SliceThickness
    made[3].PatientWeight = "75"
    made[4].WindowCenter = ["40", "400"]
    return [to_bytes(data) for data in made]


def test_headers_are_those_of_the_whole_files() -> None:
    files = series()
    length = max(header_length(content) for content in files) + 8
    for content, header in zip(files, headers(content[:length] for content in files), strict=True):
        expected = header_of(content)
        assert header == expected
        assert [e.VR for e in header] == [e.VR for e in expected]
        assert str(header.PatientName) == "Äpfel^Öl"


def test_what_is_given_to_one_header_or_taken_from_it_is_its_own() -> None:
    """They share the elements that they have in common, which nobody changes."""
    files = series()
    first, second, third = list(headers(files))[:3]
    second["PatientName"] = DataElement("PatientName", "PN", "Other")
    second["ImageType"] = DataElement("ImageType", "CS", ["DERIVED", "PRIMARY"])
    del second.ProcedureCodeSequence
    for header, content in ((first, files[0]), (third, files[2])):
        assert header == header_of(content)


def test_a_value_that_is_broken_is_what_pydicom_makes_of_it() -> None:
    files = series()
    position = files[1].index(b"-120.5\\")
    files[1] = files[1][:position] + b"-12x.5" + files[1][position + 6 :]
    second = list(headers(files))[1]
    assert second == header_of(files[1])
    assert second["ImagePositionPatient"].VR == header_of(files[1])["ImagePositionPatient"].VR


@pytest.mark.parametrize("what", ["cut off", "no DICOM", "nothing", "implicit", "a sequence without end"])
def test_what_only_the_whole_file_can_tell(what: str) -> None:
    content = series()[0]
    data = dcmread(io.BytesIO(content))
    if what == "implicit":
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        target = io.BytesIO()
        data.save_as(target, implicit_vr=True, little_endian=True)
        content = target.getvalue()
    elif what == "a sequence without end":
        data["ProcedureCodeSequence"].is_undefined_length = True
        content = to_bytes(data)
    else:
        content = {"cut off": content[:900], "no DICOM": b"x" * 4000, "nothing": b""}[what]
    with pytest.raises(NotReadableError):
        Beginnings().read(content)


def test_another_character_set_is_read_as_such() -> None:
    files = series()
    data = dcmread(io.BytesIO(files[1]))
    data.SpecificCharacterSet, data.PatientName = "ISO_IR 192", "中^文"
    files[1] = to_bytes(data)
    for content, header in zip(files, headers(files), strict=True):
        assert header == header_of(content)
    assert np.unique([str(h.PatientName) for h in headers(files)]).tolist() == ["Äpfel^Öl", "中^文"]
