"""Asks for jobs, and remembers what became of each series."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from orthanc_mask2seg.errors import ArchiveForbidden, NotInArchive
from orthanc_mask2seg.jobs.port import (
    Ending,
    Job,
    JobRequest,
    Jobs,
    JobState,
    Ledger,
    Seen,
    Stored,
    StoredState,
    Verdict,
)
from orthanc_mask2seg.model import ArchiveKey, Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.endings import mendable, note_end
from orthanc_mask2seg.service.status import Counters
from orthanc_mask2seg.service.studies import DERIVED, MENDABLE, is_derived, study_version

STUDIES_PER_TICK = 8
ENDINGS_PER_TICK = 200
MENDED_AT_ONCE = 200
MENDED_PER_TICK = 20
"""A long queue is gone through bit by bit, so that what arrives is not kept waiting."""
_UNDONE = frozenset({Verdict.REFUSED, Verdict.SKIPPED})
_OVER = frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED})
_log = logging.getLogger(__name__)


class Dispatch:
    """What is dealt with, and the only way to deal with it.

    A job is remembered as begun before it is asked for, so that no worker can end it earlier, on whatever host. Should
    this process die in between, `reconcile` finds a memory without a job, and the scan asks again.
    """

    def __init__(self, archive: Archive, ledger: Ledger, jobs: Jobs, counters: Counters) -> None:
        self._archive, self._ledger, self._jobs, self._counters = archive, ledger, jobs, counters
        self._known = ledger.versions()
        self._passed: list[Seen] = []
        self._recheck: set[Uid] = set()
        self._new_images: set[Uid] = set()
        self._doubtful: list[Seen] = []
        self._settled_again: set[str] = set()
        self._doubted_from: ArchiveKey | None = None

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

    def ask(self, series: Series, siblings: tuple[Series, ...], *, rested: bool, origin: str = "watcher") -> None:
        """The series may be a mask: ask for a job."""
        self._ask(series, _request(series, rested=rested, origin=origin), study_version(siblings, series.key))
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
        if seen is not None and seen.verdict is Verdict.PASSED_OVER and not is_derived(seen.reason):
            self._outdate(seen.study_instance_uid)
            self._recheck.add(seen.study_instance_uid)
        del self._known[key]
        self._ledger.forget(key)

    def missing(self, there: set[ArchiveKey], most: int) -> list[ArchiveKey]:
        """Some of the series that are known and were not found."""
        return [key for key in self._known if key not in there][:most]

    def job_ended(self, request: JobRequest, document: dict[str, Any]) -> None:
        """Note how a job ended; may come from any thread."""
        note_end(self._ledger, request, document)

    def check_again(self) -> None:
        """Look at some of the studies whose masks were refused: what they lack may have come meanwhile."""
        self._mend(MENDED_PER_TICK)
        self._look_for_lost(MENDED_PER_TICK)
        for ending in self._ledger.endings(ENDINGS_PER_TICK):
            self._counters.outcomes[ending.outcome] += 1
            self._hear(ending)
        for study in [*self._recheck][:STUDIES_PER_TICK]:
            try:
                if study in self._new_images:
                    self._outdate(study)
                self.study_changed(study)
            except ArchiveForbidden:  # it is looked at again with all others, and holds up none of them now
                _log.warning("study %s: the PACS forbids to look at it", study)
            self._recheck.discard(study)
            self._new_images.discard(study)

    def _hear(self, ending: Ending) -> None:
        study = ending.study_instance_uid
        if study and (ending.is_image or (ending.outcome in _UNDONE and ending.reason in MENDABLE)):
            self._recheck.add(study)
        elif study and ending.outcome == Verdict.CONVERTED and any(map(mendable, self._ledger.unfinished(study))):
            self._recheck.add(study)  # it has got other images while it was being converted
        if study and ending.is_image:
            self._new_images.add(study)

    def study_changed(self, study: Uid) -> None:
        """Ask again for masks of a study that were refused for want of what may be there now, or are out of date."""
        unfinished = [seen for seen in self._ledger.unfinished(study) if mendable(seen)]
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
        done = (seen for seen in self._ledger.of_study(study) if _settled(seen))
        outdated = [s.series_key for s in done if s.study_version != study_version(siblings, s.series_key)]
        self._ledger.mark_stale(*outdated)

    def reconcile(self) -> None:
        """Mend what a sudden end left behind: work remembered as begun whose job is over, or was never there."""
        self._doubtful = [seen for seen in self._ledger.unfinished() if seen.verdict is Verdict.ENQUEUED]
        self._mend(MENDED_AT_ONCE)
        self._settle_announced()

    def doubt_all(self) -> None:
        """The archive may be one of earlier days: what was stored since is not there, though its mask may be."""
        self._doubted_from = ArchiveKey("")

    def _look_for_lost(self, most: int) -> None:
        """Look whether some of what was stored is there; the scan asks again for the masks of what is not."""
        if self._doubted_from is None:
            return
        rows = self._ledger.current(self._doubted_from, most)
        for row in rows:
            try:
                self._archive.find_series(row.series_instance_uid)
            except ArchiveForbidden:
                pass  # it is there
            except NotInArchive:
                for seen in self._masks_of(row):
                    _log.warning("series %s: its SEG is gone with the database before", seen.series_instance_uid)
                    self.forget(seen.series_key)
            self._doubted_from = row.orthanc_id
        if not rows:
            self._doubted_from = None

    def _masks_of(self, row: Stored) -> tuple[Seen, ...]:
        """The masks that something was stored for; those of a study, where they are merged."""
        study, _, merged = row.series_key.partition(" ")
        if merged:
            return tuple(seen for seen in self._ledger.of_study(Uid(study)) if seen.verdict is Verdict.CONVERTED)
        seen = self._ledger.seen(row.series_key)
        return () if seen is None or seen.verdict is not Verdict.CONVERTED else (seen,)

    def _settle_announced(self) -> None:
        """Run a job again that is over while something is announced in its name: a late host died amid what it did.

        One that has failed does so once in a life of this service, as it may fail again.
        """
        for job_id in {row.job_id for row in self._ledger.unsettled(MENDED_AT_ONCE)}:
            job = self._jobs.get(job_id)
            if job is None or job.state not in _OVER or job_id in self._settled_again:
                continue
            if job.state is not JobState.DONE:
                self._settled_again.add(job_id)
            _log.warning("job %s is over and has announced what nobody came to an end with: it runs again", job_id)
            self._jobs.retry(job_id)

    def _mend(self, most: int) -> None:
        for seen in [self._doubtful.pop() for _ in range(min(most, len(self._doubtful)))]:
            job = self._jobs.get(seen.job_id)
            if job is None:
                if self._ledger.seen(seen.series_key) == seen:
                    self._ask_after_all(seen)
            elif job.state is JobState.DONE and not self._stands(seen, job):
                self._jobs.retry(job.id)
            elif job.state in _OVER:
                self.job_ended(job.request, job.result or job.error or {"outcome": "failed"})

    def _stands(self, seen: Seen, job: Job) -> bool:
        """Whether what a job came to is still so: a later one may have put another SEG in place of its own."""
        if job.result is None or job.result["outcome"] != Verdict.CONVERTED:
            return True
        rows = self._ledger.stored(seen.series_key)
        return not rows or any(row.job_id in {job.id, ""} and row.state is StoredState.CURRENT for row in rows)

    def _ask_after_all(self, seen: Seen) -> None:
        """Ask for what was remembered, under the very name: an earlier job of the mask may have another one."""
        for rested, study in ((False, ""), (True, ""), (True, seen.study_version)):
            request = _request(seen, rested=rested, origin="study" if study else "watcher", study=study)
            if request.key == seen.job_id:
                self._jobs.enqueue(request)
                return
        self.forget(seen.series_key)

    def recheck_all(self) -> None:
        """Look again at every study with a refused mask, a few at a time."""
        studies = {seen.study_instance_uid for seen in self._ledger.unfinished() if mendable(seen)}
        self._recheck |= studies

    def _ask(self, series: Series, request: JobRequest, study: str) -> None:
        begun = replace(_seen(series, Verdict.ENQUEUED), job_id=request.key, study_version=study)
        self._ledger.remember(begun)
        before = self._jobs.get(request.key)
        job_id = self._jobs.enqueue(request)
        if before is not None and before.state in _OVER:  # the study, or the archive, is again what it was then
            self._jobs.retry(job_id)
        self._known[series.key] = series.version
        self._counters.enqueued += 1
        _log.info("series %s: job %s", series.series_instance_uid, job_id)


def _settled(seen: Seen) -> bool:
    """Whether a mask was converted, or is about to be."""
    return seen.verdict in {Verdict.CONVERTED, Verdict.ENQUEUED}


def _request(series: Series | Seen, *, rested: bool, origin: str = "watcher", study: str = "") -> JobRequest:
    return JobRequest(
        series_key=series.key if isinstance(series, Series) else series.series_key,
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
