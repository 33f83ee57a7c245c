"""Takes back what a job stored: the segmentation and what was made of it, and nothing else.

Only what the ledger knows that this service stored, and what nobody has changed since, is deleted. The mask is then
left alone: the service does not convert it again by itself, until it changes or a person asks for it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveDamaged, Mask2SegError, NotInArchive, NotSupported
from orthanc_mask2seg.jobs.port import Job, Jobs, JobState, Ledger, Seen, Stored, StoredState, Verdict
from orthanc_mask2seg.jobs.undone import Undone
from orthanc_mask2seg.model import ArchiveKey, Outcome, Result
from orthanc_mask2seg.pacs.part10 import identity_of
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.feature_table import append
from orthanc_mask2seg.service.record import LABELS, MASK
from orthanc_mask2seg.service.retiring import Edited, Retirer, beside

UNDONE = "undone"
"""Reason with which the memory of a mask says that a person does not want it converted."""
_BUSY = frozenset({JobState.WAITING, JobState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that goes.

    Attributes
    ----------
    kind
        As in the result of the job; '' where this does not say.
    files
        Kinds of the files that the archive keeps beside its series: they go with it.
    is_there
        Somebody has not deleted it already.
    """

    row: Stored
    kind: str
    files: tuple[str, ...] = ()
    is_there: bool = True

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": self.kind,
            "orthanc_id": self.row.orthanc_id,
            "sop_instance_uid": self.row.sop_instance_uid,
            "series_uid": self.row.series_instance_uid,
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What undoing a job means.

    Attributes
    ----------
    items
        What goes: what was made of a segmentation before the segmentation.
    left_alone
        What is remembered of the masks that nothing current is left of.
    """

    job: Job
    items: tuple[Item, ...]
    left_alone: tuple[Seen, ...]

    @property
    def digest(self) -> str:
        """Of all that goes: who agrees to it agrees to nothing else."""
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """JSON form, once it is carried out."""
        return {
            "id": self.job.id,
            "mask_series_uid": self.job.request.series_instance_uid,
            "deleted": [item.document() for item in self.items if item.is_there],
            "gone_before": [item.document() for item in self.items if not item.is_there],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What a service needs for it."""

    archive: Archive
    ledger: Ledger
    jobs: Jobs
    undone: Undone
    settings: Settings

    def plan(self, job: Job) -> Plan | Result:
        """See what undoing a job would delete."""
        return plan(self.archive, self.ledger, self.jobs, job)

    def carry_out(self, planned: Plan) -> Result | None:
        """Do it; a refusal where things are not as they were when the plan was made."""
        return carry_out(self.archive, self.ledger, self.jobs, self.undone, planned, self.settings)

    def when(self, job: Job) -> float | None:
        """When a job was undone, s since 1970."""
        return self.undone.among([job]).get(job.id)


def plan(archive: Archive, ledger: Ledger, jobs: Jobs, job: Job) -> Plan | Result:
    """See what undoing a job would delete.

    Returns
    -------
    Plan or Result
        A refusal where there is nothing to undo, or where something is not as the job has stored it.
    """
    masks = _masks(ledger, job)
    busy = _busy(jobs, job, masks)
    if busy is not None:
        return _refused(
            job, "not_over", f"Job {busy} works on this mask, or is about to.", "Undo it when it is over: jobs show ID."
        )
    rows = _rows(ledger, job)
    if not rows:
        return _refused(job, "nothing_stored", "Nothing is there that this job has stored.", "See mask2seg jobs show.")
    made = {_address(output): output for output in (job.result or {}).get("outputs", ()) if _address(output)}
    items, changed = [], []
    for row in rows:
        state = _state(archive, row, str(made.get(row.orthanc_id, {}).get("sha256") or ""))
        items.append(_item(job, row, made, is_there=state == "there"))
        if state == "changed":
            changed.append(_named(row))
    if changed:
        return _changed(job, changed)
    gone = {row.orthanc_id for row in rows}
    left = tuple(seen for seen in masks if not _others_stand(ledger, job, seen, gone))
    return Plan(job=job, items=tuple(items), left_alone=left)


def carry_out(
    archive: Archive, ledger: Ledger, jobs: Jobs, undone: Undone, planned: Plan, settings: Settings
) -> Result | None:
    """Do it; a refusal where things are not as they were when the plan was made.

    The masks are left alone first, so that a sudden end leaves nothing that comes back by itself.

    Raises
    ------
    NotSupported
        The archive deletes nothing.
    """
    now = plan(archive, ledger, jobs, planned.job)
    if isinstance(now, Result):
        return now
    if now != planned:
        return _changed(planned.job, [])
    for seen in planned.left_alone:
        ledger.remember(replace(seen, verdict=Verdict.SKIPPED, reason=UNDONE, job_id=planned.job.id))
    retirer = Retirer(ledger, "replaced")
    for item in planned.items:
        try:
            retirer.delete(archive, item.row)
        except Edited:
            return _changed(planned.job, [_named(item.row)])
        except NotSupported:
            ledger.remember(*planned.left_alone)
            raise
    undone.note(planned.job, time.time())
    if settings.labels:
        _label(archive, planned.left_alone)
    if settings.feature_table and Path(settings.feature_table).exists():
        append(Path(settings.feature_table), b"", [item.row.sop_instance_uid for item in planned.items])
    return None


def _label(archive: Archive, masks: Sequence[Seen]) -> None:
    """The masks are not converted any more, and say so; nothing depends on it."""
    for seen in masks:
        try:
            archive.label(seen.series_key, frozenset({MASK}), LABELS)
        except Mask2SegError:
            continue


def _masks(ledger: Ledger, job: Job) -> tuple[Seen, ...]:
    """What is remembered of the masks of a job: several, where they became one segmentation."""
    uids = set((job.result or {}).get("mask_series_uids", ()))
    own = ledger.seen(job.request.series_key)
    others = (s for s in ledger.of_study(job.request.study_instance_uid) if s.series_instance_uid in uids)
    found = {seen.series_key: seen for seen in (*((own,) if own else ()), *others)}
    return tuple(found.values())


def _busy(jobs: Jobs, job: Job, masks: Sequence[Seen]) -> str | None:
    """A job on one of the masks that is not over."""
    if job.state in _BUSY:
        return job.id
    others = (jobs.get(seen.job_id) for seen in masks if seen.job_id and seen.job_id != job.id)
    return next((other.id for other in others if other is not None and other.state in _BUSY), None)


def _keys(job: Job) -> tuple[ArchiveKey, ...]:
    """Under what the ledger may know what was stored: the mask, or all masks of a source."""
    source = (job.result or {}).get("source_series_uid")
    merged = (ArchiveKey(f"{job.request.study_instance_uid} {source}"),) if source else ()
    return (job.request.series_key, *merged)


def _rows(ledger: Ledger, job: Job) -> tuple[Stored, ...]:
    """What is known to have been stored by a job, what was made of a segmentation before it."""
    made = {_address(output) for output in (job.result or {}).get("outputs", ())}
    known = [row for key in _keys(job) for row in ledger.stored(key)]
    segs = {row.orthanc_id: row for row in known if row.job_id == job.id or row.orthanc_id in made}
    segs |= {row.orthanc_id: row for row in ledger.announced(job.id)}
    companions = (row for seg in segs for row in ledger.stored(beside(seg)))
    return tuple({row.orthanc_id: row for row in (*companions, *segs.values())}.values())


def _others_stand(ledger: Ledger, job: Job, seen: Seen, gone: set[ArchiveKey]) -> bool:
    """Whether something current is left of a mask: then a newer job has made it."""
    rows = (row for key in {seen.series_key, *_keys(job)} for row in ledger.stored(key))
    return any(row.state is StoredState.CURRENT and row.orthanc_id not in gone for row in rows)


def _state(archive: Archive, row: Stored, told: str) -> str:
    """Whether what was stored is `there`, `gone`, or `changed`."""
    try:
        content = archive.content(row.orthanc_id)
    except NotInArchive:
        return "gone"
    except ArchiveDamaged:
        return "there"
    wanted = row.sha256 or ("" if "/" in row.orthanc_id else told)  # DICOMweb may give it back in another form
    same = identity_of(content).sop_instance_uid == row.sop_instance_uid
    if wanted:
        same = same and hashlib.sha256(content).hexdigest() == wanted
    return "there" if same else "changed"


def _item(job: Job, row: Stored, made: dict[str, dict[str, Any]], *, is_there: bool) -> Item:
    outputs = (job.result or {}).get("outputs", ())
    files = [o["kind"] for o in outputs if o.get("attachment") and o["series_uid"] == row.series_instance_uid]
    return Item(row=row, kind=str(made.get(row.orthanc_id, {}).get("kind", "")), files=tuple(files), is_there=is_there)


def _address(output: dict[str, Any]) -> str:
    return str(output.get("orthanc_id") or output.get("resource") or "")


def _named(row: Stored) -> str:
    return f"instance {row.orthanc_id} of series {row.series_instance_uid} is not what was stored"


def _changed(job: Job, evidence: Sequence[str]) -> Result:
    return _refused(
        job,
        "changed_since",
        "Somebody has changed what this job stored, so it is not ours to delete.",
        "Look at it, and delete it in the PACS if it is not needed.",
        evidence,
    )


def _refused(job: Job, reason: str, detail: str, hint: str, evidence: Sequence[str] = ()) -> Result:
    return Result(
        outcome=Outcome.REFUSED,
        reason=reason,
        detail=detail,
        hint=hint,
        mask_series_uids=(job.request.series_instance_uid,),
        evidence=tuple(evidence),
    )
