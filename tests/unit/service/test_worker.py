"""What follows from the pipeline's answers, and from those of the archive."""

import dataclasses

import pytest
from service_doubles import Index

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import NotInArchive
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobRequest, RunAgain
from orthanc_mask2seg.model import Outcome, OutputReport, Result
from orthanc_mask2seg.service.pipeline import NotYet
from orthanc_mask2seg.service.worker import make_runner

SETTINGS = Settings(partial_rest_seconds=30.0)


class Archive(Index):
    def __init__(self):
        super().__init__()
        self.deleted = []

    def delete_instance(self, key):
        self._check()
        self.deleted.append(key)

    def find_series(self, uid):
        return self.series(uid)

    def mark(self, key, labels):
        self.marked = key, labels


@pytest.fixture
def archive():
    archive = Archive()
    archive.put("mask", 3)
    return archive


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(tmp_path)
    yield ledger
    ledger.close()


def request(archive):
    series = archive.held["mask"]
    return JobRequest(
        series_key=series.key, series_instance_uid="1.2", study_instance_uid="1.3", version=series.version
    )


def converted(orthanc_id):
    output = OutputReport(kind="SEG", sop_instance_uid=f"1.{orthanc_id}", series_uid="1", orthanc_id=orthanc_id)
    return Result(outcome=Outcome.CONVERTED, outputs=(output,))


def run(archive, ledger, answer, asked=None):
    def convert(given, masks, settings, *, rested, **_more):
        assert (given, settings) == (archive, SETTINGS)
        assert [m.key for m in masks] == ["mask"]
        return answer(rested) if callable(answer) else answer

    return make_runner(archive, ledger, SETTINGS, convert)(asked or request(archive))


def test_the_result_of_the_pipeline_is_the_result_of_the_job(archive, ledger):
    assert run(archive, ledger, converted("a")) == converted("a").document()


def test_a_deleted_mask_is_skipped(archive, ledger):
    asked = request(archive)
    archive.delete("mask")
    document = run(archive, ledger, converted("a"), asked)
    assert (document["outcome"], document["reason"]) == ("skipped", "deleted")


def test_a_changed_mask_is_left_to_the_job_of_its_new_version(archive, ledger):
    asked = request(archive)
    archive.put("mask", 4)
    document = run(archive, ledger, converted("a"), asked)
    assert (document["outcome"], document["reason"]) == ("skipped", "superseded")


def test_a_mask_deleted_during_the_job_is_skipped(archive, ledger):
    def convert(_rested):
        archive.delete("mask")
        raise NotInArchive

    assert run(archive, ledger, convert)["reason"] == "deleted"


def test_other_things_that_are_gone_are_a_fault_that_passes(archive, ledger):
    def convert(_rested):
        raise NotInArchive

    with pytest.raises(NotInArchive) as caught:
        run(archive, ledger, convert)
    assert caught.value.retryable, "the next attempt reads the study anew"


def test_a_partial_mask_rests_and_is_converted_as_it_is(archive, ledger):
    def answer(rested):
        return converted("a") if rested else NotYet(detail="2 of 5 slices are not there yet", missing=2)

    asked = request(archive)
    again = run(archive, ledger, answer, asked)
    assert isinstance(again, RunAgain)
    assert (again.delay_seconds, again.why["reason"]) == (30.0, "incomplete_series")
    assert again.request == dataclasses.replace(asked, rested=True)
    assert run(archive, ledger, answer, again.request)["outcome"] == "converted"
