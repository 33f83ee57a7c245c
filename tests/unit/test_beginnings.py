"""Headers from the first bytes of files are those of the whole files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, dcmread
from pydicom.tag import BaseTag

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


def test_headers_that_are_laid_out_alike_are_those_of_the_whole_files() -> None:
    """Numbers that get longer, elements that come and go, and a character set that changes and changes back."""
    made = image_series(Grid(planes=40), SpecificCharacterSet="ISO_IR 100", PatientName="Äpfel^Öl")
    for number, data in enumerate(made):
        data.ImageComments = f"ä{number}" if number % 3 else ""
        data.SpecificCharacterSet = "ISO_IR 192" if number in {7, 8, 30} else "ISO_IR 100"
        if number % 7 == 5:
            data.PatientWeight = f"{70 + number}"
        if number % 11 == 3:
            data.WindowCenter = ["40", "400"]
    files = [to_bytes(data) for data in made]
    reader = Beginnings()
    for content in (*files, *reversed(files)):
        expected = header_of(content)
        found = reader.read(content)
        assert found == expected
        assert [e.VR for e in found] == [e.VR for e in expected]
        assert str(found.get("ImageComments")) == str(expected.get("ImageComments"))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_bytes_of_a_header_change_it_is_read_as_without_a_layout(data: st.DataObject) -> None:
    """Element by element: a header is not taken to be laid out like another one that it only looks like."""
    files = series()
    by_layout, by_element = Beginnings(), Beginnings()
    for reader in (by_layout, by_element):
        reader.read(files[0])
    by_element._layouts.clear()
    content = bytearray(files[data.draw(st.sampled_from([0, 0, 1, 3]))])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, header_length(files[0]) - 1))
        content[place] = data.draw(st.integers(0, 255))
    found = [_read(reader, bytes(content)) for reader in (by_layout, by_element)]
    assert found[0] == found[1]


def _read(reader: Beginnings, content: bytes) -> list[tuple[int, str]] | None:
    try:
        header = reader.read(content)
    except NotReadableError:
        return None
    return [(int(tag), _value(header, tag)) for tag in sorted(header.keys())]


def _value(header: Dataset, tag: BaseTag) -> str:
    try:
        return repr(header[tag])
    except Exception as error:  # noqa: BLE001 - whatever pydicom raises for it
        return type(error).__name__


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
