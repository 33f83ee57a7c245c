"""A journal made of sweeps: what is new since the sweep before, each once, and no archive worn out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orthanc_mask2seg.errors import ArchiveBusy
from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.pacs.dicomweb_poll import REST_PER_COST, SHORTEST_REST_SECONDS, Counts, SweptJournal


class Archive:
    """Series and how many instances each has; a page of two costs so many seconds."""

    def __init__(self, cost: float = 0.0) -> None:
        self.held: dict[str, int | None] = {}
        self.now, self.cost, self.sweeps, self.fault = 0.0, cost, 0, False

    def sweep(self) -> Iterator[Counts]:
        self.sweeps += 1
        held = [(ArchiveKey(key), count) for key, count in self.held.items()]
        for start in range(0, len(held), 2):
            if self.fault:
                raise ArchiveBusy
            self.now += self.cost
            yield held[start : start + 2]

    def journal(self) -> SweptJournal:
        return SweptJournal(self.sweep, lambda: self.now)


def read(archive: Archive, journal: SweptJournal, since: int, seconds: float) -> tuple[list[str], int]:
    """What a watcher reads in so many seconds that looks four times a second."""
    found: list[str] = []
    end = archive.now + seconds
    while archive.now < end:
        page = journal.changes(since, 500)
        found += [str(change.key) for change in page.changes]
        assert [c.sequence for c in page.changes] == list(range(since + 1, since + 1 + len(page.changes)))
        since = page.last
        archive.now += 0.25
    return found, since


def test_what_was_there_is_left_to_the_scan_and_what_comes_is_told_once() -> None:
    archive = Archive()
    journal = archive.journal()
    archive.held = {"a": 1, "b": 2, "c": 3}
    found, since = read(archive, journal, 40, 5.0)  # 40: where an earlier process stopped
    assert (found, since) == ([], 40)
    archive.held |= {"d": 1, "b": 3}
    assert read(archive, journal, since, 5.0) == (["b", "d"], 42)
    assert read(archive, journal, 42, 5.0) == ([], 42)
    del archive.held["d"]
    assert read(archive, journal, 42, 5.0) == ([], 42)
    archive.held["d"] = 1
    assert read(archive, journal, 42, 5.0) == (["d"], 43)
    assert journal.last_change() == 43


def test_pages_are_bounded_and_nothing_is_skipped() -> None:
    archive = Archive()
    journal = archive.journal()
    read(archive, journal, 0, 3.0)
    archive.held = {f"s{n}": 1 for n in range(7)}
    found, since = [], 0
    for _ in range(100):
        archive.now += 0.25
        page = journal.changes(since, 2)
        assert len(page.changes) <= 2
        found += [change.key for change in page.changes]
        since = page.last
    assert found == [f"s{n}" for n in range(7)]


def test_an_archive_that_is_slow_is_asked_less_often() -> None:
    archive = Archive(cost=3.0)
    journal = archive.journal()
    archive.held = {"a": 1, "b": 1, "c": 1}  # two pages: 6 s
    read(archive, journal, 0, 600.0)
    assert archive.sweeps <= 600 / (6 * REST_PER_COST) + 1
    quick = Archive()
    read(quick, quick.journal(), 0, 60.0)
    assert 30 <= quick.sweeps <= 60 / SHORTEST_REST_SECONDS + 1


def test_a_sweep_that_breaks_off_forgets_nothing() -> None:
    archive = Archive()
    journal = archive.journal()
    archive.held = {"a": 1}
    read(archive, journal, 0, 3.0)
    archive.held["b"] = 1
    archive.fault = True
    archive.now += 5.0
    with pytest.raises(ArchiveBusy):
        journal.changes(0, 10)
    archive.fault = False
    assert read(archive, journal, 0, 5.0) == (["b"], 1)


def test_an_unknown_count_is_no_change() -> None:
    archive = Archive()
    journal = archive.journal()
    archive.held = {"a": None}
    read(archive, journal, 0, 3.0)
    assert read(archive, journal, 0, 5.0) == ([], 0)
