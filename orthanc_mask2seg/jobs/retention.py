"""Forgets old jobs, so that the database does not grow for ever.

What was converted is not forgotten: that is the ledger's, which holds one row for each series that the archive holds.
Only the name of the job and its result document go. Jobs whose mask still waits for its source stay, however old.
"""

from __future__ import annotations

import logging
import threading
import time

from orthanc_mask2seg.jobs.days_seen import DaysSeen
from orthanc_mask2seg.jobs.port import JobState, Ledger
from orthanc_mask2seg.jobs.reader import History

INTERVAL_SECONDS = 6 * 3600.0
FIRST_SECONDS = 60.0
PAGE = 500
_OVER = frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED})

_log = logging.getLogger(__name__)


def purge(history: History, ledger: Ledger, before: float) -> int:
    """Forget the jobs that ended before a moment (s since 1970); return how many."""
    kept = {seen.job_id for seen in ledger.unfinished()}
    purged, after = 0, ""
    while page := history.ended_before(before, after, PAGE):
        after = page[-1]
        for job_id in dict.fromkeys(name.partition("#")[0] for name in page):
            job = None if job_id in kept else history.get(job_id)
            if job is not None and job.state in _OVER and job.updated_at < before:
                history.forget(job_id)
                purged += 1
    return purged


def purge_older(history: History, ledger: Ledger, days: float, now: float) -> int:
    """Forget the jobs that ended so many days ago, if as many days were really seen; return how many."""
    seen = DaysSeen(history.engine)
    seen.see(now)
    before = seen.back(now, days)
    return 0 if before is None else purge(history, ledger, before)


def run(history: History, ledger: Ledger, days: float, stop: threading.Event) -> None:
    """Purge from time to time until told to stop."""
    pause = FIRST_SECONDS
    while not stop.wait(pause):
        pause = INTERVAL_SECONDS
        try:
            purged = purge_older(history, ledger, days, time.time())
        except Exception as error:  # noqa: BLE001  (the next time will do)
            _log.warning("old jobs could not be forgotten: %s", type(error).__name__)
        else:
            if purged:
                _log.info("%d jobs older than %g days forgotten", purged, days)
