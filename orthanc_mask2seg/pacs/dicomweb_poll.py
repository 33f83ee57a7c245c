"""A journal for an archive that has none: what one sweep of its index finds that the one before did not.

A sweep reads the index page by page, one page for each look of the watcher, and says which series are new or have
another number of instances. After a sweep the archive has a rest that is ten times as long, so that a large archive
is asked less often. The first sweep says nothing: the watcher's own scan finds what is there at the start.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from orthanc_mask2seg.model import ArchiveKey, Change
from orthanc_mask2seg.pacs.port import ChangesPage

Counts = Sequence[tuple[ArchiveKey, int | None]]
"""Series of a page with the number of their instances, as far as the archive tells it."""

SHORTEST_REST_SECONDS = 1.0
REST_PER_COST = 10.0
REMEMBERED = 10_000
"""Entries that are kept; a reader that lags further behind finds the rest by its scan."""


class SweptJournal:
    """The journal.

    Parameters
    ----------
    sweep
        Reads the index page by page.
    clock
        Monotonic time, s.
    """

    def __init__(self, sweep: Callable[[], Iterator[Counts]], clock: Callable[[], float] = time.monotonic) -> None:
        self._sweep, self._clock = sweep, clock
        self._entries: deque[Change] = deque(maxlen=REMEMBERED)
        self._last: int | None = None
        self._before: dict[ArchiveKey, int | None] | None = None
        self._now: dict[ArchiveKey, int | None] = {}
        self._pages: Iterator[Counts] | None = None
        self._cost = 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def changes(self, since: int, limit: int) -> ChangesPage:
        """A page of the journal after the sequence number `since`.

        The numbers go on from the one that is asked for first: an earlier process may have given them.
        """
        with self._lock:
            if self._last is None:
                self._last = since
            self._read_on()
            found = tuple(change for change in self._entries if change.sequence > since)
            page = found[: max(limit, 1)]
            last = page[-1].sequence if page else self._last
            return ChangesPage(changes=page, last=last, done=len(page) == len(found))

    def last_change(self) -> int:
        """The newest sequence number."""
        return self._last or 0

    def _read_on(self) -> None:
        """Read one page of the index, if it is time."""
        started = self._clock()
        if self._pages is None:
            if started < self._next:
                return
            self._pages, self._now, self._cost = self._sweep(), {}, 0.0
        try:
            page = next(self._pages, None)
        except BaseException:
            self._pages = None
            self._next = self._clock() + SHORTEST_REST_SECONDS
            raise
        self._cost += self._clock() - started
        if page is None:
            self._pages, self._before = None, self._now
            self._next = self._clock() + max(SHORTEST_REST_SECONDS, REST_PER_COST * self._cost)
        else:
            self._compare(page)

    def _compare(self, page: Counts) -> None:
        for key, count in page:
            self._now[key] = count
            if self._before is None or (key in self._before and self._before[key] == count):
                continue
            assert self._last is not None
            self._last += 1
            self._entries.append(Change(sequence=self._last, kind="NewSeries", key=key))
