"""The durable queue in this process: what it promises while nobody dies."""

import dataclasses
import logging
import subprocess
import sys
import threading
import time

import pytest
import sqlalchemy as sa
from job_scene import converted, engine, request, wait_for, wait_until

from orthanc_mask2seg.errors import ArchiveUnreachable, NotInArchive, StateError
from orthanc_mask2seg.jobs.database import address, connect
from orthanc_mask2seg.jobs.engine import Backoff, Engine
from orthanc_mask2seg.jobs.port import JobState, RunAgain
from orthanc_mask2seg.jobs.reader import JobReader
from orthanc_mask2seg.jobs.rows import table
from orthanc_mask2seg.jobs.takeover import Pulse


def test_a_job_runs_once_however_often_it_is_asked_for(place):
    runs, ends = [], []

    def run(asked):
        runs.append(asked)
        return converted(asked)

    with engine(place, run, lambda *end: ends.append(end)) as jobs:
        ids = {jobs.enqueue(request()) for _ in range(5)}
        [job_id] = ids
        job = wait_for(jobs, job_id, JobState.DONE)
        assert jobs.enqueue(request()) == job_id
        time.sleep(0.3)
        assert job.result == {"outcome": "converted", "reason": None}
        assert (job.request, job.attempts, job.error) == (request(), 1, None)
        assert runs == [request()]
        assert ends == [(request(), job.result)]
        assert jobs.get("nothing") is None


@pytest.mark.parametrize("change", [{"version": "2"}, {"rested": True}, {"study_version": "x"}, {"series_key": "b"}])
def test_other_work_is_another_job(change):
    assert request(**change).key != request().key
    assert request(origin="button").key == request().key


def test_faults_by_class(place, caplog):
    """What may pass is tried again, what will not is not, and a defect is told without what a file may have put in."""
    tries = []

    def run(asked):
        tries.append(asked.series_key)
        if asked.series_key == "down" and tries.count("down") < 4:
            raise ArchiveUnreachable
        if asked.series_key == "gone":
            raise NotInArchive("it is gone")
        if asked.series_key == "defect":
            raise ValueError("DOE^JOHN")
        return converted(asked)

    with engine(place, run) as jobs:
        down, gone, defect = (jobs.enqueue(request(name)) for name in ("down", "gone", "defect"))
        waiting = wait_for(jobs, down, JobState.WAITING)
        assert waiting.error is None or waiting.error["reason"] == "archive_unreachable"
        assert wait_for(jobs, down, JobState.DONE).attempts == 4
        failed = wait_for(jobs, gone, JobState.FAILED)
        assert (failed.error["outcome"], failed.error["reason"], failed.error["detail"]) == (
            "failed",
            "not_in_archive",
            "it is gone",
        )
        assert wait_for(jobs, defect, JobState.FAILED).error["reason"] == "internal_error"
        assert {job.id for job in jobs.list(states=[JobState.FAILED])} == {gone, defect}
        assert jobs.count(JobState.FAILED) == 2
        assert len(jobs.list()) == 3
    assert "DOE" not in caplog.text
    assert "DOE" not in str(failed)


def test_a_job_that_is_not_complete_waits_and_runs_again(place):
    runs = []

    def run(asked):
        runs.append(asked.rested)
        if asked.rested:
            return converted(asked)
        why = {"reason": "incomplete_series", "detail": "3 slices are not there yet"}
        return RunAgain(delay_seconds=1.0, why=why, request=dataclasses.replace(asked, rested=True))

    with engine(place, run) as jobs:
        job_id = jobs.enqueue(request())
        while not runs:
            time.sleep(0.02)
        job = wait_for(jobs, job_id, JobState.WAITING)
        deadline = time.monotonic() + 5
        while job.error is None and time.monotonic() < deadline:
            job = jobs.get(job_id)
        assert job.error["detail"] == "3 slices are not there yet"
        assert [j.id for j in jobs.list()] == [job_id]
        job = wait_for(jobs, job_id, JobState.DONE)
        assert (runs, job.attempts, job.error) == ([False, True], 2, None)
        assert jobs.enqueue(request()) == job_id
        time.sleep(0.3)
        assert runs == [False, True]


def test_many_attempts_leave_one_job_and_few_rows(tmp_path):
    runs = []

    def run(asked):
        runs.append(asked)
        return RunAgain(delay_seconds=0.0) if len(runs) < 5 else converted(asked)

    with engine(tmp_path, run) as jobs:
        job = wait_for(jobs, jobs.enqueue(request()), JobState.DONE)
        assert job.attempts == 5
        assert len(jobs.list()) == 1


def test_retry_runs_an_ended_job_again_and_a_waiting_one_at_once(place):
    runs = []

    def run(asked):
        runs.append(asked.series_key)
        if runs.count("gone") == 1 and asked.series_key == "gone":
            raise NotInArchive
        return converted(asked)

    with engine(place, run) as jobs:
        gone = jobs.enqueue(request("gone"))
        wait_for(jobs, gone, JobState.FAILED)
        assert jobs.retry(gone) == gone
        wait_for(jobs, gone, JobState.DONE)
        later = jobs.enqueue(request("later"), delay_seconds=3600)
        assert wait_for(jobs, later, JobState.WAITING).attempts == 0
        jobs.retry(later)
        wait_for(jobs, later, JobState.DONE)
        with pytest.raises(StateError):
            jobs.retry("0123456789abcdef01234567")


def test_an_unexpected_end_of_the_callback_does_not_stop_the_queue(place):
    def ended(asked, _document):
        if asked.series_key == "bad":
            raise OSError

    with engine(place, ended=ended) as jobs:
        bad = jobs.enqueue(request("bad"))
        good = jobs.enqueue(request("good"))
        wait_for(jobs, good, JobState.DONE)
        assert wait_for(jobs, bad, JobState.FAILED).error["reason"] == "internal_error"


def test_no_more_jobs_at_a_time_than_workers(place):
    now, most, lock = 0, 0, threading.Lock()

    def run(asked):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        return converted(asked)

    with engine(place, run, workers=2) as jobs:
        ids = [jobs.enqueue(request(f"m{n}")) for n in range(8)]
        for job_id in ids:
            wait_for(jobs, job_id, JobState.DONE)
    assert most == 2


def test_the_history_is_read_and_mended_from_another_connection(place):
    """As `mask2seg jobs` does while the service runs."""
    with pytest.raises(StateError):
        JobReader(*place)
    tries = []

    def run(asked):
        tries.append(asked)
        if len(tries) == 1:
            raise NotInArchive
        return converted(asked)

    with engine(place, run) as jobs:
        job_id = jobs.enqueue(request())
        wait_for(jobs, job_id, JobState.FAILED)
        reader = JobReader(*place)
        assert [job.state for job in reader.list(limit=5)] == [JobState.FAILED]
        assert reader.get(job_id).document()["state"] == "failed"
        reader.retry(job_id)
        wait_for(reader, job_id, JobState.DONE)
        reader.close()
    reader = JobReader(*place)
    assert reader.get(job_id).state is JobState.DONE
    reader.close()


def test_a_state_folder_serves_one_service(tmp_path):
    with engine(tmp_path):
        with pytest.raises(StateError, match="in use"):
            Engine(tmp_path)
        code = "import sys, pathlib; from orthanc_mask2seg.jobs.engine import Engine; Engine(pathlib.Path(sys.argv[1]))"
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert "StateError: the state folder is in use by another service" in other.stderr
    with engine(tmp_path):
        pass


def test_a_state_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError):
        Engine(tmp_path / "file" / "state")


def test_nothing_that_a_job_was_given_is_logged_by_the_library(place, caplog, capfd):
    caplog.set_level(logging.DEBUG)

    def run(_asked):
        raise NotInArchive

    with engine(place, run) as jobs:
        job_id = jobs.enqueue(request("CANARY"))
        wait_for(jobs, job_id, JobState.FAILED)
    printed = capfd.readouterr()
    assert "CANARY" not in caplog.text + printed.out + printed.err
    assert "DBOS" not in printed.err


def test_backoff_doubles_up_to_a_ceiling_with_jitter():
    backoff = Backoff(first_seconds=2.0, ceiling_seconds=60.0)
    assert [backoff.delay(n, lambda: 1.0) for n in (1, 2, 5, 6, 1000)] == [2.0, 4.0, 32.0, 60.0, 60.0]
    assert backoff.delay(1, lambda: 0.0) == 1.0


def test_the_command_line_does_not_import_the_engine():
    code = "import sys, orthanc_mask2seg.cli; sys.exit('dbos' in sys.modules or 'sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_destination_that_hangs_holds_up_nobody(tmp_path):
    """Conversions and the other destinations go on; each delivery is retried by itself."""
    hung = threading.Event()
    tries = []

    def run(asked):
        if asked.destination == "slow":
            hung.wait(20)
        if asked.destination == "down":
            tries.append(asked)
            if len(tries) < 3:
                raise ArchiveUnreachable
        return converted(asked)

    with engine(tmp_path, run, destinations=["slow", "down", "up"]) as jobs:
        slow = jobs.enqueue(request(destination="slow", instance_key="seg"))
        others = [jobs.enqueue(request(destination=name, instance_key="seg")) for name in ("up", "down")]
        for job_id in (*others, jobs.enqueue(request("other"))):
            wait_for(jobs, job_id, JobState.DONE)
        assert jobs.get(slow).state in {JobState.WAITING, JobState.RUNNING}
        hung.set()
        wait_for(jobs, slow, JobState.DONE)
    assert len(tries) == 3


def test_a_failed_delivery_is_retried_in_its_own_queue(tmp_path):
    failing = [True]

    def run(asked):
        if failing.pop() if failing else False:
            raise NotInArchive
        return converted(asked)

    with engine(tmp_path, run, destinations=["one"]) as jobs:
        job_id = jobs.enqueue(request(destination="one", instance_key="seg"))
        wait_for(jobs, job_id, JobState.FAILED)
        assert jobs.retry(job_id) == job_id
        assert wait_for(jobs, job_id, JobState.DONE).request.destination == "one"


def test_what_a_person_waits_for_goes_before_the_backlog(place):
    """Also where it stands in the backlog already."""
    runs, go = [], threading.Event()

    def run(asked):
        go.wait(20)
        runs.append(asked.series_key)
        return converted(asked)

    with engine(place, run) as jobs:
        first = jobs.enqueue(request("first", origin="backfill"))
        wait_for(jobs, first, JobState.RUNNING)
        names = [f"old{n}" for n in range(5)]
        for name in names:
            jobs.enqueue(request(name, origin="backfill"))
        jobs.enqueue(request("arrived"))
        jobs.enqueue(request("wanted", origin="button"))
        jobs.enqueue(request("old4", origin="button"))
        go.set()
        for name in (*names, "wanted"):
            wait_for(jobs, request(name).key, JobState.DONE)
    assert set(runs[1:3]) == {"wanted", "old4"}
    assert runs[3:] == ["arrived", *names[:4]]


def test_what_shares_a_lane_never_runs_at_the_same_time(place):
    """Two versions of one mask, with workers to spare; other masks are not held up by them."""
    running, together, lock, go = [], [], threading.Lock(), threading.Event()

    def run(asked):
        with lock:
            running.append(asked.series_key)
            together.append(tuple(running))
        if asked.series_key == "a" and asked.version == "1":
            go.wait(20)
        with lock:
            running.remove(asked.series_key)
        return converted(asked)

    with engine(place, run, workers=3, lane=lambda asked: asked.series_key) as jobs:
        first = jobs.enqueue(request("a"))
        wait_for(jobs, first, JobState.RUNNING)
        second, other = jobs.enqueue(request("a", version="2")), jobs.enqueue(request("b"))
        wait_for(jobs, other, JobState.DONE)
        deadline = time.monotonic() + 10
        while (jobs.get(second).error or {}).get("reason") != "one_at_a_time":
            assert time.monotonic() < deadline
        go.set()
        for job_id in (first, second):
            wait_for(jobs, job_id, JobState.DONE)
    assert ("a", "a") not in together
    assert any("a" in at and "b" in at for at in together)


def test_a_job_that_is_begun_and_that_nobody_works_on_is_queued_again(place):
    """As after a thread that ended without a word, because its database was away; what is worked on is left alone."""
    runs, go = [], threading.Event()

    def run(asked):
        runs.append(asked.series_key)
        if asked.series_key == "busy":
            go.wait(20)
        return converted(asked)

    with engine(place, run, workers=2, pulse=Pulse(beat_seconds=0.3, ttl_seconds=5.0)) as jobs:
        busy = jobs.enqueue(request("busy"))
        lost = jobs.enqueue(request("lost"), delay_seconds=3600.0)
        wait_for(jobs, busy, JobState.RUNNING)
        database = connect(address(*place))
        rows = table(database)
        with database.begin() as connection:
            begun = {"status": "PENDING", "executor_id": jobs.executor}
            connection.execute(sa.update(rows).where(rows.c.workflow_uuid == lost).values(begun))
        database.dispose()
        wait_for(jobs, lost, JobState.DONE)
        time.sleep(1.5)
        go.set()
        wait_for(jobs, busy, JobState.DONE)
    assert runs == ["busy", "lost"]


@pytest.mark.parametrize("wrong", [("created_at", "delay_until_epoch_ms"), ("delay_until_epoch_ms",)])
def test_what_waits_by_a_clock_that_was_a_day_ahead_goes_on(place, wrong):
    """The clock jumped ahead, a try failed and was put off, and the clock was set right again.

    In PostgreSQL the moment of making is the server's, and only that of waking is wrong.
    """
    tries = []

    def run(asked):
        tries.append(asked)
        return converted(asked) if len(tries) > 1 else RunAgain(delay_seconds=3600.0, why={"outcome": "waiting"})

    with engine(place, run, pulse=Pulse(0.2, 20.0)) as jobs:
        job_id = jobs.enqueue(request())
        database = connect(address(*place))
        jobs_table = table(database)
        waits = jobs_table.c.status == "DELAYED"

        def set_ahead(seconds):
            times = {name: jobs_table.c[name] + seconds * 1000 for name in wrong}
            with database.begin() as connection:
                return connection.execute(sa.update(jobs_table).where(waits).values(times)).rowcount

        wait_until(lambda: set_ahead(0) == 1)
        time.sleep(1.0)
        assert jobs.get(job_id).state is JobState.WAITING
        assert set_ahead(86_400) == 1
        assert wait_for(jobs, job_id, JobState.DONE).attempts == 2
        database.dispose()
