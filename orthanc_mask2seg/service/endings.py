"""Writes down how jobs ended, where the watcher finds it: it may be in another process, on another host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orthanc_mask2seg.jobs.port import BUTTON, STALE, Ending, JobRequest, Ledger, Seen, Verdict
from orthanc_mask2seg.model import Reason, Uid
from orthanc_mask2seg.service.studies import MENDABLE


def note_end(ledger: Ledger, request: JobRequest, document: dict[str, Any]) -> None:
    """Note how a job ended; a delivery is nothing that a series waits for."""
    if request.destination:
        return
    outcome, reason = str(document["outcome"]), str(document.get("reason") or "")
    told = Ending(study_instance_uid=Uid(""), outcome=outcome, reason=reason)
    seen = ledger.seen(request.series_key)
    if seen is None or seen.version != request.version:
        ledger.tell(told)
        return
    if seen.verdict is Verdict.PASSED_OVER and outcome != Verdict.CONVERTED:
        ledger.tell(told)  # a person took for a mask what is none
        return
    ended = replace(seen, verdict=Verdict(outcome), reason=reason, job_id=job_of(request, seen))
    told = replace(told, is_image=reason == Reason.NOT_A_MASK and not request.study_version)
    ledger.end(ended, replace(told, study_instance_uid=seen.study_instance_uid))


def job_of(request: JobRequest, seen: Seen | None) -> str:
    """Id of the job of a request: one that has waited for slices runs under the name that it was asked for by."""
    return request.key if request.origin == BUTTON or seen is None else seen.job_id


def mendable(seen: Seen) -> bool:
    """Whether what became of a mask may be undone by other series of its study."""
    if seen.verdict is Verdict.CONVERTED:
        return seen.study_version == STALE
    return seen.verdict in {Verdict.REFUSED, Verdict.SKIPPED} and seen.reason in MENDABLE
