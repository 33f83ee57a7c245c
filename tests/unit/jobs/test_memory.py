"""What is kept and what is forgotten, on both databases: retention, moving house, leases."""

import dataclasses
import time

import pytest
import sqlalchemy as sa
from job_scene import converted, engine, request, wait_for

from orthanc_mask2seg.errors import NotInArchive, StateError
from orthanc_mask2seg.jobs.database import address, connect
from orthanc_mask2seg.jobs.days_seen import DAY, DaysSeen
from orthanc_mask2seg.jobs.lease import Lease
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobState, RunAgain, Seen, Stored, Verdict
from orthanc_mask2seg.jobs.reader import History
from orthanc_mask2seg.jobs.retention import purge, purge_older
from orthanc_mask2seg.jobs.rows import table


def seen(key, verdict=Verdict.CONVERTED, **more):
    return Seen(series_key=key, series_instance_uid="1.2", study_instance_uid="s", version="1", verdict=verdict, **more)


def test_old_jobs_are_forgotten_but_not_what_was_done_or_waits(place):
    runs = []

    def run(asked):
        runs.append(asked.series_key)
        if asked.series_key == "failed":
            raise NotInArchive
        if asked.series_key == "twice" and runs.count("twice") == 1:
            return RunAgain(delay_seconds=0.0)
        if asked.series_key == "later":
            return RunAgain(delay_seconds=3600.0)
        return converted(asked)

    with engine(place, run) as jobs:
        ledger = SqlLedger(*place)
        history = History(address(*place))
        names = ("done", "failed", "twice", "later", "no_ct")
        done, failed, twice, later, no_ct = (jobs.enqueue(request(name)) for name in names)
        for job_id in (done, twice, no_ct):
            wait_for(jobs, job_id, JobState.DONE)
        wait_for(jobs, failed, JobState.FAILED)
        while runs.count("later") < 1 or jobs.get(later).state is not JobState.WAITING:
            time.sleep(0.05)
        ledger.remember(seen("done", job_id=done), seen("no_ct", Verdict.REFUSED, job_id=no_ct))
        between = time.time() + 1.0
        assert purge(history, ledger, between - 3600.0) == 0
        time.sleep(2.5)  # SQLite counts in seconds
        new = jobs.enqueue(request("new"))
        wait_for(jobs, new, JobState.DONE)
        assert purge(history, ledger, between) == 3
        assert {job.id for job in jobs.list()} == {later, no_ct, new}
        assert jobs.get(twice) is None
        assert ledger.seen("done").verdict is Verdict.CONVERTED
        assert purge(history, ledger, between) == 0
        ledger.close()
        history.close()


@pytest.mark.parametrize("ahead", [400 * DAY, -400 * DAY])
def test_a_clock_that_jumps_by_a_year_forgets_nothing(place, ahead):
    """Ahead for a minute, all jobs seem old; behind for a minute, what ended in it does."""
    with engine(place) as jobs:
        ledger, history = SqlLedger(*place), History(address(*place))
        job_id = jobs.enqueue(request("done"))
        wait_for(jobs, job_id, JobState.DONE)
        now = time.time() + max(ahead, 0)
        if ahead < 0:
            ended = table(history.engine)
            with history.engine.begin() as connection:
                moment = int((time.time() + ahead) * 1000)
                connection.execute(sa.update(ended).values(updated_at=moment))
        for day in range(5):
            assert purge_older(history, ledger, 365.0, now + day * DAY) == 0
        assert jobs.get(job_id).state is JobState.DONE
        for day in range(5, 366):
            DaysSeen(history.engine).see(now + day * DAY)
        assert purge_older(history, ledger, 365.0, now + 367 * DAY) == 1
        assert jobs.get(job_id) is None
        ledger.close()
        history.close()


def test_the_memory_of_a_laptop_moves_along_to_postgresql(tmp_path, shared_postgres):
    ledger = SqlLedger(tmp_path)
    made = tuple(seen(f"mask{n}", job_id="j", study_version="v") for n in range(1200))
    stored = Stored(series_key="mask1", orthanc_id="seg", sop_instance_uid="1.5")
    ledger.remember(*made)
    ledger.note_stored(stored)
    ledger.move_cursor("changes", 77)
    ledger.close()

    url = shared_postgres.create_database()
    for _ in range(2):
        moved = SqlLedger(tmp_path, url)
        assert moved.versions() == {one.series_key: "1" for one in made}
        assert moved.seen("mask7") == dataclasses.replace(made[7])
        assert moved.stored("mask1") == (stored,)
        assert moved.cursor("changes") == 77
        moved.remember(seen("mask7", Verdict.FAILED))
        moved.remember(made[7])
        moved.close()
    grown = SqlLedger(tmp_path, url)
    grown.forget(*(one.series_key for one in made[1:]))
    grown.close()
    again = SqlLedger(tmp_path, url)
    assert set(again.versions()) == {"mask0"}, "what was forgotten since does not come back"
    again.close()


def test_a_lease_has_one_owner_at_a_time(shared_postgres):
    database = connect(address(None, shared_postgres.create_database()))
    one, two = (Lease(database, "watcher", name, seconds=2.0) for name in ("one", "two"))
    assert [one.hold(), two.hold(), one.hold()] == [True, False, True]
    one.give_up()
    assert [two.hold(), one.hold()] == [True, False]
    deadline = time.monotonic() + 20
    while not one.hold():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not two.hold()
    database.dispose()


def test_the_password_of_the_database_is_never_shown(place, tmp_path, shared_postgres, capfd, caplog):
    """Neither where it is right nor where it is wrong, nor where the address is malformed."""
    if not place.url:
        pytest.skip("a file has no password")
    wrong = place.url.replace("correct", "CANARYSECRET")
    for url in (
        wrong,
        "postgresql://tester:CANARYSECRET@127.0.0.1:x/none",
        "postgresql://u:CANARYSECRET@127.0.0.1:1/n",
    ):
        with pytest.raises(StateError) as caught:
            SqlLedger(tmp_path / "none", url)
        assert "CANARYSECRET" not in repr(caught.value) + str(caught.value) + caught.value.hint
        assert caught.value.__cause__ is None
    with engine(place) as jobs:
        wait_for(jobs, jobs.enqueue(request()), JobState.DONE)
        shown = repr(jobs) + repr(vars(jobs)["_history"].engine)
    printed = capfd.readouterr()
    assert "staple" not in shown + caplog.text + printed.out + printed.err
