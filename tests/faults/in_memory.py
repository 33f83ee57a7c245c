"""The queue and the memory of the watcher without a database: what `jobs.port` promises, and no more."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from orthanc_mask2seg.errors import StateError
from orthanc_mask2seg.jobs.port import (
    FOR_EVER,
    STALE,
    Ending,
    Job,
    JobRequest,
    JobState,
    Seen,
    Stored,
    StoredState,
    Verdict,
)
from orthanc_mask2seg.model import ArchiveKey, Uid

_WAITING_VERDICTS = frozenset({Verdict.REFUSED, Verdict.SKIPPED, Verdict.ENQUEUED})
_SETTLED = frozenset({Verdict.CONVERTED, Verdict.ENQUEUED})


class MemoryLedger:
    """`jobs.port.Ledger`; each method is one transaction."""

    def __init__(self) -> None:
        self.cursors: dict[str, int] = {}
        self.known: dict[ArchiveKey, Seen] = {}
        self.told: list[Ending] = []
        self.kept: dict[ArchiveKey, Stored] = {}

    def cursor(self, name: str) -> int | None:
        return self.cursors.get(name)

    def move_cursor(self, name: str, position: int) -> None:
        self.cursors[name] = position

    def seen(self, series_key: ArchiveKey) -> Seen | None:
        return self.known.get(series_key)

    def remember(self, *seen: Seen) -> None:
        self.known |= {one.series_key: one for one in seen}

    def end(self, seen: Seen, ending: Ending) -> None:
        there = self.known.get(seen.series_key)
        if there is not None and there.version == seen.version:
            changed = replace(there, verdict=seen.verdict, reason=seen.reason, job_id=seen.job_id)
            self.known[seen.series_key] = changed
        self.told.append(ending)

    def tell(self, ending: Ending) -> None:
        self.told.append(ending)

    def endings(self, most: int) -> tuple[Ending, ...]:
        taken = tuple(self.told[:most])
        del self.told[:most]
        return taken

    def mark_stale(self, *series_keys: ArchiveKey) -> None:
        for key in series_keys:
            there = self.known.get(key)
            if there is not None and there.verdict in _SETTLED:
                self.known[key] = replace(there, study_version=STALE)

    def forget(self, *series_keys: ArchiveKey) -> None:
        for key in series_keys:
            self.known.pop(key, None)

    def versions(self) -> dict[ArchiveKey, str]:
        return {key: seen.version for key, seen in self.known.items()}

    def count_refused(self, reason: str) -> int:
        return sum(s.verdict is Verdict.REFUSED and s.reason == reason for s in self.known.values())

    def unfinished(self, study_instance_uid: Uid | None = None) -> tuple[Seen, ...]:
        return tuple(
            seen
            for seen in self.known.values()
            if (study_instance_uid is None or seen.study_instance_uid == study_instance_uid)
            and (
                seen.verdict in _WAITING_VERDICTS or (seen.verdict is Verdict.CONVERTED and seen.study_version == STALE)
            )
        )

    def of_study(self, study_instance_uid: Uid) -> tuple[Seen, ...]:
        return tuple(
            seen
            for seen in self.known.values()
            if seen.study_instance_uid == study_instance_uid and seen.verdict is not Verdict.PASSED_OVER
        )

    def dealt_with(
        self, verdict: Verdict | None, reason: str, study_instance_uid: Uid | None, most: int
    ) -> tuple[Seen, ...]:
        found = (
            seen
            for seen in self.known.values()
            if seen.job_id
            and verdict in {None, seen.verdict}
            and reason in {"", seen.reason}
            and study_instance_uid in {None, seen.study_instance_uid}
        )
        return tuple(itertools.islice(found, most))

    def refused_in_study(self, study_instance_uid: Uid) -> tuple[Seen, ...]:
        return tuple(s for s in self.unfinished(study_instance_uid) if s.verdict is Verdict.REFUSED)

    def stored(self, series_key: ArchiveKey) -> tuple[Stored, ...]:
        return tuple(one for one in self.kept.values() if one.series_key == series_key)

    def unsettled(self, most: int) -> tuple[Stored, ...]:
        return tuple(o for o in self.kept.values() if o.state is StoredState.ANNOUNCED)[:most]

    def current(self, after: ArchiveKey, most: int) -> tuple[Stored, ...]:
        rows = (o for o in self.kept.values() if o.state is StoredState.CURRENT and o.orthanc_id > after)
        return tuple(sorted(rows, key=lambda o: o.orthanc_id)[:most])

    def announced(self, job_id: str) -> tuple[Stored, ...]:
        return tuple(o for o in self.kept.values() if o.job_id == job_id and o.state is StoredState.ANNOUNCED)

    def stored_at(self, orthanc_id: ArchiveKey) -> Stored | None:
        return self.kept.get(orthanc_id)

    def exchange_stored(self, row: Stored, instead_of: Stored | None) -> bool:
        if self.kept.get(row.orthanc_id) != instead_of:
            return False
        self.kept[row.orthanc_id] = row
        return True

    def note_stored(self, *stored: Stored) -> None:
        self.kept |= {one.orthanc_id: one for one in stored}

    def drop_stored(self, *stored: Stored) -> None:
        for one in stored:
            if self.kept.get(one.orthanc_id) == one:
                del self.kept[one.orthanc_id]


@dataclass(slots=True)
class Entry:
    """A job: when it may run, and how often it met a fault in a row."""

    job: Job
    due: float
    faults: int = 0
    number: int = 0


class MemoryJobs:
    """`jobs.port.Jobs`, and what a worker needs of it."""

    def __init__(self, now: Any) -> None:
        self._now = now
        self.entries: dict[str, Entry] = {}

    def enqueue(self, request: JobRequest, delay_seconds: float = 0.0) -> str:
        if request.key not in self.entries:
            job = Job(id=request.key, request=replace(request, job_id=request.key), state=JobState.WAITING)
            self.entries[request.key] = Entry(job, self._now() + delay_seconds, number=len(self.entries))
        return request.key

    def get(self, job_id: str) -> Job | None:
        entry = self.entries.get(job_id)
        return None if entry is None else entry.job

    def list(
        self,
        limit: int = 50,
        offset: int = 0,
        states: Sequence[JobState] = (),
        since: float = 0.0,
        until: float = FOR_EVER,
    ) -> tuple[Job, ...]:
        jobs = (e.job for e in reversed(self.entries.values()) if not states or e.job.state in states)
        found = [job for job in jobs if since <= job.created_at < until]
        return tuple(found[offset : offset + limit])

    def count(self, *states: JobState) -> int:
        return len(self.list(len(self.entries), states=states))

    def oldest(self, *states: JobState) -> float | None:
        return min((job.created_at for job in self.list(len(self.entries), states=states)), default=None)

    def retry(self, job_id: str) -> str:
        entry = self.entries.get(job_id)
        if entry is None:
            raise StateError(f"there is no job {job_id}")
        if entry.job.state is not JobState.RUNNING:
            entry.job, entry.due = replace(entry.job, state=JobState.WAITING, result=None, error=None), self._now()
        return job_id

    # --- for workers

    def take(self) -> Entry | None:
        """The next job that may run: no two on one mask."""
        busy = {e.job.request.series_key for e in self.entries.values() if e.job.state is JobState.RUNNING}
        for entry in self.entries.values():
            job = entry.job
            if job.state is JobState.WAITING and entry.due <= self._now() and job.request.series_key not in busy:
                entry.job = replace(job, state=JobState.RUNNING, attempts=job.attempts + 1)
                return entry
        return None

    def put_back(self, entry: Entry, request: JobRequest, delay: float, *, fault: bool) -> None:
        entry.faults = entry.faults + 1 if fault else 0
        entry.due = self._now() + delay
        entry.job = replace(entry.job, state=JobState.WAITING, request=request)

    def finish(self, entry: Entry, document: dict[str, Any]) -> None:
        state = JobState.FAILED if document["outcome"] == "failed" else JobState.DONE
        entry.job = replace(entry.job, state=state, result=document)

    def recover(self) -> None:
        """The process that ran jobs is gone."""
        for entry in self.entries.values():
            if entry.job.state is JobState.RUNNING:
                entry.job = replace(entry.job, state=JobState.WAITING)
