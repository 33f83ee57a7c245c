"""Going through what is in the archive already: what is counted, remembered and asked for, in memory."""

from dataclasses import replace
from datetime import date

import pytest
from house import House
from service_doubles import Index

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveBusy, ArchiveUnreachable, NotInArchive, WorkerDied
from orthanc_mask2seg.jobs.port import Job, JobState, Seen, Verdict
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service import backfill
from orthanc_mask2seg.service.backfill import Backfill, Tally, Window
from orthanc_mask2seg.service.sieve import passes_over


class Jobs:
    """A queue that does its work at once."""

    def __init__(self, house):
        self.house, self.jobs, self.asked = house, {}, []

    def enqueue(self, request):
        self.asked.append(request)
        document = self.house.run(request)
        self.jobs.setdefault(request.key, Job(id=request.key, request=request, state=JobState.DONE, result=document))
        return request.key

    def get(self, job_id):
        return self.jobs.get(job_id)


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(backfill, "ASK_SECONDS", 0.0)
    return House(tmp_path / "house", partial_rest_seconds=0.0)


def work_on(house, **more):
    more.setdefault("look", lambda series: passes_over(house.archive, series, house.settings))
    return Backfill(
        archive=house.archive, settings=house.settings, ledger=house.ledger, window=more.pop("window", Window()), **more
    )


def counted(tally):
    return {key: value for key, value in tally.document().items() if value and key not in {"reasons", "examples"}}


def test_a_survey_leaves_no_trace(house):
    before = {key for s in house.archive.all_series() for key in s.instance_keys}
    tally = Tally(dry_run=True)
    work_on(house).survey(tally)
    assert counted(tally) == {"dry_run": True, "series": 2, "candidates": 1, "matched": 1}
    assert {key for s in house.archive.all_series() for key in s.instance_keys} == before
    assert house.ledger.versions() == {}


def test_each_mask_is_asked_for_once_behind_all_others_and_as_the_watcher_would(house):
    jobs = Jobs(house)
    for number in range(2):
        tally = Tally(dry_run=False)
        work_on(house, alone=True).convert(tally, jobs)
        assert (tally.matched, tally.candidates) == (1, 1)
        assert len(house.segs()) == 1
        if not number:
            [asked] = jobs.asked
            assert (asked.origin, asked.rested, asked.study_version) == ("backfill", False, "")
            seen = house.ledger.seen(house.mask_key)
            assert (seen.verdict, seen.job_id) == (Verdict.ENQUEUED, asked.key)
            assert seen.study_version
    assert len(jobs.asked) == 1
    assert house.ledger.seen(house.image_key).verdict is Verdict.PASSED_OVER


def test_beside_a_service_what_is_no_mask_is_left_to_that(house):
    work_on(house, alone=False).convert(Tally(dry_run=False), Jobs(house))
    assert house.ledger.seen(house.image_key) is None


def test_what_was_remembered_and_never_asked_for_is_asked_for(house):
    """A sudden end between the two."""
    series = house.archive.series(house.mask_key)
    house.ledger.remember(
        Seen(
            series_key=series.key,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            version=series.version,
            verdict=Verdict.ENQUEUED,
            job_id="f" * 24,
        )
    )
    jobs = Jobs(house)
    work_on(house).convert(Tally(dry_run=False), jobs)
    assert len(jobs.asked) == len(house.segs()) == 1
    assert house.ledger.seen(house.mask_key).job_id == jobs.asked[0].key


def test_one_series_that_cannot_be_looked_at_stops_nothing_but_a_pacs_that_is_away_does(house):
    def look(series):
        if series.key == house.image_key:
            raise error

    for error in (ArchiveBusy("busy"), WorkerDied("died")):
        tally = Tally(dry_run=True)
        work_on(house, look=look).survey(tally)
        assert tally.document()["reasons"]["failed"] == {error.code: 1}
        assert tally.matched == 1
    error = NotInArchive("gone meanwhile")
    tally = Tally(dry_run=True)
    work_on(house, look=look).survey(tally)
    assert tally.candidates == 1
    error = ArchiveUnreachable("away")
    with pytest.raises(ArchiveUnreachable):
        work_on(house, look=look).survey(Tally(dry_run=True))


def test_a_defect_on_one_file_does_not_end_the_survey_of_the_others(house, monkeypatch):
    def stumble(*_words):
        raise ZeroDivisionError

    monkeypatch.setattr(backfill, "run", stumble)
    tally = Tally(dry_run=True)
    work_on(house).survey(tally)
    assert tally.document()["reasons"]["failed"] == {"internal_error": 1}
    assert tally.series == 2


def test_what_a_person_has_undone_stays_undone(house):
    jobs = Jobs(house)
    work_on(house).convert(Tally(dry_run=False), jobs)
    seen = house.ledger.seen(house.mask_key)
    house.ledger.remember(replace(seen, verdict=Verdict.SKIPPED, reason="undone"))
    tally = Tally(dry_run=False)
    work_on(house).convert(tally, jobs)
    assert tally.document()["reasons"]["skipped"] == {"undone": 1}
    assert len(jobs.asked) == 1


class Large(Index, Archive):
    """An index that counts."""

    def count_series(self):
        return len(self.held)

    def study_date(self, series):
        return series.study_instance_uid


def test_ten_thousand_series_are_told_of_one_by_one():
    archive, told = Large(), []
    for number in range(10_000):
        archive.put(f"s{number}", 1, study=f"{2020 + number % 4}0101", modality="SEG" if number % 2 else "CT")
    looked = []
    tally = Tally(dry_run=True)
    Backfill(
        archive=archive,
        settings=Settings(),
        ledger=None,
        look=lambda series: looked.append(series.key) or "not_a_mask",
        window=Window(since=date(2022, 1, 1)),
        told=lambda *words: told.append(words),
    ).survey(tally)
    assert told[0] == ("looking through", 1, 10_000)
    assert told[-1] == ("looking through", 10_000, 10_000)
    assert len(looked) == 2_500, "half of them are of the index's own no masks, and half lie outside the dates"
    assert (tally.series, tally.outside, tally.candidates) == (10_000, 2_500, 0)


def test_a_date_is_one_or_none():
    window = Window(since=date(2024, 1, 1), until=date(2024, 12, 31))
    assert [window.holds(text) for text in ("20240101", " 20241231 ", "20231231", "20250101")] == [
        True,
        True,
        False,
        False,
    ]
    assert window.holds("") is window.holds("2024.01") is window.holds("yesterday") is None


def test_the_sentence():
    tally = Tally(dry_run=True)
    for _ in range(287):
        tally.count("1.2", Outcome.CONVERTED, None)
    for number in range(25):
        tally.count(f"1.{number}", Outcome.REFUSED, "no_source_in_study" if number < 20 else "ambiguous_source")
    tally.count("1.3", Outcome.SKIPPED, "not_a_mask")
    said = "312 candidates, 287 matched, 25 refused: no_source_in_study 20, ambiguous_source 5"
    assert tally.sentence() == said
    tally.count("1.3", Outcome.FAILED, "worker_died")
    assert tally.sentence() == said.replace("312", "313") + ", 1 failed: worker_died 1"
    assert tally.examples["no_source_in_study"] == ["1.0", "1.1", "1.2"]
    assert Tally(dry_run=False).sentence() == "0 candidates, 0 converted, 0 refused"
