"""The watcher, with the clock and the archive in the hand of the test."""

import dataclasses
import itertools
import logging
import threading

import pytest
import sqlalchemy as sa
from service_doubles import Index, Queue

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveBusy, ArchiveDenied, ArchiveForbidden, ArchiveUnreachable
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobState, Seen, Stored, StoredState, Verdict
from orthanc_mask2seg.service import watcher as module
from orthanc_mask2seg.service.status import state_alarm
from orthanc_mask2seg.service.watcher import Watcher

SETTINGS = Settings(settle_seconds=2.0, partial_rest_seconds=30.0, poll_seconds=0.25, scan_seconds=60.0)


class Scene:
    """A watcher over an index, a queue, a real ledger, and a clock that stands still."""

    def __init__(self, folder):
        self.folder, self.index, self.queue, self.now = folder, Index(), Queue(), 1000.0
        self.ledger = SqlLedger(folder)
        self.start()

    def start(self):
        self.watcher = Watcher(self.index, self.ledger, self.queue, SETTINGS, self.sieve, lambda: self.now)

    def sieve(self, series):
        if series.modality != "CT":
            return f"modality_{series.modality.lower()}"
        return None if "mask" in series.key else "image"

    def pass_time(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.watcher.tick()
            self.now += SETTINGS.poll_seconds

    @property
    def asked(self):
        return [(r.series_key, r.rested) for r in self.queue.asked]


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.ledger.close()


def test_a_complete_mask_is_asked_for_once_it_has_been_quiet(scene):
    scene.pass_time(1)
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(1.75)
    assert scene.asked == []
    scene.pass_time(2)
    assert scene.asked == [("mask", False)]
    scene.pass_time(200)
    assert scene.asked == [("mask", False)]
    status = scene.watcher.status()
    assert (status.known, status.pending, status.enqueued, status.passed_over) == (2, 0, 1, {"image": 1})


def test_a_mask_that_grows_is_not_taken_early(scene):
    scene.index.put("ct", 40)
    for count in range(1, 41):
        scene.index.put("mask", count)
        scene.pass_time(0.5)
        assert scene.asked == []
    scene.pass_time(3)
    assert scene.asked == [("mask", False)]


def test_a_slow_answer_is_no_time_at_rest(scene, monkeypatch):
    """The archive looks at once and answers late: what it says is old by then, and the mask may be arriving still."""
    scene.index.put("ct", 10)
    scene.pass_time(10)
    scene.index.put("mask", 10)
    look = scene.index.series

    def slowly(key):
        series = look(key)
        scene.now += 5.0
        return series

    monkeypatch.setattr(scene.index, "series", slowly)
    scene.watcher.tick()
    scene.now += 0.5
    scene.watcher.tick()
    assert scene.asked == []
    monkeypatch.undo()
    scene.pass_time(4)
    assert scene.asked == [("mask", False)]


def test_a_partial_mask_rests_longer(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 7)
    scene.pass_time(29)
    assert scene.asked == []
    scene.pass_time(5)
    assert scene.asked == [("mask", True)]


def test_more_slices_make_another_job(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 7)
    scene.pass_time(40)
    scene.index.put("mask", 10)
    scene.pass_time(12)
    assert scene.asked == [("mask", True), ("mask", False)]
    assert len(scene.queue.jobs) == 2


def test_late_slices_of_a_known_series_are_found_before_the_next_scan(scene):
    """The journal names only their instances; that they are in no series looked at asks for an early scan."""
    scene.index.put("ct", 10)
    scene.index.put("mask", 7)
    scene.pass_time(65)
    scans = scene.watcher.status().scans
    scene.index.put("mask", 10)
    scene.pass_time(9)
    assert scene.watcher.status().scans == scans + 1
    assert scene.asked[-1] == ("mask", False)


def test_what_the_journal_lost_is_found_by_the_scan(scene):
    scene.pass_time(1)
    scene.index.silent = True
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(58)
    assert scene.asked == []
    scene.pass_time(8)
    assert scene.asked == [("mask", False)]


def test_a_restart_neither_repeats_nor_forgets(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    scene.start()
    scene.index.put("mask2", 10)
    scene.pass_time(70)
    assert scene.asked == [("mask", False), ("mask2", False)]


def test_what_came_while_the_service_was_away_is_found(scene):
    scene.index.put("ct", 10)
    scene.pass_time(5)
    scene.index.put("mask", 10)
    scene.start()
    scene.pass_time(5)
    assert scene.asked == [("mask", False)]


@pytest.mark.parametrize("moment", ["before_asking", "before_return"])
def test_dying_while_a_job_is_asked_for_leaves_one_job(scene, moment):
    """It is remembered first, so that no worker can end it before; a memory without a job is mended by the scan."""
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    setattr(scene.queue, moment, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        scene.pass_time(5)
    setattr(scene.queue, moment, None)
    scene.start()
    scene.pass_time(5)
    [job_id] = scene.queue.jobs
    assert scene.ledger.seen("mask").job_id == job_id
    assert {key for key, _ in scene.asked} == {"mask"}


def test_dying_while_a_refused_mask_is_asked_for_again_loses_nothing(scene):
    """Its first job is over, and asked for by that name again it would never run."""
    scene.index.put("mask", 10)
    scene.pass_time(40)
    [first] = scene.queue.asked
    document = scene.queue.end(first, "refused", "no_source_in_study")
    scene.watcher.job_ended(first, document)
    scene.index.put("ct", 10)
    scene.queue.before_asking = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        scene.pass_time(30)
    scene.queue.before_asking = None
    scene.start()
    scene.pass_time(60)
    again = scene.queue.asked[-1]
    assert (again.key != first.key, again.origin) == (True, "study")
    assert scene.ledger.seen("mask").job_id == again.key


def test_the_cursor_stays_before_what_is_not_dealt_with(scene):
    scene.index.put("ct", 10)
    scene.pass_time(5)
    before = scene.ledger.cursor("changes")
    scene.index.put("mask", 7)
    scene.pass_time(20)
    assert scene.ledger.cursor("changes") == before
    scene.pass_time(20)
    assert scene.ledger.cursor("changes") == scene.index.last_change()


def test_the_first_start_does_not_read_the_old_journal(scene):
    for number in range(300):
        scene.index.put(f"ct{number}", 1)
    scene.watcher.tick()
    assert scene.ledger.cursor("changes") == scene.index.last_change()


def test_another_database_is_looked_through_at_once(scene, caplog):
    scene.index.put("ct", 10)
    scene.pass_time(5)
    scene.index.held.clear()
    scene.index.journal.clear()
    scene.index.silent = True
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    assert scene.asked == [("mask", False)]
    assert "another database" in caplog.text


def test_what_a_restored_backup_does_not_hold_is_made_again(scene):
    """The SEG was stored after the backup, its mask before: the job is done, and has to be done again."""
    converted(scene, "mask1", "mask2", "mask3")
    for mask in ("mask1", "mask2", "mask3"):
        seen = scene.ledger.seen(mask)
        scene.ledger.note_stored(
            Stored(
                series_key=mask, orthanc_id=f"at {mask}", sop_instance_uid="1.2", job_id=seen.job_id,
                series_instance_uid=scene.index.held[mask.replace("mask", "seg")].series_instance_uid,
            )
        )  # fmt: skip
    scene.index.delete("seg2")
    scene.index.delete("seg3")
    scene.pass_time(70)
    assert len(scene.queue.asked) == 3, "a person has deleted these"
    scene.index.delete("mask3")
    scene.index.journal[:] = scene.index.journal[:2]
    scene.pass_time(140)
    assert scene.asked[3:] == [("mask2", False)]
    assert scene.queue.get(scene.ledger.seen("mask2").job_id).state is JobState.WAITING


def test_another_database_with_a_longer_journal_is_looked_through_soon(scene, caplog):
    """A copy from elsewhere is put in place of the database: its numbers go on, and it holds what ours never told."""
    scene.index.put("ct", 10)
    scene.pass_time(module.WITNESS_SECONDS + 5)
    scene.index.held.clear()
    scene.index.journal.clear()
    scene.index.silent = True
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.index.silent = False
    for number in range(60):
        scene.index.put(f"other {number}", 1)
    scene.pass_time(module.WITNESS_SECONDS + 10)
    assert ("mask", False) in scene.asked
    assert "another database" in caplog.text


def test_a_change_that_orthanc_has_dropped_with_its_series_is_no_other_database(scene, caplog):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(module.WITNESS_SECONDS + 5)
    scene.index.put("later", 3)
    scene.index.delete("mask")
    scene.index.journal = [change for change in scene.index.journal if not change.key.startswith("mask")]
    scene.pass_time(2 * module.WITNESS_SECONDS)
    assert "another database" not in caplog.text


def test_a_scan_that_costs_much_is_not_repeated_at_once(scene, monkeypatch):
    """An archive of a hundred thousand series is not to be read all day."""
    scans = []

    def all_series():
        scans.append(scene.now)
        for series in type(scene.index).all_series(scene.index):
            scene.now += 5
            yield series

    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    monkeypatch.setattr(scene.index, "all_series", all_series)
    scene.pass_time(1000)
    gaps = [after - before for before, after in itertools.pairwise(scans)]
    assert len(gaps) >= 3
    assert min(gaps) >= 10 * module.SCAN_REST, "two series of 5 s each"


def test_a_refused_mask_is_tried_again_when_its_source_arrives(scene):
    scene.index.put("mask", 10)
    scene.pass_time(35)
    [request] = scene.queue.asked
    scene.watcher.job_ended(request, scene.queue.end(request, "refused", "no_source_in_study"))
    scene.pass_time(70)
    assert len(scene.queue.asked) == 1
    scene.index.put("ct", 10)
    scene.pass_time(4)
    assert len(scene.queue.asked) == 2
    assert scene.queue.asked[1].origin == "study"
    assert scene.queue.asked[1].key != request.key


def test_a_source_that_arrives_while_the_job_runs_is_not_missed(scene):
    scene.index.put("mask", 10)
    scene.pass_time(35)
    [request] = scene.queue.asked
    scene.index.put("ct", 10)
    scene.pass_time(10)
    assert len(scene.queue.asked) == 1
    scene.watcher.job_ended(request, scene.queue.end(request, "refused", "no_source_in_study"))
    scene.pass_time(1)
    assert len(scene.queue.asked) == 2


def test_our_own_output_and_settled_refusals_start_nothing(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    [request] = scene.queue.asked
    scene.watcher.job_ended(request, scene.queue.end(request, "refused", "geometry_mismatch"))
    scene.index.put("seg", 1, modality="SEG")
    scene.pass_time(130)
    assert len(scene.queue.asked) == 1


def converted(scene, *masks):
    """A CT whose masks are converted, each with its SEG in the archive."""
    scene.index.put("ct", 10)
    for mask in masks:
        scene.index.put(mask, 10)
        scene.pass_time(5)
        request = scene.queue.asked[-1]
        assert request.series_key == mask
        scene.watcher.job_ended(request, scene.queue.end(request, "converted"))
        scene.index.put(mask.replace("mask", "seg"), 1, modality="SEG")
        scene.pass_time(5)


def end_all(scene, start):
    """Convert what was asked for since, each with a SEG of its own."""
    for number, request in enumerate(scene.queue.asked[start:], start):
        scene.watcher.job_ended(request, scene.queue.end(request, "converted"))
        scene.index.put(f"another-seg{number}", 1, modality="SEG")
    scene.pass_time(10)
    scene.start()  # the first scan after a start also looks at every study with an unfinished mask


@pytest.mark.parametrize(("image", "count"), [("ct2", 20), ("ct", 12)])
def test_a_converted_mask_is_asked_again_once_when_an_image_arrives_or_grows(scene, image, count):
    converted(scene, "mask")
    scene.index.put(image, count)
    scene.pass_time(70)
    first, again = scene.queue.asked
    assert (again.series_key, again.origin) == ("mask", "study")
    assert again.key != first.key
    end_all(scene, 1)
    scene.pass_time(130)
    assert len(scene.queue.asked) == 2
    assert scene.ledger.seen("mask").verdict is Verdict.CONVERTED


def test_each_state_of_a_study_is_asked_for_once(scene):
    converted(scene, "mask")
    for number in range(2, 5):
        scene.index.put(f"ct{number}", 10)
        scene.pass_time(10)
        end_all(scene, number - 1)
        scene.pass_time(70)
        assert len(scene.queue.asked) == number
    assert len({r.key for r in scene.queue.asked}) == 4


@pytest.mark.parametrize("restart", [False, True])
def test_a_study_that_is_again_what_it_was_is_converted_again(scene, restart):
    """An image that comes and goes twice: the job of that state is over, and what it stored was replaced since."""
    converted(scene, "mask")
    for turn in range(4):
        if turn % 2 == 0:
            scene.index.put("ct2", 10)
        else:
            scene.index.delete("ct2")
        if restart and turn == 3:
            scene.queue.retry = str  # the service dies before this
        scene.pass_time(70)
        if restart and turn == 3:
            del scene.queue.retry
            [job] = [j for j in scene.queue.jobs.values() if j.id == scene.ledger.seen("mask").job_id]
            assert job.state is JobState.DONE
            scene.ledger.note_stored(Stored(series_key="mask", orthanc_id="x", sop_instance_uid="1.2", job_id="other"))
            scene.start()
            scene.pass_time(1)
        seen = scene.ledger.seen("mask")
        assert seen.verdict is Verdict.ENQUEUED, turn
        job = scene.queue.get(seen.job_id)
        assert job.state is JobState.WAITING, turn
        scene.watcher.job_ended(job.request, scene.queue.end(job.request, "converted"))
        scene.index.put(f"another-seg{turn}", 1, modality="SEG")
        scene.pass_time(10)
    assert len({r.key for r in scene.queue.asked}) == 4


def test_neither_our_output_nor_another_mask_asks_for_converted_masks_again(scene):
    converted(scene, "mask1", "mask2", "mask3")
    scene.index.put("rtstruct", 1, modality="RTSTRUCT")
    scene.index.put("seg1", 2, modality="SEG")
    scene.pass_time(130)
    assert [r.series_key for r in scene.queue.asked] == ["mask1", "mask2", "mask3"]
    scene.index.put("ct2", 10)
    scene.pass_time(10)
    assert [r.series_key for r in scene.queue.asked[3:]] == ["mask1", "mask2", "mask3"]


@pytest.mark.parametrize("restart", ["", "before the end is noted", "after the end is noted"])
def test_an_image_that_arrives_while_its_mask_is_converted_is_not_missed(scene, restart):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    [request] = scene.queue.asked
    scene.index.put("ct2", 10)
    scene.pass_time(10)
    assert len(scene.queue.asked) == 1
    document = scene.queue.end(request, "converted")
    if restart != "before the end is noted":
        scene.watcher.job_ended(request, document)
    if restart:
        scene.start()
    scene.pass_time(10)
    assert len(scene.queue.asked) == 2
    end_all(scene, 1)
    scene.pass_time(130)
    assert len(scene.queue.asked) == 2


def test_an_image_that_only_its_job_knows_for_one_counts_too(scene):
    converted(scene, "mask")
    scene.index.put("seems-a-mask", 10)
    scene.pass_time(5)
    request = scene.queue.asked[-1]
    scene.watcher.job_ended(request, scene.queue.end(request, "skipped", "not_a_mask"))
    scene.pass_time(5)
    assert [r.series_key for r in scene.queue.asked] == ["mask", "seems-a-mask", "mask"]
    end_all(scene, 2)
    scene.pass_time(130)
    assert len(scene.queue.asked) == 3


def test_a_study_that_is_forbidden_holds_up_no_other(scene, monkeypatch):
    """Rights may be taken away between two looks; the mask of the other study is asked for again all the same."""
    for study in ("one", "two"):
        scene.index.put(f"mask {study}", 10, study=study)
        scene.pass_time(35)
        request = scene.queue.asked[-1]
        scene.watcher.job_ended(request, scene.queue.end(request, "refused", "no_source_in_study"))
    series_of_study = scene.index.series_of_study

    def some_of_them(study):
        if study == "one":
            raise ArchiveForbidden
        return series_of_study(study)

    monkeypatch.setattr(scene.index, "series_of_study", some_of_them)
    scene.index.put("ct", 10, study="two")
    scene.start()
    scene.pass_time(20)
    assert [r.series_key for r in scene.queue.asked] == ["mask one", "mask two", "mask two"]


def test_a_refusal_that_no_series_can_mend_stays(scene):
    scene.index.put("mask", 10)
    scene.pass_time(35)
    [request] = scene.queue.asked
    scene.watcher.job_ended(request, scene.queue.end(request, "refused", "corrupt_pixel_data"))
    scene.index.put("ct", 10)
    scene.pass_time(10)
    assert len(scene.queue.asked) == 1


def test_the_end_of_an_older_version_says_nothing_about_the_newer(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 9)
    scene.pass_time(35)
    [old] = scene.queue.asked
    scene.index.put("mask", 10)
    scene.pass_time(20)
    scene.watcher.job_ended(old, {"outcome": "converted", "reason": None})
    assert scene.ledger.seen("mask").verdict is Verdict.ENQUEUED


def test_ends_that_nobody_was_told_of_are_noted_at_the_next_start(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    [request] = scene.queue.asked
    scene.queue.end(request, "converted")
    scene.start()
    scene.pass_time(1)
    assert scene.ledger.seen("mask").verdict is Verdict.CONVERTED


def test_a_job_that_was_never_there_is_asked_for(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    scene.queue.jobs.clear()
    scene.start()
    scene.pass_time(5)
    assert [job.state for job in scene.queue.jobs.values()] == [JobState.WAITING]


def test_deleted_series_are_forgotten(scene):
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    scene.index.delete("mask")
    scene.pass_time(65)
    assert scene.ledger.seen("mask") is None
    assert scene.watcher.status().known == 1


def test_a_series_deleted_while_it_arrives_is_dropped(scene):
    scene.index.put("mask", 10)
    scene.pass_time(1)
    scene.index.delete("mask")
    scene.pass_time(2)
    assert scene.watcher.status().pending == 0


def test_the_work_of_a_tick_is_bounded_with_thousands_pending(scene):
    for number in range(2000):
        scene.index.put(f"ct{number}", 1, study=f"s{number}")
    scene.pass_time(3)
    scene.index.looks = 0
    scene.watcher.tick()
    assert scene.index.looks <= 2 * module.LOOKS_PER_TICK + module.PAGES_PER_TICK + 2


def test_a_fresh_mask_is_served_before_the_backlog(scene):
    for number in range(2000):
        scene.index.put(f"ct{number}", 1, study=f"s{number}")
    scene.pass_time(3)
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(4)
    assert scene.asked == [("mask", False)]
    assert scene.watcher.status().pending > 1000


def test_a_series_that_cannot_be_read_keeps_nobody_waiting(scene):
    scene.index.put("ct", 10)
    scene.index.broken["bad-mask"] = ArchiveBusy()
    scene.index.put("bad-mask", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    assert scene.asked == [("mask", False)]
    scene.index.broken.clear()
    scene.pass_time(30)
    assert len(scene.asked) == 2


def test_a_sieve_that_stumbles_keeps_nobody_waiting(scene, monkeypatch):
    plain = scene.sieve

    def stumble(series):
        if series.key == "bad":
            raise ZeroDivisionError
        return plain(series)

    scene.sieve = stumble
    scene.start()
    scene.index.put("ct", 10)
    scene.index.put("bad", 10)
    scene.index.put("mask", 10)
    stumbled = 0
    for _ in range(20):
        try:
            scene.watcher.tick()
        except ZeroDivisionError:
            stumbled += 1
        scene.now += 0.25
    assert stumbled == 1
    assert scene.asked == [("mask", False)]


class Clock:
    """Time passes only while the watcher waits."""

    def __init__(self, stop_after, at=()):
        self.now, self.stop_after, self.at, self.pauses = 0.0, stop_after, dict(at), []
        self.event = threading.Event()

    def wait(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds
        for moment in [m for m in self.at if m <= self.now]:
            self.at.pop(moment)()
        return self.now >= self.stop_after


@pytest.mark.parametrize("fault", [ArchiveUnreachable(), ArchiveDenied(), ValueError("secret")])
def test_an_archive_that_is_away_is_waited_for(scene, caplog, fault):
    caplog.set_level(logging.INFO)
    index = scene.index
    clock = Clock(300, {10: lambda: setattr(index, "fault", fault), 200: lambda: setattr(index, "fault", None)})
    watcher = Watcher(index, scene.ledger, scene.queue, SETTINGS, scene.sieve, lambda: clock.now)
    watcher.run(clock)
    lines = [record.message for record in caplog.records]
    code = getattr(fault, "code", "internal_error")
    assert lines[0] == "Orthanc is there"
    assert lines[1].startswith(f"waiting for Orthanc: {code}")
    assert [line.startswith("still waiting") for line in lines[2:-1]] == [True] * 3
    assert lines[-1] == "Orthanc is there"
    assert max(clock.pauses) == module.LONGEST_PAUSE_SECONDS
    assert "secret" not in caplog.text
    assert watcher.status().reachable


def test_what_was_there_before_is_asked_for_as_backlog(scene):
    """So that it does not hold up what arrives."""
    scene.index.silent = True
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.index.silent = False
    scene.pass_time(1)
    scene.index.put("mask2", 10)
    scene.pass_time(10)
    assert {request.series_key: request.origin for request in scene.queue.asked} == {"mask": "scan", "mask2": "watcher"}


def test_a_long_queue_does_not_hold_up_the_watcher(scene):
    """After a sudden end it is gone through bit by bit, and everything in it whose job was never there is found."""
    scene.index.silent = True
    for number in range(1000):
        scene.index.put(f"mask{number}", 1)
    series = {s.key: s for s in scene.index.all_series()}
    begun = [
        Seen(
            series_key=key,
            series_instance_uid=one.series_instance_uid,
            study_instance_uid="study",
            version=one.version,
            verdict=Verdict.ENQUEUED,
            job_id=f"lost{key}",
        )
        for key, one in series.items()
    ]
    scene.ledger.remember(*begun)
    scene.start()
    asked = []
    scene.queue.get = asked.append
    scene.watcher.tick()
    assert 0 < len([job for job in asked if job.startswith("lost")]) <= 250
    scene.pass_time(15)
    assert len({job for job in asked if job.startswith("lost")}) == 1000


def test_a_full_disk_of_the_state_is_an_alarm_that_ends_by_itself(scene, caplog):
    """SQLite itself says that it is full."""
    limit = ["PRAGMA max_page_count"]
    sa.event.listen(scene.ledger._engine, "checkout", lambda dbapi, *_: dbapi.execute(limit[0]))

    class Turns:
        def __init__(self, count):
            self.left = count

        def wait(self, seconds):
            scene.now += seconds
            self.left -= 1
            return self.left < 0

    scene.pass_time(1)
    limit[0] = "PRAGMA max_page_count = 1"  # as many as there are
    for number in range(300):
        scene.index.put(f"ct {number}", 3, study=f"study {number}")
        scene.index.put(f"mask {number}", 3, study=f"study {number}")
    scene.watcher.run(Turns(120))
    alarm = state_alarm(scene.watcher.status())
    assert alarm is not None
    assert (alarm.code, "the state of the service" in caplog.text) == ("state_unavailable", True)
    before = len(scene.asked)
    limit[0] = "PRAGMA max_page_count = 1000000"
    scene.watcher.run(Turns(600))
    assert state_alarm(scene.watcher.status()) is None
    assert {key for key, _ in scene.asked} == {f"mask {number}" for number in range(300)}
    assert len(scene.asked) > before


def test_a_job_that_is_done_and_has_something_announced_runs_again(scene):
    """A host stood still, another one did its job, and it woke up, announced what it had made, and died."""
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    [request] = scene.queue.asked
    scene.ledger.note_stored(
        Stored(
            series_key="mask", orthanc_id="seg", sop_instance_uid="1.2", state=StoredState.ANNOUNCED, job_id=request.key
        )
    )
    scene.pass_time(70)
    assert scene.queue.retried == [], "it may be at work"
    scene.watcher.job_ended(request, scene.queue.end(request, "converted"))
    scene.pass_time(70)
    assert set(scene.queue.retried) == {request.key}


def test_a_job_that_has_failed_with_something_announced_runs_again_once(scene):
    """What it stored and did not come to an end with is settled; it may fail again, so not at each scan."""
    scene.index.put("ct", 10)
    scene.index.put("mask", 10)
    scene.pass_time(5)
    [request] = scene.queue.asked
    row = Stored(series_key="mask", orthanc_id="seg", sop_instance_uid="1.2", job_id=request.key)
    scene.ledger.note_stored(dataclasses.replace(row, state=StoredState.ANNOUNCED))
    for _ in range(2):
        job = scene.queue.jobs[request.key]
        scene.queue.jobs[request.key] = dataclasses.replace(job, state=JobState.FAILED, error={"outcome": "failed"})
        scene.pass_time(130)
    assert scene.queue.retried == [request.key]
