"""The masks that are in the PACS already: how many there are, what would become of them, and their conversion.

Goes through the index page by page and keeps nothing of it but numbers, so that it costs the same memory whatever the
PACS holds. What was dealt with is remembered where the service remembers it: so an interrupted run goes on where it
was, a second one does nothing twice, and a service on the same state takes all of it for its own.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.detect import passed_over_by_index
from orthanc_mask2seg.errors import ArchiveDenied, ArchiveUnreachable, InternalError, Mask2SegError, NotInArchive
from orthanc_mask2seg.jobs.port import Job, JobRequest, Jobs, JobState, Ledger, Seen, Verdict
from orthanc_mask2seg.model import Outcome, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.pipeline import NotYet, Task, run
from orthanc_mask2seg.service.reading import full_header
from orthanc_mask2seg.service.studies import study_version

ORIGIN = "backfill"
LOOKING, CONVERTING = "looking through", "converting"
ASK_SECONDS = 0.25
"""Time between two looks whether a job is over."""
EXAMPLES = 3
REMEMBERED_AT_ONCE = 100
_OVER = frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED})

Look = Callable[[Series], str | None]
"""Why a series certainly is no mask; None if it could be one."""
Told = Callable[[str, int, int | None], None]
"""Is told the step, how much of it is done, and of how much, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which studies are meant, by their StudyDate; None for no limit."""

    since: date | None = None
    until: date | None = None

    def holds(self, text: str) -> bool | None:
        """Whether a StudyDate (YYYYMMDD) lies in it; None where it is none."""
        try:
            day = date.fromisoformat(text.strip())
        except ValueError:
            return None
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


@dataclass(slots=True)
class Tally:
    """What a run has found, in numbers.

    Attributes
    ----------
    series
        Series of the PACS that were looked at.
    outside, undated
        Those of them whose study lies outside the dates, or has no date where dates were asked for.
    matched
        Masks whose source was found: those that were converted, or would be.
    before
        Those of all these that were dealt with before.
    reasons
        Why masks were refused, skipped (they turned out to be none) or failed, each with its number.
    examples
        Some series of each of these reasons.
    interrupted
        A person has stopped it.
    """

    dry_run: bool
    series: int = 0
    outside: int = 0
    undated: int = 0
    matched: int = 0
    before: int = 0
    reasons: dict[Outcome, Counter[str]] = field(
        default_factory=lambda: {o: Counter() for o in (Outcome.REFUSED, Outcome.SKIPPED, Outcome.FAILED)}
    )
    examples: dict[str, list[str]] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def candidates(self) -> int:
        """Masks of which it is known what became of them, or would: converted, refused or failed."""
        return self.matched + self.reasons[Outcome.REFUSED].total() + self.reasons[Outcome.FAILED].total()

    def count(self, series_instance_uid: str, outcome: str, reason: str | None) -> None:
        """Count one candidate."""
        if outcome == Outcome.CONVERTED:
            self.matched += 1
            return
        code = str(reason or outcome)
        self.reasons[Outcome(outcome)][code] += 1
        examples = self.examples.setdefault(code, [])
        if len(examples) < EXAMPLES:
            examples.append(series_instance_uid)

    def sentence(self) -> str:
        """In one line: 312 candidates, 287 matched, 25 refused: no_source_in_study 20, ambiguous_source 5."""
        parts = [f"{self.candidates:,} candidates", f"{self.matched:,} {'matched' if self.dry_run else 'converted'}"]
        for outcome in (Outcome.REFUSED, Outcome.FAILED):
            counter = self.reasons[outcome]
            codes = ", ".join(f"{code} {number:,}" for code, number in counter.most_common())
            if counter or outcome is Outcome.REFUSED:
                parts.append(f"{counter.total():,} {outcome}" + (f": {codes}" if codes else ""))
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """JSON document of the public interface (docs/backfill.md)."""
        return {
            "dry_run": self.dry_run,
            "interrupted": self.interrupted,
            "series": self.series,
            "outside_dates": self.outside,
            "without_date": self.undated,
            "candidates": self.candidates,
            "matched": self.matched,
            "before": self.before,
            **{str(outcome): counter.total() for outcome, counter in self.reasons.items()},
            "reasons": {str(o): dict(counter.most_common()) for o, counter in self.reasons.items()},
            "examples": self.examples,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """One run over an archive.

    Attributes
    ----------
    ledger
        What is remembered of the series; None where there is no state yet.
    look
        The cheap first look.
    alone
        No service uses the same state: what is no mask is remembered too, which else is that one's to do.
    """

    archive: Archive
    settings: Settings
    ledger: Ledger | None
    look: Look
    window: Window
    alone: bool = False
    told: Told = lambda _step, _done, _total: None

    def survey(self, tally: Tally) -> None:
        """See what would become of every mask; nothing is stored or remembered."""
        for series in self._series(tally):
            seen = self._seen(series)
            if seen is not None and seen.verdict is not Verdict.ENQUEUED:
                self._count_before(tally, seen)
                continue
            try:
                if self.look(series) is None:
                    self._count_explained(tally, series)
            except NotInArchive:
                continue
            except Mask2SegError as error:
                _count_fault(tally, series, error)
            except Exception:  # noqa: BLE001 - one file of ten thousand must not end the survey of the others
                tally.count(series.series_instance_uid, Outcome.FAILED, InternalError.code)

    def convert(self, tally: Tally, jobs: Jobs) -> None:
        """Ask for a job for every mask that is new, and wait for all of them."""
        asked, passed = _Asked(jobs, tally, self.told), []
        try:
            for series in self._series(tally):
                seen = self._seen(series)
                if seen is not None and seen.verdict is not Verdict.ENQUEUED:
                    self._count_before(tally, seen)
                    continue
                try:
                    reason = None if seen is not None else self.look(series)
                    if reason is None:
                        asked.add(self._ask(series, seen, jobs))
                    else:
                        passed.append(_remembered(series, Verdict.PASSED_OVER, reason=reason))
                except NotInArchive:
                    continue
                except Mask2SegError as error:
                    _count_fault(tally, series, error)
                asked.settle()
                if len(passed) >= REMEMBERED_AT_ONCE:
                    self._pass_over(passed)
        finally:
            self._pass_over(passed)
        asked.wait()

    def _pass_over(self, passed: list[Seen]) -> None:
        if self.alone and self.ledger is not None:
            self.ledger.remember(*passed)
        passed.clear()

    def _series(self, tally: Tally) -> Iterator[Series]:
        """Every series whose index entry does not say that it is no mask, and that lies in the window."""
        total = self.archive.count_series()
        for series in self.archive.all_series():
            tally.series += 1
            self.told(LOOKING, tally.series, None if total is None else max(total, tally.series))
            if passed_over_by_index(series) is None and self._in_window(series, tally):
                yield series

    def _in_window(self, series: Series, tally: Tally) -> bool:
        if self.window == Window():
            return True
        try:
            held = self.window.holds(self._date(series))
        except NotInArchive:
            return False
        except Mask2SegError as error:
            _count_fault(tally, series, error)
            return False
        tally.undated += held is None
        tally.outside += held is False
        return bool(held)

    def _date(self, series: Series) -> str:
        told = self.archive.study_date(series)
        if told is not None:
            return told
        instances = series.instance_keys or self.archive.series(series.key).instance_keys
        return str(full_header(self.archive, instances[0]).get("StudyDate") or "") if instances else ""

    def _seen(self, series: Series) -> Seen | None:
        """What is remembered of this version of a series."""
        seen = None if self.ledger is None else self.ledger.seen(series.key)
        return seen if seen is not None and seen.version == series.version else None

    def _count_before(self, tally: Tally, seen: Seen) -> None:
        if seen.verdict is not Verdict.PASSED_OVER:
            tally.before += 1
            tally.count(seen.series_instance_uid, str(seen.verdict), seen.reason)

    def _count_explained(self, tally: Tally, series: Series) -> None:
        ended = run(self.archive, Task(masks=(series,), store=False), self.settings)
        assert not isinstance(ended, NotYet)
        tally.count(series.series_instance_uid, ended[0].outcome, ended[0].reason)

    def _ask(self, series: Series, seen: Seen | None, jobs: Jobs) -> JobRequest:
        """Ask for a job, under the name that the watcher would give it, and remember it first, as that does."""
        assert self.ledger is not None
        request = JobRequest(
            series_key=series.key,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            version=series.version,
            origin=ORIGIN,
        )
        if seen is not None and jobs.get(seen.job_id) is not None:
            return replace(request, job_id=seen.job_id)
        siblings = self.archive.series_of_study(series.study_instance_uid)
        begun = _remembered(series, Verdict.ENQUEUED)
        begun = replace(begun, job_id=request.key, study_version=study_version(siblings, series.key))
        self.ledger.remember(begun)
        return replace(request, job_id=jobs.enqueue(request))


def _remembered(series: Series, verdict: Verdict, reason: str = "") -> Seen:
    return Seen(
        series_key=series.key,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        version=series.version,
        verdict=verdict,
        reason=reason,
    )


class _Asked:
    """Jobs that were asked for, the oldest first, and what has become of them."""

    def __init__(self, jobs: Jobs, tally: Tally, told: Told) -> None:
        self._jobs, self._tally, self._told = jobs, tally, told
        self._waiting: deque[JobRequest] = deque()
        self._ended = 0
        self._next = 0.0

    def add(self, request: JobRequest) -> None:
        self._waiting.append(request)

    def settle(self) -> None:
        """Count those that are over; asks at most a few times a second."""
        if time.monotonic() < self._next:
            return
        while self._waiting and (job := self._over(self._waiting[0])):
            request = self._waiting.popleft()
            document = job.result or job.error or {}
            outcome = str(document.get("outcome") or Outcome.FAILED)
            self._tally.count(request.series_instance_uid, outcome, document.get("reason"))
            self._ended += 1
        self._told(CONVERTING, self._ended, self._ended + len(self._waiting))
        self._next = time.monotonic() + ASK_SECONDS

    def wait(self) -> None:
        """Wait for all of them."""
        while self._waiting:
            time.sleep(ASK_SECONDS)
            self.settle()

    def _over(self, request: JobRequest) -> Job | None:
        job = self._jobs.get(request.job_id)
        return job if job is not None and job.state in _OVER else None


def _count_fault(tally: Tally, series: Series, error: Mask2SegError) -> None:
    """Count what cannot be looked at, and go on; raise it where nothing can be."""
    if isinstance(error, ArchiveUnreachable | ArchiveDenied):
        raise error
    tally.count(series.series_instance_uid, Outcome.FAILED, error.code)
