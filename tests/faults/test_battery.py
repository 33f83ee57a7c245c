"""A short form of the battery on a real Orthanc, and proof that it can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.battery import Battery, Options
from tests.faults.bugs import BUGS, caught


def test_nothing_is_lost_nothing_is_duplicated_nothing_is_wrong(tmp_path: Path) -> None:
    options = Options(folder=tmp_path, masks=14, faults=25, seed=2, still=6.0, without=frozenset({"clock"}))
    report = Battery(options).run()
    assert report.verdict.lines() == []
    assert report.complaints == []
    assert report.masks >= options.masks
    assert report.faults.total() >= options.faults
    assert report.last_line.endswith("lost 0 duplicated 0 wrong 0")
    unheard = {"journal", "scan", "headers", "look", "siblings", "lookup", "pixels", "digest", "store"} - set(
        report.requests
    )
    assert not unheard, "the proxy does not know these requests by their addresses any more, so it cannot break them"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_program_that_everybody_writes_first_loses_and_duplicates(tmp_path: Path) -> None:
    options = Options(
        folder=tmp_path, masks=30, faults=60, seed=3, calm=20.0, watcher="naive", without=frozenset({"clock"})
    )
    verdict = Battery(options).run().verdict
    assert verdict.lost
    assert verdict.duplicated


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_bug_is_seen(tmp_path: Path) -> None:
    """One of those that the simulation cannot see; `make faults-bugs` builds in all of them, which takes long."""
    assert caught("flipped", tmp_path), BUGS["flipped"].says
