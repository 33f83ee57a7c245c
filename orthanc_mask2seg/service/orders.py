"""What a person asks for with a button: convert this now, and say what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orthanc_mask2seg.errors import NotInArchive
from orthanc_mask2seg.jobs.port import BUTTON, Job, JobRequest, Jobs, JobState, Ledger, Seen, Verdict
from orthanc_mask2seg.model import ArchiveKey, Outcome, Reason, Refusal, Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.studies import DERIVED, images

_OVER = frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED})


class Steps:
    """What the running jobs are doing, by mask series: told by the workers, read by the web."""

    def __init__(self) -> None:
        self._steps: dict[ArchiveKey, str] = {}

    def begin(self, key: ArchiveKey, step: str) -> None:
        """Note that a step begins."""
        self._steps[key] = step

    def sized(self, pixel_bytes: int, planes: int) -> None:
        """Take note of nothing: only work in a process of its own has a deadline."""

    def end(self, key: ArchiveKey) -> None:
        """Note that the job is over."""
        self._steps.pop(key, None)

    def get(self, key: ArchiveKey) -> str:
        """The current step, '' between jobs."""
        return self._steps.get(key, "")


FILES = {"CSV": "csv", "JSON": "json", "NRRD": "seg.nrrd", "NIFTI": "nii.gz", "PREVIEW": "png"}
"""How the names of files end that are kept beside a segmentation."""


class Orders:
    """Jobs on demand. Every method may raise the `ArchiveError` tree.

    Asking twice is asking once: what is converted is shown, what runs is waited for, and only what was refused or has
    failed is tried again.

    Parameters
    ----------
    sieve
        Why a series certainly is no mask; None if it could be one.
    """

    def __init__(
        self, archive: Archive, ledger: Ledger, jobs: Jobs, sieve: Callable[[Series], str | None], steps: Steps
    ) -> None:
        self._archive, self._ledger, self._jobs, self._sieve = archive, ledger, jobs, sieve
        self._steps = steps

    def convert_series(self, key: ArchiveKey) -> Job | Refusal:
        """Convert one series, which a person has called a mask."""
        series = self._archive.series(key)
        if series.modality.upper() in DERIVED:
            return Refusal(
                reason=Reason.NOT_A_MASK,
                detail=f"A series of modality {series.modality} holds no images that could be a mask.",
                hint="Open the series whose images are the mask.",
                evidence=(f"series {series.series_instance_uid} has modality {series.modality}",),
            )
        return self._ask(series, named_as_mask=True)

    def convert_study(self, key: ArchiveKey) -> tuple[Job, ...]:
        """Convert all series of a study that may be masks; none where nothing looks like one."""
        members = self._members(key)
        return tuple(self._ask(series, named_as_mask=False) for series in members if self._sieve(series) is None)

    def convert_on(self, job: Job, source_series_uid: str) -> Job | None:
        """Convert the mask of a job on other images that were weighed for it; None where they were not.

        Whether they lie where the mask lies is asked all the same.
        """
        weighed = {candidate["series_uid"] for candidate in (job.result or {}).get("candidates", ())}
        if source_series_uid not in weighed or job.request.destination:
            return None
        series = self._archive.series(job.request.series_key)
        return self._asked(replace(_request(series, named_as_mask=True), source_series_uid=source_series_uid))

    def job_document(self, job: Job) -> dict[str, Any]:
        """A job, with the step that it is at and the archive's keys of what it speaks of."""
        result = job.result or {}
        made = [
            {"kind": output["kind"], "series": key, "file": output.get("attachment")}
            for output in result.get("outputs", ())
            if (key := self._key_of(output["series_uid"]))
        ]
        source = result.get("source_series_uid")
        return {
            **job.document(),
            "step": self._steps.get(job.request.series_key) if job.state is JobState.RUNNING else "",
            "links": {
                "mask": job.request.series_key,
                "source": self._key_of(source) if source else None,
                "outputs": list(dict.fromkeys(one["series"] for one in made)),
                "made": made,
            },
        }

    def waits_for_images(self, job: Job) -> bool:
        """Whether a mask waits for the images that it lies on: when they arrive, it is converted by itself."""
        refused = job.state is JobState.DONE and (job.result or {}).get("reason") == Reason.NO_SOURCE_IN_STUDY
        seen = self._ledger.seen(job.request.series_key) if refused else None
        return seen is not None and seen.verdict is Verdict.REFUSED and seen.job_id == job.id

    def masks_that_wait(self) -> int:
        """How many masks wait for the images that they lie on."""
        return self._ledger.count_refused(Reason.NO_SOURCE_IN_STUDY)

    def dealt_with(self, verdict: Verdict | None, reason: str, study: Uid | None, most: int) -> tuple[Job, ...]:
        """The newest job of each series of which this is so; '' and None for whatever."""
        seen = self._ledger.dealt_with(verdict, reason, study, most)
        found = {one.job_id: self._jobs.get(one.job_id) for one in seen}
        return tuple(job for job in found.values() if job is not None)

    def output(self, job: Job, kind: str) -> tuple[str, bytes] | None:
        """Name and content of what a job made; None where it made no such thing.

        Raises
        ------
        NotInArchive
            It is gone.
        """
        made = next((o for o in (job.result or {}).get("outputs", ()) if o["kind"] == kind), None)
        if made is None:
            return None
        if made.get("attachment"):
            return f"{job.id}.{FILES.get(kind, kind.lower())}", self._archive.attached(made["attachment"])
        key = made.get("orthanc_id") or made.get("resource")
        if not key:
            return None
        return f"{job.id}.{kind.lower()}.dcm", self._archive.content(ArchiveKey(key))

    def series_document(self, key: ArchiveKey) -> dict[str, Any]:
        """What a series is to us: made by us (from what), a mask (converted into what), or neither."""
        series = self._archive.series(key)
        derived = series.modality.upper() in DERIVED
        made = self._makers(series) if derived else ()
        job = None if derived else self._newest(series, self._ledger.seen(key))
        return {
            "id": key,
            "modality": series.modality,
            "convertible": not derived,
            "made_from": self._origins(made) if made else None,
            "job": self.job_document(job) if job is not None else None,
        }

    def study_document(self, key: ArchiveKey) -> dict[str, Any]:
        """The jobs on the series of a study."""
        jobs = (self._newest(series, self._ledger.seen(series.key)) for series in self._members(key))
        return {"id": key, "jobs": [self.job_document(job) for job in jobs if job is not None]}

    def _members(self, key: ArchiveKey) -> tuple[Series, ...]:
        members = self._archive.find_study(key)
        if not members:
            raise NotInArchive("the PACS holds no such study")
        return tuple(sorted(members, key=lambda s: s.series_instance_uid))

    def _ask(self, series: Series, *, named_as_mask: bool) -> Job:
        before = self._jobs_on(series, self._ledger.seen(series.key))
        for job in before:
            if job.state is JobState.RUNNING or self._is_converted(job):
                return job
        return self._asked(_request(series, named_as_mask=named_as_mask))

    def _asked(self, request: JobRequest) -> Job:
        """Ask for a job; again, where it is over."""
        job_id = self._jobs.enqueue(request)
        asked = self._jobs.get(job_id)
        if asked is not None and asked.state in _OVER:
            self._jobs.retry(job_id)
            asked = self._jobs.get(job_id)
        assert asked is not None
        return asked

    def _jobs_on(self, series: Series, seen: Seen | None, *, any_version: bool = False) -> tuple[Job, ...]:
        """What was asked of this version of a series, or also of the one dealt with last: the newest last."""
        ids = [_request(series, named_as_mask=named).key for named in (False, True)]
        if seen is not None and seen.job_id and (any_version or seen.version == series.version):
            ids = [seen.job_id, *(one for one in ids if one != seen.job_id)]
        found = [job for one in ids if (job := self._jobs.get(one)) is not None]
        return tuple(sorted(found, key=lambda job: job.updated_at))

    def _newest(self, series: Series, seen: Seen | None) -> Job | None:
        return next(reversed(self._jobs_on(series, seen)), None)

    def _is_converted(self, job: Job) -> bool:
        """Whether a job made something that is still there."""
        result = job.result or {}
        outputs = result.get("outputs") or ()
        done = job.state is JobState.DONE and result.get("outcome") == Outcome.CONVERTED and bool(outputs)
        return done and all(self._key_of(output["series_uid"]) for output in outputs)

    def _makers(self, series: Series) -> tuple[Job, ...]:
        """The jobs that made a series."""
        seen = {one.series_key: one for one in self._ledger.of_study(series.study_instance_uid)}
        found: dict[str, Job] = {}
        for sibling in images(self._archive.series_of_study(series.study_instance_uid), series.key):
            jobs = self._jobs_on(sibling, seen.get(sibling.key), any_version=True)
            found |= {job.id: job for job in jobs if series.series_instance_uid in _made(job)}
        return tuple(found.values())

    def _origins(self, jobs: tuple[Job, ...]) -> dict[str, Any]:
        results = [job.result or {} for job in jobs]
        masks = {key for r in results for uid in r.get("mask_series_uids", ()) if (key := self._key_of(uid))}
        source = next((r["source_series_uid"] for r in results if r.get("source_series_uid")), None)
        return {"masks": sorted(masks), "source": self._key_of(source) if source else None, "job": jobs[0].id}

    def _key_of(self, series_instance_uid: str) -> ArchiveKey | None:
        try:
            return self._archive.find_series(series_instance_uid).key
        except NotInArchive:
            return None


def _made(job: Job) -> set[str]:
    return {output["series_uid"] for output in (job.result or {}).get("outputs", ())}


def _request(series: Series, *, named_as_mask: bool) -> JobRequest:
    return JobRequest(
        series_key=series.key,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        version=series.version,
        rested=True,
        origin=BUTTON,
        named_as_mask=named_as_mask,
    )
