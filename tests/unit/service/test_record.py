"""What is written beside a series when the work on it has ended."""

import json
from dataclasses import replace

import pytest
from service_doubles import Index

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveUnreachable
from orthanc_mask2seg.model import Outcome, OutputReport, Reason, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.record import CONVERTED, LABELS, MASK, REFUSED, labels_of, record

OUTPUT = OutputReport(kind="SEG", sop_instance_uid="1.9", series_uid="1.seg", orthanc_id="x", sha256="abc")
DONE = Result(
    outcome=Outcome.CONVERTED,
    source_series_uid="1.ct",
    mask_series_uids=("1.mask",),
    mask_sha256=("def",),
    evidence=("2 distinct values (+0.50)",),
    outputs=(OUTPUT,),
)


@pytest.fixture
def archive():
    archive = Index()
    for key in ("ct", "mask", "seg"):
        archive.put(key, 2)
    return archive


@pytest.mark.parametrize(
    ("outcome", "reason", "labels"),
    [
        (Outcome.CONVERTED, None, {MASK, CONVERTED}),
        (Outcome.REFUSED, Reason.AMBIGUOUS_SOURCE, {MASK, REFUSED}),
        (Outcome.SKIPPED, Reason.EMPTY_MASK, {MASK}),
        (Outcome.SKIPPED, Reason.NOT_A_MASK, set()),
        (Outcome.SKIPPED, "superseded", None),
        (Outcome.SKIPPED, "deleted", None),
        (Outcome.FAILED, "archive_unreachable", None),
    ],
)
def test_labels_follow_from_the_result(outcome, reason, labels):
    found = labels_of(Result(outcome=outcome, reason=reason))
    assert found == labels
    assert (found or frozenset()) <= LABELS


def test_provenance_names_what_it_came_from(archive):
    record(archive, Settings(threshold=0.25, label_table="/secret/place/table.csv"), [DONE], job_id="a1")
    note = json.loads(archive.notes["seg"])
    assert note["masks"] == [{"series_uid": "1.mask", "orthanc_id": "mask", "sha256": "def"}]
    assert note["source"] == {"series_uid": "1.ct", "orthanc_id": "ct"}
    assert note["segmentation"] == {"series_uid": "1.seg", "sop_instance_uid": "1.9", "sha256": "abc"}
    assert (note["job"], note["evidence"]) == ("a1", ["2 distinct values (+0.50)"])
    assert (note["settings"]["threshold"], note["settings"]["label_table"]) == (0.25, "table.csv")
    assert set(note["libraries"]) == {"highdicom", "pydicom", "numpy"}
    assert "secret" not in archive.notes["seg"]


def test_what_was_not_converted_has_no_provenance(archive):
    record(archive, Settings(), [replace(DONE, outcome=Outcome.REFUSED, outputs=())])
    record(archive, Settings(), [replace(DONE, outputs=())])
    assert archive.notes == {}


def test_labels_can_be_turned_off(archive):
    record(archive, Settings(labels=False), [DONE])
    assert (archive.labels, len(archive.notes)) == ({}, 1)


def test_a_failure_is_logged_and_nothing_more(archive, caplog):
    archive.fault = ArchiveUnreachable("Orthanc is away")
    record(archive, Settings(), [DONE])
    assert "archive_unreachable" in caplog.text
    archive.fault = None
    archive.delete("seg")
    record(archive, Settings(), [DONE])
    assert "not_in_archive" in caplog.text
    assert archive.labels == {"mask": {MASK, CONVERTED}}


def test_an_archive_without_labels_or_notes_does_nothing():
    archive = MemoryArchive()
    assert not archive.label("k", frozenset({MASK}), LABELS)
    assert not archive.keep_note("k", "text")
    assert archive.note("k") is None
