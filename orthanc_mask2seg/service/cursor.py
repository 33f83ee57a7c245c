"""How far a journal has been read, without ever losing an entry that appears late. Pure.

Sequence numbers of Orthanc on PostgreSQL commit out of order: number 7 may appear after number 8 was read. So the
cursor stays before a missing number until it has been missing for `PATIENCE_SECONDS`; what was read beyond it is
remembered, and not reported twice. Numbers of deleted resources are missing for ever: they cost the wait, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orthanc_mask2seg.model import Change
from orthanc_mask2seg.pacs.port import ChangesPage

Gap = tuple[int, int, float]
"""First and last number of a run that is missing, and since when (s, monotonic)."""

PATIENCE_SECONDS = 10.0
MOST_AHEAD = 20_000
"""Entries remembered beyond a gap; with more, the cursor gives the oldest gap up (the scan finds what was in it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a journal has been read.

    Attributes
    ----------
    position
        All up to here is dealt with: what is kept over a restart.
    frontier
        The highest number read.
    ahead
        Numbers between the two that were read.
    gaps
        Numbers between the two that are missing.
    """

    position: int
    frontier: int
    ahead: frozenset[int] = frozenset()
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def at(cls, position: int) -> Cursor:
        """All up to `position` is dealt with."""
        return cls(position=position, frontier=position)

    def next_gap(self, after: int) -> int | None:
        """From where to read again, beyond `after`, to see whether a missing number has appeared."""
        return next((max(first - 1, after) for first, last, _ in self.gaps if last > after), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a page brought.

    Attributes
    ----------
    changes
        Entries that were not read before.
    reset
        The archive's journal ends before what was read already: it is another one, so everything must be scanned.
    """

    cursor: Cursor
    changes: tuple[Change, ...] = field(default=())
    reset: bool = False


def read(cursor: Cursor, since: int, page: ChangesPage, now: float) -> Read:
    """Take in the page that the archive gave for `since` (the cursor's `frontier`, or `next_gap`).

    Parameters
    ----------
    now
        Monotonic time, s.
    """
    if not page.changes and page.last < since and since == cursor.frontier:
        return Read(cursor=Cursor.at(page.last), reset=True)
    known = cursor.ahead
    new = tuple(c for c in page.changes if c.sequence > cursor.position and c.sequence not in known)
    ahead = known | {c.sequence for c in new}
    frontier = max([cursor.frontier, *(c.sequence for c in new)])
    return Read(cursor=_advance(cursor.position, frontier, sorted(ahead), cursor.gaps, now), changes=new)


def expire(cursor: Cursor, now: float) -> Cursor:
    """Let the cursor pass the numbers that have been missing for long enough."""
    return _advance(cursor.position, cursor.frontier, sorted(cursor.ahead), cursor.gaps, now)


def _advance(position: int, frontier: int, ahead: Sequence[int], known: Sequence[Gap], now: float) -> Cursor:
    """Move over everything that was read, and over the gaps that are old enough."""
    gaps: list[Gap] = []
    previous = position
    for number in ahead:
        if number > previous + 1:
            gaps.extend(_missing(previous + 1, number - 1, known, now))
        previous = number
    oldest = ahead[-MOST_AHEAD] if len(ahead) > MOST_AHEAD else position
    young = (i for i, (first, _, since) in enumerate(gaps) if now - since < PATIENCE_SECONDS and first > oldest)
    kept = gaps[next(young, len(gaps)) :]
    reached = kept[0][0] - 1 if kept else frontier
    cursor = Cursor(position=max(position, reached), frontier=frontier, gaps=tuple(kept))
    return replace(cursor, ahead=frozenset(n for n in ahead if n > cursor.position))


def _missing(first: int, last: int, known: Sequence[Gap], now: float) -> list[Gap]:
    """Divide a run of missing numbers by how long they have been known to be missing."""
    gaps = []
    for start, end, since in known:
        if start <= last and end >= first:
            start, end = max(start, first), min(end, last)  # noqa: PLW2901
            if start > first:
                gaps.append((first, start - 1, now))
            gaps.append((start, end, since))
            first = end + 1
    if first <= last:
        gaps.append((first, last, now))
    return gaps
