"""The body of one job: the pipeline, and what follows from its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import NotInArchive, NotSupported
from orthanc_mask2seg.jobs.port import JobRequest, Run, RunAgain, Stored
from orthanc_mask2seg.model import ArchiveKey, Outcome, Reason, Result, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.orders import Steps
from orthanc_mask2seg.service.pipeline import NotYet, convert_series
from orthanc_mask2seg.service.record import record


class Told(Protocol):
    """Is told what a job is doing."""

    def begin(self, key: ArchiveKey, step: str) -> None:
        """A step begins."""

    def sized(self, pixel_bytes: int, planes: int) -> None:
        """The work is so large."""

    def end(self, key: ArchiveKey) -> None:
        """The job is over."""


class Outputs(Protocol):
    """What a job needs of the ledger: see `jobs.port.Ledger`."""

    def stored(self, series_key: ArchiveKey) -> tuple[Stored, ...]:
        """What was stored for a mask series and not superseded since."""

    def note_stored(self, *stored: Stored) -> None:
        """Remember what was stored."""

    def drop_stored(self, *stored: Stored) -> None:
        """Forget what was deleted again."""


Convert = Callable[..., Result | NotYet]

_log = logging.getLogger(__name__)


def make_runner(
    archive: Archive,
    ledger: Outputs,
    settings: Settings,
    convert: Convert = convert_series,
    steps: Told | None = None,
) -> Run:
    """The work of a job on this archive.

    Parameters
    ----------
    ledger
        Knows what was stored for earlier versions of a mask.
    convert
        The pipeline.
    steps
        Told what each job is doing.
    """
    steps = steps or Steps()

    def run(request: JobRequest) -> dict[str, Any] | RunAgain:
        series = _still_there(archive, request)
        if isinstance(series, Result):
            return series.document()
        try:
            ended = convert(
                archive,
                (series,),
                settings,
                rested=request.rested,
                named_as_mask=request.named_as_mask,
                progress=lambda step: steps.begin(request.series_key, step),
                sized=steps.sized,
            )
        except NotInArchive:
            gone = _still_there(archive, request)
            if isinstance(gone, Result):
                return gone.document()
            raise
        finally:
            steps.end(request.series_key)
        if isinstance(ended, NotYet):
            return _wait(request, ended, settings.partial_rest_seconds)
        if ended.outcome is Outcome.CONVERTED:
            _supersede(archive, ledger, _superseding_key(request, ended, settings), ended)
        record(archive, settings, (ended,), (series,), job_id=request.job_id)
        return ended.document()

    return run


def _still_there(archive: Archive, request: JobRequest) -> Series | Result:
    """The version that was asked for, or why it is no use any more."""
    try:
        series = archive.series(request.series_key)
    except NotInArchive:
        return _skipped(request, "deleted", "The series is not in the archive any more.")
    if series.version != request.version:
        return _skipped(request, "superseded", "The series has changed since; its new version is a job of its own.")
    return series


def _skipped(request: JobRequest, reason: str, detail: str) -> Result:
    uids = (request.series_instance_uid,)
    return Result(outcome=Outcome.SKIPPED, reason=reason, detail=detail, mask_series_uids=uids)


def _wait(request: JobRequest, answer: NotYet, seconds: float) -> RunAgain:
    """Wait for the missing slices; if none comes, the mask is converted as it is."""
    why = {
        "outcome": "waiting",
        "reason": str(Reason.INCOMPLETE_SERIES),
        "detail": answer.detail,
        "hint": f"It is converted as it is after {seconds:g} s without news.",
    }
    return RunAgain(delay_seconds=seconds, why=why, request=replace(request, rested=True))


def _superseding_key(request: JobRequest, result: Result, settings: Settings) -> ArchiveKey:
    """What a SEG is the newest of: its mask series or, where masks are merged, all masks of its source."""
    if settings.merge == "series":
        return request.series_key
    return ArchiveKey(f"{request.study_instance_uid} {result.source_series_uid}")


def _supersede(archive: Archive, ledger: Outputs, key: ArchiveKey, result: Result) -> None:
    """Delete what this service stored for earlier versions of the mask, now that a newer one is there."""
    new = tuple(
        Stored(series_key=key, orthanc_id=output.key, sop_instance_uid=output.sop_instance_uid)
        for output in result.outputs
        if output.key
    )
    if not new:
        return
    ledger.note_stored(*new)
    current = {stored.orthanc_id for stored in new}
    for old in ledger.stored(key):
        if old.orthanc_id not in current:
            try:
                archive.delete_instance(old.orthanc_id)
            except NotSupported as error:
                _log.warning("series %s: the SEG before this one stays (%s)", key, error.code)
            ledger.drop_stored(old)
