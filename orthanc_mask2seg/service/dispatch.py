"""Asks for jobs, and remembers what became of each series."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Any

from orthanc_mask2seg.jobs.port import BUTTON, STALE, JobRequest, Jobs, JobState, Ledger, Seen, Verdict
from orthanc_mask2seg.model import ArchiveKey, Reason, Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.status import Counters
from orthanc_mask2seg.service.studies import DERIVED, MENDABLE, study_version

STUDIES_PER_TICK = 8
_OVER = frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED})
_log = logging.getLogger(__name__)


class Dispatch:
    """What is dealt with, and the only way to deal with it. `job_ended` may come from any thread."""

    def __init__(self, archive: Archive, ledger: Ledger, jobs: Jobs, counters: Counters) -> None:
        self._archive, self._ledger, self._jobs, self._counters = archive, ledger, jobs, counters
        self._known = ledger.versions()
        self._passed: list[Seen] = []
        self._recheck: set[Uid] = set()
        self._new_images: set[Uid] = set()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, series: Series) -> bool:
        """Whether this version of the series is dealt with."""
        return self._known.get(series.key) == series.version

    def pass_over(self, series: Series, reason: str) -> None:
        """The series is no mask; what waits in its study may now find its source, what is done a better one."""
        self._counters.passed_over[reason] += 1
        if series.modality not in DERIVED:
            self._outdate(series.study_instance_uid)
            self.study_changed(series.study_instance_uid)
        self._known[series.key] = series.version
        self._passed.append(_seen(series, Verdict.PASSED_OVER, reason))

    def ask(self, series: Series, siblings: tuple[Series, ...], *, rested: bool) -> None:
        """The series may be a mask: ask for a job."""
        self._ask(series, _request(series, rested=rested), study_version(siblings, series.key))
        self.study_changed(series.study_instance_uid)

    def flush(self) -> None:
        """Write down what was passed over."""
        if self._passed:
            self._ledger.remember(*self._passed)
            self._passed.clear()

    def forget(self, key: ArchiveKey) -> None:
        """The series is gone; where it was an image, what was made of the masks on it is to be judged again."""
        if key not in self._known:
            return
        seen = self._ledger.seen(key)
        if seen is not None and seen.verdict is Verdict.PASSED_OVER:
            self._outdate(seen.study_instance_uid)
            with self._lock:
                self._recheck.add(seen.study_instance_uid)
        del self._known[key]
        self._ledger.forget(key)

    def missing(self, there: set[ArchiveKey], most: int) -> list[ArchiveKey]:
        """Some of the series that are known and were not found."""
        return [key for key in self._known if key not in there][:most]

    def job_ended(self, request: JobRequest, document: dict[str, Any]) -> None:
        """Note how a job ended; a delivery is nothing that a series waits for."""
        if request.destination:
            return
        outcome, reason = str(document["outcome"]), str(document.get("reason") or "")
        with self._lock:
            self._counters.outcomes[outcome] += 1
            seen = self._ledger.seen(request.series_key)
            if seen is None or seen.version != request.version:
                return
            if seen.verdict is Verdict.PASSED_OVER and outcome != Verdict.CONVERTED:
                return  # a person took for a mask what is none
            ended = replace(seen, verdict=Verdict(outcome), reason=reason, job_id=job_of(request, seen))
            self._ledger.remember(ended)
            if _mendable(ended):
                self._recheck.add(seen.study_instance_uid)
            if reason == Reason.NOT_A_MASK and not request.study_version:
                self._new_images.add(seen.study_instance_uid)

    def check_again(self) -> None:
        """Look at some of the studies whose masks were refused: what they lack may have come meanwhile."""
        with self._lock:
            studies = [self._recheck.pop() for _ in range(min(STUDIES_PER_TICK, len(self._recheck)))]
            images = self._new_images.intersection(studies)
            self._new_images -= images
        for study in studies:
            if study in images:
                self._outdate(study)
            self.study_changed(study)

    def study_changed(self, study: Uid) -> None:
        """Ask again for masks of a study that were refused for want of what may be there now, or are out of date."""
        unfinished = [seen for seen in self._ledger.unfinished(study) if _mendable(seen)]
        if not unfinished:
            return
        siblings = self._archive.series_of_study(study)
        by_key = {series.key: series for series in siblings}
        for seen in unfinished:
            series, version = by_key.get(seen.series_key), study_version(siblings, seen.series_key)
            if series is None or series.version != seen.version or version == seen.study_version:
                continue
            self._ask(series, _request(series, rested=True, origin="study", study=version), version)

    def _outdate(self, study: Uid) -> None:
        """Mark the masks of a study that were converted, or are about to be, beside other images than it has now.

        Only images do this, and only those that came since: another mask in the study is no reason to convert the
        first one again, and our own output has no part in `study_version`.
        """
        if not any(map(_settled, self._ledger.of_study(study))):
            return
        siblings = self._archive.series_of_study(study)
        with self._lock:
            done = (seen for seen in self._ledger.of_study(study) if _settled(seen))
            outdated = [s for s in done if s.study_version != study_version(siblings, s.series_key)]
            self._ledger.remember(*(replace(seen, study_version=STALE) for seen in outdated))

    def reconcile(self) -> None:
        """Mend what a sudden end left behind: work remembered as begun whose job is over, or was never there."""
        for seen in self._ledger.unfinished():
            if seen.verdict is not Verdict.ENQUEUED:
                continue
            job = self._jobs.get(seen.job_id)
            if job is None:
                self.forget(seen.series_key)
            elif job.state in _OVER:
                self.job_ended(job.request, job.result or job.error or {"outcome": "failed"})

    def recheck_all(self) -> None:
        """Look again at every study with a refused mask, a few at a time."""
        studies = {seen.study_instance_uid for seen in self._ledger.unfinished() if _mendable(seen)}
        with self._lock:
            self._recheck |= studies

    def _ask(self, series: Series, request: JobRequest, study: str) -> None:
        with self._lock:  # the job must not end before it is remembered as begun
            job_id = self._jobs.enqueue(request)
            self._ledger.remember(replace(_seen(series, Verdict.ENQUEUED), job_id=job_id, study_version=study))
            self._known[series.key] = series.version
            self._counters.enqueued += 1
        _log.info("series %s: job %s", series.series_instance_uid, job_id)


def job_of(request: JobRequest, seen: Seen | None) -> str:
    """Id of the job of a request: one that has waited for slices runs under the name that it was asked for by."""
    return request.key if request.origin == BUTTON or seen is None else seen.job_id


def _mendable(seen: Seen) -> bool:
    """Whether what became of a mask may be undone by other series of its study."""
    if seen.verdict is Verdict.CONVERTED:
        return seen.study_version == STALE
    return seen.verdict in {Verdict.REFUSED, Verdict.SKIPPED} and seen.reason in MENDABLE


def _settled(seen: Seen) -> bool:
    """Whether a mask was converted, or is about to be."""
    return seen.verdict in {Verdict.CONVERTED, Verdict.ENQUEUED}


def _request(series: Series, *, rested: bool, origin: str = "watcher", study: str = "") -> JobRequest:
    return JobRequest(
        series_key=series.key,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        version=series.version,
        rested=rested,
        origin=origin,
        study_version=study,
    )


def _seen(series: Series, verdict: Verdict, reason: str = "") -> Seen:
    return Seen(
        series_key=series.key,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        version=series.version,
        verdict=verdict,
        reason=reason,
    )
