"""What every archive promises, asked of each: Orthanc, folders, memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from contract.samples import Sample, changed, sample
from orthanc_server import OrthancServer
from pydicom import Dataset, dcmread

from orthanc_mask2seg.errors import ArchiveRejected, Mask2SegError, NotInArchive, StoreMismatch
from orthanc_mask2seg.model import ArchiveKey, Series, Uid
from orthanc_mask2seg.pacs.folder import FolderArchive
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.pacs.port import Archive, Journal

Fill = Callable[[Sample], Archive]

NO_SERIES = ArchiveKey("00000000-00000000-00000000-00000000-00000000")
TEXTS = ("SeriesDescription", "PatientName", "PatientID", "Modality", "StudyDate", "SOPInstanceUID", "AccessionNumber")
DECIMALS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleIntercept")
NUMBERS = ("Rows", "Columns", "BitsStored", "PixelPaddingValue", "InstanceNumber", "CTDIvol")


@pytest.fixture(params=["orthanc", "folder", "memory"])
def fill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fill]:
    """Function that puts a sample into an archive and gives the archive."""
    if request.param == "orthanc":
        server: OrthancServer = request.getfixturevalue("shared_orthanc")
        with OrthancArchive(server.url, server.username, server.password, 30) as archive:
            yield lambda given: in_orthanc(server, archive, given)
    elif request.param == "folder":
        yield lambda given: in_folder(tmp_path, given)
    else:
        yield in_memory


def in_orthanc(server: OrthancServer, archive: OrthancArchive, given: Sample) -> Archive:
    for content in given.files:
        requests.post(f"{server.url}/instances", content, auth=server.auth, timeout=30).raise_for_status()
    return archive


def in_folder(folder: Path, given: Sample) -> Archive:
    for name, files in (("ct", given.ct), ("mask", given.mask)):
        below = folder / "in" / "deep" / name
        below.mkdir(parents=True)
        for number, content in enumerate(files):
            (below / f"{number}.dcm").write_bytes(content)
    return FolderArchive([folder / "in"], folder / "out")


def in_memory(given: Sample) -> Archive:
    archive = MemoryArchive()
    for content in given.files:
        archive.add(content)
    return archive


def by_uid(content: bytes) -> str:
    return str(dcmread(io.BytesIO(content), stop_before_pixels=True).SOPInstanceUID)


def test_a_scan_finds_both_series(fill: Fill) -> None:
    given = sample()
    found = {series.series_instance_uid: series for series in fill(given).all_series()}
    ct, mask = found[Uid(given.ct_uid)], found[Uid(given.mask_uid)]
    assert ct.study_instance_uid == mask.study_instance_uid == given.study_uid
    assert (ct.modality, ct.series_description, ct.series_number) == ("CT", "Thorax ünd Abdomen", "4")
    assert (ct.manufacturer, ct.station_name) == ("Maker", "CT01")
    assert (mask.series_description, mask.series_number) == ("Tumour mask", "77")
    assert len(set(ct.instance_keys) | set(mask.instance_keys)) == len(given.files)


def test_series_are_found_by_key_by_uid_and_by_study(fill: Fill) -> None:
    given = sample()
    archive = fill(given)
    mask = archive.find_series(given.mask_uid)
    assert mask.series_instance_uid == given.mask_uid
    assert as_set(archive.series(mask.key)) == as_set(mask) == as_set(archive.find_series(mask.key))
    of_study = archive.series_of_study(Uid(given.study_uid))
    assert {series.series_instance_uid for series in of_study} == {given.ct_uid, given.mask_uid}
    assert as_set(mask) in [as_set(series) for series in of_study]


def as_set(series: Series) -> tuple[Any, ...]:
    return (series.key, series.study_instance_uid, series.version, frozenset(series.instance_keys), series.modality)


@pytest.mark.parametrize("key", [NO_SERIES, "no such key", "1.2.3.4", "../../etc/passwd", "", "a?b#c"])
def test_what_is_not_there_is_not_in_archive(fill: Fill, key: str) -> None:
    archive = fill(sample(1))
    for ask in (archive.series, archive.find_series, archive.content):
        with pytest.raises(NotInArchive):
            ask(ArchiveKey(key))
    with pytest.raises(NotInArchive):
        list(archive.contents((ArchiveKey(key),)))
    assert archive.series_of_study(Uid(key)) == ()


def test_headers_are_those_of_the_files_in_the_order_of_the_keys(fill: Fill) -> None:
    given = sample(7)
    archive = fill(given)
    for uid, files in ((given.ct_uid, given.ct), (given.mask_uid, given.mask)):
        series = archive.find_series(uid)
        headers = archive.headers(series)
        assert len(headers) == len(files)
        contents = list(archive.contents(series.instance_keys))
        assert sorted(contents) == sorted(files)
        for header, content in zip(headers, contents, strict=True):
            same(header, dcmread(io.BytesIO(content), stop_before_pixels=True))


def same(header: Dataset, truth: Dataset) -> None:
    assert "PixelData" not in header
    for keyword in TEXTS + NUMBERS:
        assert header[keyword].VR == truth[keyword].VR, keyword
        assert header[keyword].value == truth[keyword].value, keyword
    for keyword in DECIMALS:
        assert str(header[keyword].value) == str(truth[keyword].value), keyword
        assert header[keyword].value == truth[keyword].value, keyword
    assert list(header.ImageType) == list(truth.ImageType)
    assert header.ProcedureCodeSequence[0].CodeMeaning == "Übersicht"
    assert not any(element.tag.is_private for element in header)


def test_headers_can_be_changed_without_changing_others(fill: Fill) -> None:
    given = sample(2)
    archive = fill(given)
    first, second = archive.headers(archive.find_series(given.ct_uid))
    first.PatientID = "other"
    first.ImageType[0] = "DERIVED"
    first.ProcedureCodeSequence[0].CodeValue = "2"
    assert second.PatientID != "other"
    assert second.ImageType[0] == "ORIGINAL"
    assert second.ProcedureCodeSequence[0].CodeValue == "1"


def test_contents_come_in_the_order_asked_for(fill: Fill) -> None:
    given = sample(30)
    archive = fill(given)
    keys = tuple(reversed(archive.find_series(given.ct_uid).instance_keys))
    expected = [archive.content(key) for key in keys]
    assert list(archive.contents(keys)) == expected
    assert sorted(expected) == sorted(given.ct)


def test_contents_can_be_left_early(fill: Fill) -> None:
    given = sample(30)
    archive = fill(given)
    keys = archive.find_series(given.ct_uid).instance_keys
    contents = archive.contents(keys)
    assert next(contents) == archive.content(keys[0])
    cast("Any", contents).close()
    assert archive.content(keys[1])


def test_storing_twice_is_storing_once(fill: Fill) -> None:
    archive, content = fill(sample(1)), sample(1).ct[0]
    first, again = archive.store(content), archive.store(content)
    assert (first.created, again.created) == (True, False)
    assert first.key == again.key
    assert first.sop_instance_uid == by_uid(content)
    assert archive.content(first.key) == content


def test_storing_other_bytes_under_the_same_name_is_refused(fill: Fill) -> None:
    archive, content = fill(sample(1)), sample(1).ct[0]
    receipt = archive.store(content)
    with pytest.raises(StoreMismatch):
        archive.store(changed(content, SeriesDescription="something else"))
    assert archive.content(receipt.key) == content


def test_what_was_stored_can_be_deleted_and_stored_again(fill: Fill) -> None:
    archive, content = fill(sample(1)), sample(1).ct[0]
    receipt = archive.store(content)
    archive.delete_instance(receipt.key)
    archive.delete_instance(receipt.key)
    with pytest.raises(NotInArchive):
        archive.content(receipt.key)
    assert archive.store(content).created


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", bytes(200), b"\0" * 128 + b"DICM" + b"\xff" * 50])
def test_what_is_not_dicom_is_not_stored(fill: Fill, content: bytes) -> None:
    archive = fill(sample(1))
    with pytest.raises(ArchiveRejected):
        archive.store(content)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_instance_without_its_uids_is_not_stored(fill: Fill, keyword: str) -> None:
    archive = fill(sample(1))
    with pytest.raises(ArchiveRejected):
        archive.store(changed(sample(1).ct[0], **{keyword: None}))


def test_errors_hold_no_identifiers(fill: Fill) -> None:
    given = sample(1, patient_id="SECRET-PATIENT")
    archive = fill(given)
    receipt = archive.store(given.mask[0])
    with pytest.raises(Mask2SegError) as told:
        archive.store(changed(given.mask[0], SeriesDescription="SECRET-TEXT"))
    if receipt.path is None:  # a path that the user gave may be told
        assert given.mask_uid not in str(told.value)
        assert by_uid(given.mask[0]) not in str(told.value)
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize("fill", ["orthanc", "memory"], indirect=True)
def test_the_journal_tells_of_arrivals_page_by_page(fill: Fill) -> None:
    archive = fill(sample(1))
    assert isinstance(archive, (OrthancArchive, MemoryArchive))
    journal: Journal = archive
    start = journal.last_change()
    given = sample(3)
    fill_more(archive, given)
    mask = archive.find_series(given.mask_uid)
    found, since, done = [], start, False
    while not done:
        page = journal.changes(since, 2)
        assert len(page.changes) <= 2
        assert all(change.sequence > since for change in page.changes)
        found += page.changes
        since, done = page.last, page.done
    assert ("NewSeries", mask.key) in {(change.kind, change.key) for change in found}
    assert {c.key for c in found if c.kind == "NewInstance"} >= set(mask.instance_keys)
    assert since == journal.last_change()
    assert journal.changes(since, 10).changes == ()


@pytest.mark.parametrize("fill", ["orthanc", "memory"], indirect=True)
def test_a_page_never_jumps_to_the_end_and_shows_a_reset(fill: Fill) -> None:
    archive = fill(sample(3))
    assert isinstance(archive, (OrthancArchive, MemoryArchive))
    start = archive.last_change()
    fill_more(archive, sample(2))
    assert archive.changes(start, 0).last == start + 1
    beyond = archive.changes(archive.last_change() + 1000, 5)
    assert (beyond.changes, beyond.done) == ((), True)
    assert beyond.last == archive.last_change()


def fill_more(archive: Archive, given: Sample) -> None:
    for content in given.files:
        archive.store(content)


@pytest.mark.parametrize("fill", ["orthanc", "memory"], indirect=True)
def test_a_deleted_instance_is_not_in_the_series(fill: Fill) -> None:
    given = sample(3)
    archive = fill(given)
    before = archive.find_series(given.mask_uid)
    archive.delete_instance(before.instance_keys[0])
    after = archive.find_series(given.mask_uid)
    assert set(after.instance_keys) == set(before.instance_keys[1:])
    assert after.version != before.version
    with pytest.raises(NotInArchive):
        archive.headers(before)
    assert len(archive.headers(after)) == 2


@pytest.mark.parametrize("fill", ["orthanc", "memory"], indirect=True)
def test_keys_are_orthancs_own(fill: Fill) -> None:
    given = sample(1, patient_id="Größe 1 ")
    series = fill(given).find_series(given.ct_uid)
    memory = in_memory(given).find_series(given.ct_uid)
    assert (series.key, series.study_key, series.instance_keys) == (memory.key, memory.study_key, memory.instance_keys)


def test_labels_and_notes_are_taken_or_politely_not(fill: Fill) -> None:
    """What an archive keeps, it tells; what it cannot keep, it says so; and the series stays the same version."""
    given = sample(2)
    archive = fill(given)
    mask = archive.find_series(given.mask_uid)
    kept = archive.keep_note(mask.key, '{"a": "ü"}')
    assert archive.note(mask.key) == ('{"a": "ü"}' if kept else None)
    ours = frozenset({"mask2seg-mask", "mask2seg-refused"})
    assert archive.label(mask.key, ours, ours) is archive.label(mask.key, frozenset(), ours)
    assert archive.find_series(given.mask_uid).version == mask.version
