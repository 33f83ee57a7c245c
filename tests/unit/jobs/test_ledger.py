"""The memory of the watcher."""

import dataclasses
import sqlite3

import pytest

from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import STALE, Seen, Stored, StoredState, Verdict


def seen(key, verdict=Verdict.PASSED_OVER, study="study", **more):
    return Seen(
        series_key=key, series_instance_uid="1.2", study_instance_uid=study, version="v", verdict=verdict, **more
    )


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(tmp_path)
    yield ledger
    ledger.close()


def test_what_is_remembered_is_there_after_a_restart(tmp_path, ledger):
    mask = seen("mask", Verdict.ENQUEUED, job_id="j", study_version="s")
    ledger.remember(seen("ct"), mask)
    ledger.move_cursor("changes", 7)
    ledger.close()
    again = SqlLedger(tmp_path)
    assert again.seen("mask") == mask
    assert again.versions() == {"ct": "v", "mask": "v"}
    assert again.cursor("changes") == 7
    again.close()


def test_the_newest_memory_replaces_the_older(ledger):
    ledger.remember(seen("mask"))
    ledger.remember(dataclasses.replace(seen("mask"), version="w"))
    assert ledger.versions() == {"mask": "w"}
    ledger.move_cursor("changes", 7)
    ledger.move_cursor("changes", 3)
    assert ledger.cursor("changes") == 3
    assert ledger.cursor("other") is None


def test_unfinished_series_by_study(ledger):
    refused = seen("refused", Verdict.REFUSED, reason="no_source_in_study")
    waiting = seen("waiting", Verdict.ENQUEUED)
    elsewhere = seen("elsewhere", Verdict.REFUSED, study="other")
    ledger.remember(refused, waiting, elsewhere, seen("done", Verdict.CONVERTED), seen("ct"))
    assert set(ledger.unfinished("study")) == {refused, waiting}
    assert set(ledger.unfinished()) == {refused, waiting, elsewhere}
    assert ledger.refused_in_study("study") == (refused,)
    assert {s.series_key for s in ledger.of_study("study")} == {"refused", "waiting", "done"}
    stale = seen("done", Verdict.CONVERTED, study_version=STALE)
    ledger.remember(stale)
    assert set(ledger.unfinished("study")) == {refused, waiting, stale}
    assert set(ledger.unfinished("other")) == {elsewhere}


def test_forgotten_series_are_unknown(ledger):
    ledger.remember(*(seen(f"s{n}") for n in range(1200)))
    ledger.forget(*(f"s{n}" for n in range(1199)))
    assert ledger.versions() == {"s1199": "v"}
    assert ledger.seen("s0") is None
    ledger.forget()
    ledger.remember()


def test_what_was_stored_until_it_is_deleted(ledger):
    old, new = (Stored(series_key="mask", orthanc_id=name, sop_instance_uid=f"1.{name}") for name in ("old", "new"))
    ledger.note_stored(old)
    ledger.note_stored(old, new)
    assert set(ledger.stored("mask")) == {old, new}
    ledger.drop_stored(old)
    assert ledger.stored("mask") == (new,)
    assert ledger.stored("other") == ()


def test_a_state_folder_of_an_earlier_release_gets_what_it_lacks(tmp_path):
    """0.1 remembered less of what it stored; what it did remember is kept."""
    with sqlite3.connect(tmp_path / "mask2seg.sqlite") as database:
        database.execute(
            "CREATE TABLE mask2seg_stored (orthanc_id TEXT PRIMARY KEY, series_key TEXT NOT NULL, "
            "sop_instance_uid TEXT NOT NULL)"
        )
        database.execute("INSERT INTO mask2seg_stored VALUES ('id', 'mask', '1.2')")
    database.close()
    for _ in range(2):
        ledger = SqlLedger(tmp_path)
        assert ledger.stored("mask") == (Stored(series_key="mask", orthanc_id="id", sop_instance_uid="1.2"),)
        ledger.close()


def test_what_was_announced_is_found_by_its_job(ledger):
    rows = [
        Stored(series_key="mask", orthanc_id=state, sop_instance_uid="1", state=state, job_id="job")
        for state in StoredState
    ]
    ledger.note_stored(*rows)
    assert [row.orthanc_id for row in ledger.announced("job")] == ["announced"]
    assert ledger.announced("another") == ()
    assert set(ledger.stored("mask")) == set(rows)
