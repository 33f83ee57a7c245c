"""From what happens in the archive to jobs: state is the truth, events are doorbells.

The journal is polled and says where to look; a scan of all series, from time to time, finds what the journal lost.
Either way a series becomes pending, and its index entry is read again and again until it has been quiet for long
enough. Then it is passed over as no mask, or it is remembered as asked for, and the job is queued. Only then does the
cursor move. A service that dies before the memory finds the series again in the journal; one that dies before the job
is queued has a memory without a job, which `Dispatch.reconcile` mends before each scan, the first of which is at once;
one that dies before the cursor has moved reads the same entries again, and asks for the same job under the same name.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveDenied, ArchiveError, ArchiveUnreachable, NotInArchive
from orthanc_mask2seg.jobs.database import is_passing
from orthanc_mask2seg.jobs.port import SCAN, JobRequest, Jobs, Ledger
from orthanc_mask2seg.model import ArchiveKey, Change, Series
from orthanc_mask2seg.pacs.port import Archive, ChangesPage, Journal
from orthanc_mask2seg.service import cursor as journal
from orthanc_mask2seg.service.dispatch import Dispatch
from orthanc_mask2seg.service.settle import Settle
from orthanc_mask2seg.service.status import STATE_UNAVAILABLE, Counters, WatcherStatus
from orthanc_mask2seg.service.studies import twins

CURSOR = "changes"
PAGE = 500
PAGES_PER_TICK = 4
LOOKS_PER_TICK = 24
REREAD_SECONDS = 1.0
"""Time between two looks for numbers of the journal that were missing."""
WITNESS_SECONDS = 30.0
"""Time between two looks whether the journal still says what it said: it may be that of another database now."""
SCANNED_PER_TICK = 200
SCAN_REST = 20.0
"""After a scan, the archive has so many times its cost in peace, whatever ScanSeconds is."""
LOOK_SECONDS = 0.4
"""Time between two looks at a series that is arriving."""
RELAXED_LOOK_SECONDS = 2.0
RELAXED_AFTER_SECONDS = 10.0
"""A mask that waits for its missing slices for longer than this is looked at less often."""
SCANS_PER_RECHECK = 10
UNEXPLAINED_SECONDS = 3.0
"""An instance that arrived and is in no series looked at since then asks for an early scan."""
MOST_PENDING = 2_000
"""With so many series under observation no more of the journal is read, and with half of them no more of a scan."""
MOST_UNEXPLAINED = 20_000
"""Instances that wait for their series; with more of them, only that there are some is remembered."""
LONGEST_PAUSE_SECONDS = 10.0
REMINDER_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Source(Archive, Journal, Protocol):
    """An archive that can be watched."""


Sieve = Callable[[Series], str | None]
"""Why a series certainly is no mask; None if it could be one."""


@dataclass(slots=True)
class _Pending:
    """A series under observation: when to look next, how far the journal was read before it was rung."""

    look_at: float
    fresh: bool
    floor: int
    sieved: str = ""
    faults: int = 0


class Watcher:
    """Watches one archive.

    Parameters
    ----------
    clock
        Monotonic time, s.
    """

    def __init__(
        self,
        archive: Source,
        ledger: Ledger,
        jobs: Jobs,
        settings: Settings,
        sieve: Sieve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._ledger, self._sieve, self._clock = archive, ledger, sieve, clock
        self._settings = settings
        self._counters = Counters()
        self._dispatch = Dispatch(archive, ledger, jobs, self._counters)
        self._settle = Settle(settings.settle_seconds, settings.partial_rest_seconds)
        self._pending: dict[ArchiveKey, _Pending] = {}
        self._cursor: journal.Cursor | None = None
        self._saved = -1
        self._reread_at = 0.0
        self._newest: Change | None = None
        self._witness: Change | None = None
        self._witness_at = 0.0
        self._unexplained: dict[ArchiveKey, float] = {}
        self._scan: Iterator[Series] | None = None
        self._scanned: set[ArchiveKey] = set()
        self._scan_started = 0.0
        self._scan_cost = 0.0
        self._scan_at = 0.0

    def status(self) -> WatcherStatus:
        """How it goes."""
        return self._counters.status(len(self._dispatch), len(self._pending))

    def job_ended(self, request: JobRequest, document: dict[str, Any]) -> None:
        """Note how a job ended; called from the workers."""
        self._dispatch.job_ended(request, document)

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop. Nothing that the archive does ends this."""
        pause = self._settings.poll_seconds
        reminded = 0.0
        while not stop.wait(pause):
            try:
                self.tick()
            except ArchiveError as error:
                code = error.code
            except Exception as error:  # noqa: BLE001  (a watcher that has died is worse than one that complains)
                code = STATE_UNAVAILABLE if is_passing(error) else _internal(error)
            else:
                code = ""
            now = self._clock()
            if self._note(code):
                reminded = now
            elif code and now - reminded >= REMINDER_SECONDS:
                reminded = now
                _log.warning("still waiting for %s: %s", _whom(code), code)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS) if code else self._settings.poll_seconds

    def tick(self) -> None:
        """One round: a bounded amount of work.

        Raises
        ------
        ArchiveError
            The archive cannot be read at all.
        """
        now = self._clock()
        try:
            self._listen(now)
            self._look(now)
            self._scan_some(now)
            self._dispatch.check_again()
        finally:
            self._dispatch.flush()
        self._counters.polls += 1
        self._save_cursor()

    # --- what the journal says

    def _listen(self, now: float) -> None:
        if self._cursor is None:
            kept = self._ledger.cursor(CURSOR)
            self._cursor = journal.Cursor.at(self._archive.last_change() if kept is None else kept)
        if now >= self._witness_at:
            self._witness_at = now + WITNESS_SECONDS
            self._ask_witness(now)
        for _ in range(PAGES_PER_TICK):
            if self._busy(MOST_PENDING):
                break
            page = self._read(self._cursor.frontier, now)
            if page.done or not page.changes:
                break
        if now >= self._reread_at:
            self._reread_at = now + REREAD_SECONDS
            self._read_gaps(now)
        self._cursor = journal.expire(self._cursor, now)

    def _read_gaps(self, now: float) -> None:
        assert self._cursor is not None
        since = self._cursor.next_gap(self._cursor.position)
        while since is not None:
            page = self._read(since, now)
            since = self._cursor.next_gap(max(page.last, since + 1))

    def _read(self, since: int, now: float) -> ChangesPage:
        assert self._cursor is not None
        page = self._archive.changes(since, PAGE)
        floor = self._cursor.position
        result = journal.read(self._cursor, since, page, now)
        self._cursor = result.cursor
        if result.reset:
            self._look_through(now)
        self._newest = result.changes[-1] if result.changes else self._newest
        self._witness = self._witness or self._newest
        for change in result.changes:
            self._ring(change, floor, now)
        return page

    def _ask_witness(self, now: float) -> None:
        """See that an entry still says what it said. Orthanc drops those of what is deleted: they say nothing."""
        assert self._cursor is not None
        witness, self._witness = self._witness, self._newest
        since = (witness.sequence if witness else self._cursor.frontier) - 1
        found = self._archive.changes(max(since, 0), 1).changes[:1]
        if witness is None:
            self._witness = self._newest = self._newest or (found[0] if found else None)
        elif found and found[0].sequence == witness.sequence and found[0] != witness:
            self._look_through(now)

    def _look_through(self, now: float) -> None:
        _log.warning("the journal of Orthanc is another one: another database? All series are looked through again")
        self._scan, self._scan_at, self._witness, self._newest = None, now, None, None
        self._dispatch.doubt_all()

    def _ring(self, change: Change, floor: int, now: float) -> None:
        if change.kind.endswith("Series"):
            pending = self._pending.get(change.key)
            if pending is None:
                self._pending[change.key] = _Pending(look_at=now, fresh=True, floor=floor)
            elif not pending.faults:
                pending.look_at = min(pending.look_at, now + LOOK_SECONDS)
        elif change.kind == "NewInstance" and len(self._unexplained) < MOST_UNEXPLAINED:
            self._unexplained[change.key] = now

    def _save_cursor(self) -> None:
        assert self._cursor is not None
        floors = (p.floor for p in self._pending.values() if p.fresh)
        position = min([self._cursor.position, *floors])
        if position != self._saved:
            self._ledger.move_cursor(CURSOR, position)
            self._saved = position

    # --- series under observation

    def _look(self, now: float) -> None:
        due = ((not p.fresh, p.look_at, key) for key, p in self._pending.items() if p.look_at <= now)
        for _, _, key in heapq.nsmallest(LOOKS_PER_TICK, due):
            pending = self._pending[key]
            try:
                asked = self._clock()
                self._observe(self._archive.series(key), pending, asked, self._clock())
                pending.faults = 0
            except NotInArchive:
                self._gone(key)
            except (ArchiveUnreachable, ArchiveDenied):
                raise
            except ArchiveError as error:
                pending.faults += 1
                pending.look_at = now + min(2.0**pending.faults, 60.0)
                if pending.faults == 1:
                    _log.warning("a series cannot be read (%s); it is tried again", error.code)

    def _observe(self, series: Series, pending: _Pending, asked: float, now: float) -> None:
        self._explain(series)
        if self._dispatch.knows(series):
            self._drop(series.key)
            return
        quiet = self._settle.observe(series.key, series.version, now, asked=asked)
        pending.look_at = now + LOOK_SECONDS if pending.fresh else now + max(self._settings.settle_seconds - quiet, 0)
        if not self._settle.settled(quiet):
            return
        if pending.sieved != series.version:
            pending.look_at = now + REMINDER_SECONDS  # should the sieve stumble, the others are not kept waiting
            reason = self._sieve(series)
            if reason is not None:
                self._dispatch.pass_over(series, reason)
                self._drop(series.key)
                return
            pending.sieved = series.version
        pending.look_at = now + (LOOK_SECONDS if quiet < RELAXED_AFTER_SECONDS else RELAXED_LOOK_SECONDS)
        siblings = self._archive.series_of_study(series.study_instance_uid)
        complete = self._complete(series, siblings)
        self._settle.observe(series.key, series.version, now, asked=asked, complete=complete)
        due = self._settle.ripe(series.key)
        if due is not None:
            self._dispatch.ask(series, siblings, rested=due.rested, origin="watcher" if pending.fresh else SCAN)
            self._drop(series.key)

    def _complete(self, series: Series, siblings: tuple[Series, ...]) -> bool:
        """Whether the mask may cover a source slice for slice: one has as many, and is not itself arriving."""
        return any(
            self._dispatch.knows(twin) or self._settle.settled(self._settle.quiet(twin.key, twin.version))
            for twin in twins(siblings, series)
        )

    def _drop(self, key: ArchiveKey) -> None:
        self._pending.pop(key, None)
        self._settle.forget(key)

    def _gone(self, key: ArchiveKey) -> None:
        self._drop(key)
        self._dispatch.forget(key)

    # --- the scan

    def _busy(self, most: int) -> bool:
        """Whether there is enough to look at; what cannot be read now does not count, as it may never go."""
        return len(self._pending) >= most and sum(not p.faults for p in self._pending.values()) >= most

    def _scan_some(self, now: float) -> None:
        if self._busy(MOST_PENDING // 2):  # the other half is for what arrives now
            return
        if self._scan is None:
            unexplained = [k for k, t in self._unexplained.items() if now - t > UNEXPLAINED_SECONDS]
            early = bool(unexplained) and now - self._scan_started > max(5.0, SCAN_REST * self._scan_cost)
            if now < self._scan_at and not early:
                return
            self._unexplained.clear()
            self._scan, self._scanned, self._scan_started, self._scan_cost = self._archive.all_series(), set(), now, 0.0
            self._dispatch.reconcile()
        started = self._clock()
        try:
            for _ in range(SCANNED_PER_TICK):
                series = next(self._scan, None)
                if series is None:
                    self._finish_scan(self._scan_cost + self._clock() - started)
                    break
                self._scanned_one(series, self._clock())
        except ArchiveError:
            self._scan = None
            raise
        finally:
            self._scan_cost += self._clock() - started

    def _scanned_one(self, series: Series, now: float) -> None:
        self._scanned.add(series.key)
        self._explain(series)
        if not self._dispatch.knows(series) and series.key not in self._pending:
            self._settle.observe(series.key, series.version, now)
            look_at = now + self._settings.settle_seconds
            self._pending[series.key] = _Pending(look_at=look_at, fresh=False, floor=0)

    def _finish_scan(self, cost: float) -> None:
        self._scan = None
        self._scan_at = self._scan_started + max(self._settings.scan_seconds, SCAN_REST * cost)
        for key in self._dispatch.missing(self._scanned, SCANNED_PER_TICK):
            try:
                self._archive.series(key)
            except NotInArchive:
                self._gone(key)
        if self._counters.scans % SCANS_PER_RECHECK == 0:
            self._dispatch.recheck_all()
        self._counters.scans += 1

    def _explain(self, series: Series) -> None:
        if self._unexplained:
            for key in series.instance_keys:
                self._unexplained.pop(key, None)

    def _note(self, code: str) -> bool:
        """Keep the state of the connection; whether it is another than before."""
        counters = self._counters
        if counters.error == code:
            return False
        if counters.reachable == bool(code):
            counters.reachable, counters.since = not code, time.time()
        counters.error = code
        if code:
            _log.warning("waiting for %s: %s", _whom(code), code)
        else:
            _log.info("Orthanc is there")
        return True


def _internal(error: Exception) -> str:
    """A fault that nobody foresaw, without its message, which may hold patient data."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"internal_error ({type(error).__name__} at {Path(where.filename).name}:{where.lineno})"


def _whom(code: str) -> str:
    return "the state of the service" if code == STATE_UNAVAILABLE else "Orthanc"
