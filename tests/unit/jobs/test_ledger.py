"""The memory of the watcher."""

import dataclasses

import pytest

from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import STALE, Seen, Stored, Verdict


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
