"""The body of one job: the pipeline, and what follows from its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import NotInArchive
from orthanc_mask2seg.jobs.port import JobRequest, Outputs, Run, RunAgain
from orthanc_mask2seg.model import ArchiveKey, EarlierOutput, Outcome, Reason, Result, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.keeping import Keeper, standing
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


Convert = Callable[..., Result | NotYet]


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
        keeper = Keeper(ledger, settings, request)
        series = _still_there(archive, request)
        if isinstance(series, Result):
            keeper.withdraw(archive)
            return series.document()
        try:
            named = _named_source(archive, request)
            if isinstance(named, Result):
                return named.document()
            ended = convert(
                archive,
                (series,),
                settings,
                rested=request.rested,
                named_as_mask=request.named_as_mask,
                sources=named,
                progress=lambda step: steps.begin(request.series_key, step),
                sized=steps.sized,
                keep=keeper,
            )
        except NotInArchive as error:
            gone = _still_there(archive, request)
            if isinstance(gone, Result):
                keeper.withdraw(archive)
                return gone.document()
            error.retryable = True  # something else has gone: next time it is not counted on
            raise
        finally:
            steps.end(request.series_key)
        if isinstance(ended, NotYet):
            return _wait(request, ended, settings.partial_rest_seconds)
        if ended.outcome is not Outcome.CONVERTED:
            keeper.let_stand(archive)
            ended = _beside_earlier(ended, standing(archive, ledger, request.series_key))
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


def _named_source(archive: Archive, request: JobRequest) -> tuple[Series, ...] | Result | None:
    """The images that a person named, if any, or why they are no use any more."""
    if not request.source_series_uid:
        return None
    try:
        return (archive.find_series(request.source_series_uid),)
    except NotInArchive:
        return _skipped(request, "deleted", "The images that were named are not in the archive any more.")


def _skipped(request: JobRequest, reason: str, detail: str) -> Result:
    uids = (request.series_instance_uid,)
    return Result(outcome=Outcome.SKIPPED, reason=reason, detail=detail, mask_series_uids=uids)


def _beside_earlier(result: Result, earlier: tuple[EarlierOutput, ...]) -> Result:
    """Say of a mask that came to nothing what is there of its earlier conversion: a refusal deletes nothing."""
    if not earlier:
        return result
    if any("deleted" in one.state for one in earlier):
        text = "The SEG that was made before stays; the images that it lies on were deleted."
    else:
        text = "The SEG that was made before stays, as nothing has replaced it."
    return replace(result, detail=f"{result.detail} {text}", earlier=earlier)


def _wait(request: JobRequest, answer: NotYet, seconds: float) -> RunAgain:
    """Wait for the missing slices; if none comes, the mask is converted as it is."""
    why = {
        "outcome": "waiting",
        "reason": str(Reason.INCOMPLETE_SERIES),
        "detail": answer.detail,
        "hint": f"It is converted as it is after {seconds:g} s without news.",
    }
    return RunAgain(delay_seconds=seconds, why=why, request=replace(request, rested=True))
