"""Storing for the service: once, never for what is gone, and never two that look current.

What will be stored is written down before, so that a sudden end at any moment leaves nothing behind that nobody knows
of: the job runs again, and either stores the same or takes back what it had announced.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core import versions
from orthanc_mask2seg.errors import ArchiveDamaged, NotInArchive, NotSupported
from orthanc_mask2seg.jobs.port import JobRequest, Outputs, Stored, StoredState
from orthanc_mask2seg.model import ArchiveKey, EarlierOutput, Segmentation, Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.storing import Gone, Kept, held_at, store

SUPERSEDED = "mask2seg-superseded"
"""Label of the series of a SEG that is kept beside a newer one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeper:
    """Stores what one job makes.

    Attributes
    ----------
    outputs
        The ledger's knowledge of what was stored.
    """

    outputs: Outputs
    settings: Settings
    request: JobRequest

    @property
    def job(self) -> str:
        """Name of the job."""
        return self.request.job_id or self.request.key

    def __call__(
        self, archive: Archive, segmentation: Segmentation, masks: Sequence[Series], source: Series
    ) -> Kept | Gone:
        """Store, unless mask or source are gone; then retire what was stored for earlier versions."""
        key = self._key(source)
        before = self.outputs.stored(key)
        number = _number(before, segmentation) if self.settings.earlier != "replaced" else 1
        base, segmentation = segmentation, versions.numbered(segmentation, number)
        row = Stored(
            series_key=key,
            orthanc_id=archive.address_of(segmentation.content),
            sop_instance_uid=segmentation.sop_instance_uid,
            series_instance_uid=segmentation.series_instance_uid,
            source_series_uid=source.series_instance_uid,
            base_uid=base.sop_instance_uid,
            number=number,
            state=StoredState.ANNOUNCED,
            job_id=self.job,
        )
        gone = self._gone(archive, masks, source, changed_too=True)
        current = any(old.orthanc_id == row.orthanc_id and old.state is StoredState.CURRENT for old in before)
        held = held_at(archive, segmentation, row.orthanc_id) if current and gone is None else None
        if held is None and gone is None:
            self.outputs.note_stored(row)
            held = store(archive, segmentation)
            gone = self._gone(archive, masks, source, changed_too=False)
        if gone is not None:
            self.withdraw(archive)
            return gone
        assert held is not None
        receipt, content = held
        return Kept(receipt=receipt, content=content, earlier=self._made_current(archive, row, before))

    def _made_current(self, archive: Archive, row: Stored, before: Sequence[Stored]) -> tuple[EarlierOutput, ...]:
        """Retire what was stored before, now that this is there."""
        earlier = [self._retired(archive, old) for old in before if old.orthanc_id != row.orthanc_id]
        self.outputs.note_stored(replace(row, state=StoredState.CURRENT))
        return tuple(one for one in earlier if one is not None)

    def note_beside(self, seg: ArchiveKey, key: ArchiveKey, sop_instance_uid: Uid, series_instance_uid: Uid) -> None:
        """Remember what is about to be stored beside a segmentation: it goes when that goes."""
        self.outputs.note_stored(
            Stored(
                series_key=_beside(seg),
                orthanc_id=key,
                sop_instance_uid=sop_instance_uid,
                series_instance_uid=series_instance_uid,
                state=StoredState.CURRENT,
                job_id=self.job,
            )
        )

    def _delete_beside(self, archive: Archive, seg: Stored) -> None:
        """Delete what was made of a segmentation that goes; files beside its series go by themselves."""
        for row in self.outputs.stored(_beside(seg.orthanc_id)):
            archive.delete_instance(row.orthanc_id)
            self.outputs.drop_stored(row)

    def withdraw(self, archive: Archive) -> None:
        """Take back what this job had announced and did not come to an end with: its mask is gone, or another one."""
        for row in self.outputs.announced(self.job):
            self._take_back(archive, row)

    def let_stand(self, archive: Archive) -> None:
        """Keep what this job had announced, if it is there and whole, though it would not be made now.

        It is right for its mask. And it may be what another service stored, which has told people of it.
        """
        for row in self.outputs.announced(self.job):
            try:
                archive.content(row.orthanc_id)
            except NotInArchive:
                self.outputs.drop_stored(row)
            except ArchiveDamaged:
                self._take_back(archive, row)
            else:
                self._made_current(archive, row, self.outputs.stored(row.series_key))

    def _key(self, source: Series) -> ArchiveKey:
        """What a SEG is the newest of: its mask series or, where masks are merged, all masks of its source."""
        if self.settings.merge == "series":
            return self.request.series_key
        return ArchiveKey(f"{self.request.study_instance_uid} {source.series_instance_uid}")

    def _gone(self, archive: Archive, masks: Sequence[Series], source: Series, *, changed_too: bool) -> Gone | None:
        """Why there is nothing to be stored (any more)."""
        for series in masks:
            now = _now(archive, series)
            if now is None:
                return Gone(reason="deleted", detail="The mask was deleted while it was worked on.")
            if changed_too and series.key == self.request.series_key and now.version != self.request.version:
                detail = "The series has changed since; its new version is a job of its own."
                return Gone(reason="superseded", detail=detail)
        if _now(archive, source) is None:
            return Gone(reason="deleted", detail="The images were deleted while the mask was worked on.")
        return None

    def _take_back(self, archive: Archive, row: Stored) -> None:
        try:
            archive.delete_instance(row.orthanc_id)
        except NotSupported as error:
            _log.warning("series %s: a SEG that is not wanted any more stays (%s)", row.series_key, error.code)
        self.outputs.drop_stored(row)

    def _retired(self, archive: Archive, old: Stored) -> EarlierOutput | None:
        """Delete or mark what was stored before, now that a newer one is there; None where it was marked already."""
        if old.state is StoredState.SUPERSEDED:
            return None
        if self.settings.earlier == "versioned":
            return self._marked(archive, old)
        if self.settings.earlier == "kept":
            try:
                held = archive.find_series(old.series_instance_uid)
            except NotInArchive:
                self.outputs.drop_stored(old)
                return _earlier(old, "deleted")
            archive.label(held.key, frozenset({SUPERSEDED}), frozenset({SUPERSEDED}))
            self.outputs.note_stored(replace(old, state=StoredState.SUPERSEDED))
            return _earlier(old, "superseded")
        return self._deleted(archive, old)

    def _deleted(self, archive: Archive, old: Stored) -> EarlierOutput:
        try:
            self._delete_beside(archive, old)
            archive.delete_instance(old.orthanc_id)
        except NotSupported as error:
            _log.warning("series %s: the SEG before this one stays (%s)", old.series_key, error.code)
            self.outputs.note_stored(replace(old, state=StoredState.SUPERSEDED))
            return _earlier(old, "superseded")
        self.outputs.drop_stored(old)
        return _earlier(old, "deleted")

    def _marked(self, archive: Archive, old: Stored) -> EarlierOutput:
        """Put a copy in place of an earlier SEG that says in its description that it is superseded."""
        try:
            content = versions.superseded(archive.content(old.orthanc_id))
        except NotInArchive:  # a person has deleted it, or its copy is there already
            self.outputs.drop_stored(old)
            return _earlier(old, "deleted")
        receipt = archive.store(content)
        copy = replace(
            old,
            orthanc_id=receipt.key,
            sop_instance_uid=receipt.sop_instance_uid,
            series_instance_uid=receipt.series_instance_uid,
            state=StoredState.SUPERSEDED,
        )
        self.outputs.note_stored(copy)
        self._deleted(archive, old)
        return _earlier(copy, "superseded")


def standing(archive: Archive, outputs: Outputs, series_key: ArchiveKey) -> tuple[EarlierOutput, ...]:
    """What was stored for a mask before, and is still there as the current one."""
    found = []
    for row in outputs.stored(series_key):
        if row.state is not StoredState.CURRENT:
            continue
        try:
            archive.find_series(row.series_instance_uid)
        except NotInArchive:
            continue
        try:
            archive.find_series(row.source_series_uid)
        except NotInArchive:
            found.append(_earlier(row, "standing, its source is deleted"))
        else:
            found.append(_earlier(row, "standing"))
    return tuple(found)


def _beside(seg: ArchiveKey) -> ArchiveKey:
    """Key under which the ledger remembers what was made of a segmentation."""
    return ArchiveKey(f"beside {seg}")


def _number(before: Sequence[Stored], segmentation: Segmentation) -> int:
    """Number of a version: one more than the newest, unless it is the newest."""
    if not before:
        return 1
    newest = max(before, key=lambda row: row.number)
    same = newest.base_uid == segmentation.sop_instance_uid and newest.state is not StoredState.SUPERSEDED
    return newest.number if same else newest.number + 1


def _now(archive: Archive, series: Series) -> Series | None:
    try:
        return archive.series(series.key)
    except NotInArchive:
        return None


def _earlier(row: Stored, state: str) -> EarlierOutput:
    return EarlierOutput(
        kind="SEG",
        sop_instance_uid=row.sop_instance_uid,
        series_uid=row.series_instance_uid,
        source_series_uid=row.source_series_uid,
        state=state,
    )
