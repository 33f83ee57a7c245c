"""Undoing a job deletes what it stored and nothing else: the real ledger and pipeline on an archive in memory."""

import dataclasses

import pytest
import sqlalchemy as sa
from builders import to_bytes
from house import SECOND, House

from orthanc_mask2seg.errors import NotSupported
from orthanc_mask2seg.jobs.port import STALE, Job, JobState, Seen, StoredState, Verdict
from orthanc_mask2seg.jobs.undone import Undone
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.service import undo
from orthanc_mask2seg.service.endings import mendable, note_end
from orthanc_mask2seg.service.retiring import beside


class Jobs:
    """The history of a house."""

    def __init__(self):
        self.jobs = {}

    def get(self, job_id):
        return self.jobs.get(job_id)


class Place(House):
    """A house with a history of its jobs."""

    def __init__(self, folder, **settings):
        super().__init__(folder, **settings)
        self.jobs = Jobs()
        self.undone = Undone(sa.create_engine(f"sqlite:///{folder}/undone.sqlite"))

    def do(self, state=JobState.DONE, **more):
        request = self.request(**more)
        series = self.archive.series(self.mask_key)
        self.ledger.remember(
            Seen(
                series_key=series.key,
                series_instance_uid=series.series_instance_uid,
                study_instance_uid=series.study_instance_uid,
                version=series.version,
                verdict=Verdict.ENQUEUED,
                job_id=request.key,
            )
        )
        document = self.run(request)
        note_end(self.ledger, request, document)
        job = Job(id=request.key, request=request, state=state, result=document)
        self.jobs.jobs[job.id] = job
        return job

    def plan(self, job):
        return undo.plan(self.archive, self.ledger, self.jobs, job)

    def undo(self, job):
        planned = self.plan(job)
        assert isinstance(planned, undo.Plan), planned
        assert self.carry_out(planned) is None
        return planned.document()

    def carry_out(self, planned):
        return undo.carry_out(self.archive, self.ledger, self.jobs, self.undone, planned, self.settings)


def held(house):
    """Everything in the archive."""
    return {key: house.archive.content(key) for s in house.archive.all_series() for key in s.instance_keys}


def test_the_segmentation_goes_with_all_that_was_made_of_it(tmp_path):
    house = Place(tmp_path / "house", outputs=("seg", "sr", "rtstruct"))
    before = held(house)
    job = house.do()
    assert len(held(house)) == len(before) + 3
    document = house.undo(job)
    assert held(house) == before
    assert sorted(one["kind"] for one in document["deleted"]) == ["RTSTRUCT", "SEG", "SR"]
    assert document["gone_before"] == []
    [seg] = [one for one in document["deleted"] if one["kind"] == "SEG"]
    assert house.ledger.stored(house.mask_key) == ()
    assert house.ledger.stored(beside(seg["orthanc_id"])) == ()
    assert house.archive.labels[house.mask_key] == {"mask2seg-mask"}


def test_it_does_not_come_back_by_itself(tmp_path):
    """Neither the same version of the mask, nor because its study gets other images; a new version does."""
    house = Place(tmp_path / "house")
    house.undo(house.do())
    seen = house.ledger.seen(house.mask_key)
    assert (seen.verdict, seen.reason) == (Verdict.SKIPPED, "undone")
    assert house.ledger.versions()[house.mask_key] == house.archive.series(house.mask_key).version
    house.ledger.mark_stale(house.mask_key)
    seen = house.ledger.seen(house.mask_key)
    assert seen.study_version != STALE
    assert not mendable(seen)
    house.correct(SECOND)
    house.do()
    assert len(house.segs()) == 1


def test_a_job_is_known_as_undone_until_it_runs_again(tmp_path):
    house = Place(tmp_path / "house")
    job = house.do()
    assert house.undone.among([job]) == {}
    house.undo(job)
    assert set(house.undone.among([job])) == {job.id}
    assert house.undone.among([dataclasses.replace(job, updated_at=4e9)]) == {}
    again = house.do()
    assert again.id == job.id
    assert len(house.segs()) == 1


def test_what_somebody_changed_stays_and_so_does_all_else(tmp_path):
    house = Place(tmp_path / "house", outputs=("seg", "sr"))
    job = house.do()
    [seg] = house.segs()
    seg.SeriesDescription = "mine now"
    house.archive.add(to_bytes(seg))
    before = held(house)
    refused = house.plan(job)
    assert isinstance(refused, Result)
    assert (refused.outcome, refused.reason) == (Outcome.REFUSED, "changed_since")
    assert len(refused.evidence) == 1
    assert held(house) == before
    assert house.ledger.seen(house.mask_key).verdict is Verdict.CONVERTED


def test_a_row_of_an_earlier_release_is_judged_by_the_digest_in_the_result(tmp_path):
    house = Place(tmp_path / "house")
    job = house.do()
    [row] = house.ledger.stored(house.mask_key)
    house.ledger.note_stored(dataclasses.replace(row, sha256=""))
    [seg] = house.segs()
    content = house.archive.content(row.orthanc_id)
    seg.SeriesDescription = "mine now"
    house.archive.add(to_bytes(seg))
    assert house.plan(job).reason == "changed_since"
    house.archive.add(content)
    house.undo(job)
    assert house.segs() == []


def test_an_address_that_holds_an_original_is_never_deleted(tmp_path):
    """However the memory came to say so."""
    house = Place(tmp_path / "house")
    job = house.do()
    [row] = house.ledger.stored(house.mask_key)
    [original, *_] = house.archive.series(house.image_key).instance_keys
    for sha256 in ("", row.sha256):
        house.ledger.note_stored(dataclasses.replace(row, orthanc_id=original, sha256=sha256))
        assert house.plan(job).reason == "changed_since"
        assert original in held(house)


def test_nothing_is_undone_twice(tmp_path):
    house = Place(tmp_path / "house")
    job = house.do()
    house.undo(job)
    refused = house.plan(job)
    assert (refused.outcome, refused.reason) == (Outcome.REFUSED, "nothing_stored")


def test_what_a_person_has_deleted_is_said_to_be_gone(tmp_path):
    house = Place(tmp_path / "house", outputs=("seg", "sr"))
    job = house.do()
    [seg] = [s for s in house.archive.all_series() if s.modality == "SEG"]
    house.archive.delete(seg.key)
    document = house.undo(job)
    assert [one["kind"] for one in document["deleted"]] == ["SR"]
    assert [one["kind"] for one in document["gone_before"]] == ["SEG"]
    assert {s.modality for s in house.archive.all_series()} == {"CT"}


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.WAITING])
def test_a_job_that_is_not_over_is_not_undone(tmp_path, state):
    house = Place(tmp_path / "house")
    assert house.plan(house.do(state=state)).reason == "not_over"


def test_nor_one_beside_which_another_works_on_the_mask(tmp_path):
    house = Place(tmp_path / "house")
    job = house.do()
    other = dataclasses.replace(job, id="f" * 24, state=JobState.RUNNING)
    house.jobs.jobs[other.id] = other
    house.ledger.remember(dataclasses.replace(house.ledger.seen(house.mask_key), job_id=other.id))
    assert house.plan(job).reason == "not_over"


def test_an_earlier_job_leaves_what_a_newer_one_made(tmp_path):
    """Of a mask that was corrected: only the superseded segmentation goes."""
    house = Place(tmp_path / "house", earlier="kept")
    job = house.do()
    house.correct(SECOND)
    newer = house.do()
    assert house.states() == [StoredState.CURRENT, StoredState.SUPERSEDED]
    document = house.undo(job)
    assert len(document["deleted"]) == 1
    assert house.states() == [StoredState.CURRENT]
    seen = house.ledger.seen(house.mask_key)
    assert (seen.verdict, seen.job_id) == (Verdict.CONVERTED, newer.id)
    assert [str(seg.SOPInstanceUID) for seg in house.segs()] == [newer.result["outputs"][0]["sop_instance_uid"]]


def test_a_sudden_end_in_the_middle_is_mended_by_asking_again(tmp_path):
    house = Place(tmp_path / "house", outputs=("seg", "sr"))
    job = house.do()
    house.archive.moments["after delete"] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        house.undo(job)
    assert house.ledger.seen(house.mask_key).reason == "undone"
    house.undo(job)
    assert {s.modality for s in house.archive.all_series()} == {"CT"}


def test_the_rows_in_the_table_of_the_project_go_too(tmp_path):
    table = tmp_path / "features.csv"
    house = Place(tmp_path / "house", outputs=("seg", "csv"), feature_table=str(table))
    job = house.do()
    assert len(table.read_text().splitlines()) > 1
    house.undo(job)
    assert len(table.read_text().splitlines()) == 1


def test_what_changes_while_a_person_thinks_is_not_deleted(tmp_path):
    """Also where it changes between the look and the deletion."""
    house = Place(tmp_path / "house")
    planned = house.plan(house.do())
    [seg] = house.segs()
    seg.SeriesDescription = "mine now"
    content = house.archive.content(planned.items[0].row.orthanc_id)
    house.archive.add(to_bytes(seg))
    assert house.carry_out(planned).reason == "changed_since"
    assert [str(one.SeriesDescription) for one in house.segs()] == ["mine now"]
    house.archive.add(content)
    house.correct(SECOND)
    house.do()
    assert house.carry_out(planned) is not None
    assert len(house.segs()) == 1


def test_an_archive_that_deletes_nothing_says_so(tmp_path, monkeypatch):
    house = Place(tmp_path / "house")
    job = house.do()

    def refuse(_instance):
        raise NotSupported("it deletes nothing")

    monkeypatch.setattr(house.archive, "delete_instance", refuse)
    with pytest.raises(NotSupported):
        house.undo(job)
    assert house.ledger.seen(house.mask_key).verdict is Verdict.CONVERTED
    assert house.states() == [StoredState.CURRENT]
    assert house.undone.among([job]) == {}
