"""A few hundred of the simulation's histories; `make simulation` plays a hundred thousand."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from orthanc_mask2seg.service.watcher import Watcher
from tests.faults.bugs import BUGS, SIMULATION, caught
from tests.faults.simulation import WITHOUT_SCAN, play

HISTORIES = 200
PER_TEST = 50


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logger = logging.getLogger("orthanc_mask2seg")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.parametrize("first", range(0, HISTORIES, PER_TEST))
def test_every_mask_has_its_one_segmentation_or_its_reason(first: int) -> None:
    ended = [play(f"test {number}") for number in range(first, first + PER_TEST)]
    assert [(e.seed, e.complaints) for e in ended if e.complaints] == []
    assert sum(e.faults.total() for e in ended) > PER_TEST
    assert sum(e.faults["death"] for e in ended) > PER_TEST / 2


def test_the_same_seed_is_the_same_history() -> None:
    assert play("again") == play("again")


def test_where_nothing_is_lost_the_journal_alone_is_enough(monkeypatch) -> None:
    """What the bugs of the cursor are judged against: the scan sees nothing, and is not needed."""
    monkeypatch.setattr(Watcher, "_scanned_one", lambda self, series, _now: self._scanned.add(series.key))
    ended = [play(f"journal {number}", shares=WITHOUT_SCAN) for number in range(40)]
    assert [(e.seed, e.complaints) for e in ended if e.complaints] == []


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.seen_by == SIMULATION])
def test_a_bug_is_seen(name: str, tmp_path) -> None:
    assert caught(name, tmp_path), BUGS[name].says
