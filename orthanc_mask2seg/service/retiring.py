"""What becomes of a segmentation that is not the current one any more, and of what was made of it.

Only what this service stored, and nobody has changed since, is deleted.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from orthanc_mask2seg.core import versions
from orthanc_mask2seg.errors import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveForbidden,
    ArchiveRejected,
    NotInArchive,
    NotSupported,
)
from orthanc_mask2seg.jobs.port import Outputs, Stored, StoredState
from orthanc_mask2seg.model import ArchiveKey, EarlierOutput
from orthanc_mask2seg.pacs.port import Archive

SUPERSEDED = "mask2seg-superseded"
"""Label of the series of a SEG that is kept beside a newer one."""

_BESIDE = "beside "
_log = logging.getLogger(__name__)


class Edited(Exception):
    """Somebody else has changed what this service stored."""


@dataclass(frozen=True, slots=True)
class Retirer:
    """Deletes or marks what was stored.

    Attributes
    ----------
    earlier
        What becomes of earlier versions, as in the settings.
    """

    outputs: Outputs
    earlier: str

    def retired(self, archive: Archive, old: Stored) -> EarlierOutput | None:
        """Delete or mark what was stored before, now that a newer one is there; None where it was marked already."""
        if old.state is StoredState.SUPERSEDED:
            return None
        try:
            if self.earlier == "versioned":
                return self._copied(archive, old)
            if self.earlier == "kept":
                return self._labelled(archive, old)
            return self._deleted(archive, old)
        except Edited:
            self.outputs.drop_stored(old)
            return reported(old, "edited")

    def take_back(self, archive: Archive, row: Stored, there: Stored | None) -> None:
        """Delete what is not wanted after all.

        Parameters
        ----------
        there
            What the ledger said of its address.
        """
        try:
            self._delete(archive, row, there)
        except Edited:
            pass
        except ArchiveError as error:
            if not _stays(error):
                raise
            _log.warning("series %s: a SEG that is not wanted any more stays (%s)", row.series_key, error.code)
        self.outputs.drop_stored(row if there is None else there)

    def delete(self, archive: Archive, row: Stored) -> None:
        """Delete it for good.

        Raises
        ------
        Edited
            Somebody has changed it, and it stays.
        NotSupported
            The archive deletes nothing.
        """
        self._delete(archive, row, row)
        self.outputs.drop_stored(row)

    def _labelled(self, archive: Archive, old: Stored) -> EarlierOutput:
        try:
            held = archive.find_series(old.series_instance_uid)
        except NotInArchive:
            self.outputs.drop_stored(old)
            return reported(old, "deleted")
        archive.label(held.key, frozenset({SUPERSEDED}), frozenset({SUPERSEDED}))
        self.outputs.note_stored(replace(old, state=StoredState.SUPERSEDED))
        return reported(old, "superseded")

    def _deleted(self, archive: Archive, old: Stored) -> EarlierOutput:
        try:
            with suppress(NotInArchive):
                _checked(archive, old)
            self._delete_beside(archive, old)
            self._delete(archive, old, old)
        except ArchiveError as error:
            if not _stays(error):
                raise
            _log.warning("series %s: the SEG before this one stays (%s)", old.series_key, error.code)
            return self._left(archive, old)
        self.outputs.drop_stored(old)
        return reported(old, "deleted")

    def _left(self, archive: Archive, old: Stored) -> EarlierOutput:
        """Mark what cannot be deleted, as well as it can be."""
        try:
            return self._labelled(archive, old)
        except ArchiveError as error:
            if not _stays(error):
                raise
            self.outputs.note_stored(replace(old, state=StoredState.SUPERSEDED))
            return reported(old, "superseded")

    def _delete(self, archive: Archive, row: Stored, before: Stored | None) -> None:
        """Delete it; put it back where another job has stored the very same since the ledger was asked `before`.

        No archive knows a deletion that is bound to a condition, and the host may have stood still before it. Where
        there is nothing, nothing is deleted: what comes there later is another job's.
        """
        try:
            content = _checked(archive, row)
        except NotInArchive:
            return
        archive.delete_instance(row.orthanc_id)
        there = self.outputs.stored_at(row.orthanc_id)
        if content is not None and there is not None and there != before and there.state is not StoredState.SUPERSEDED:
            archive.store(content)

    def _delete_beside(self, archive: Archive, seg: Stored) -> None:
        """Delete what was made of a segmentation that goes; files beside its series go by themselves."""
        for row in self.outputs.stored(beside(seg.orthanc_id)):
            self.take_back(archive, row, row)

    def _copied(self, archive: Archive, old: Stored) -> EarlierOutput:
        """Put a copy in place of an earlier SEG that says in its description that it is superseded."""
        try:
            _checked(archive, old)
            content = versions.superseded(archive.content(old.orthanc_id))
        except NotInArchive:  # a person has deleted it, or its copy is there already
            self.outputs.drop_stored(old)
            return reported(old, "deleted")
        receipt = archive.store(content)
        copy = replace(
            old,
            orthanc_id=receipt.key,
            sop_instance_uid=receipt.sop_instance_uid,
            series_instance_uid=receipt.series_instance_uid,
            state=StoredState.SUPERSEDED,
            sha256=digest_at(receipt.key, content),
        )
        self.outputs.note_stored(copy)
        self._deleted(archive, old)
        return reported(copy, "superseded")


def _stays(error: ArchiveError) -> bool:
    """Whether a deletion, or a label, is refused for good, so that the work goes on without it."""
    return isinstance(error, NotSupported | ArchiveForbidden) or (
        isinstance(error, ArchiveRejected) and not error.retryable
    )


def digest_at(address: ArchiveKey, content: bytes) -> str:
    """SHA-256 of what is stored at an address; '' where the archive may give it back in another form (DICOMweb)."""
    return "" if "/" in address else hashlib.sha256(content).hexdigest()


def beside(seg: ArchiveKey) -> ArchiveKey:
    """Key under which the ledger remembers what was made of a segmentation."""
    return ArchiveKey(f"{_BESIDE}{seg}")


def is_beside(row: Stored) -> bool:
    """Whether it was made of a segmentation."""
    return row.series_key.startswith(_BESIDE)


def reported(row: Stored, state: str) -> EarlierOutput:
    """How a result tells of it."""
    return EarlierOutput(
        kind="SEG",
        sop_instance_uid=row.sop_instance_uid,
        series_uid=row.series_instance_uid,
        source_series_uid=row.source_series_uid,
        state=state,
    )


def _checked(archive: Archive, row: Stored) -> bytes | None:
    """What an address holds, which is what was stored there; None where it is damaged or cannot be judged.

    Raises
    ------
    Edited
        It holds something else.
    NotInArchive
        It holds nothing.
    """
    if not row.sha256:
        return None
    try:
        content = archive.content(row.orthanc_id)
    except ArchiveDamaged:
        return None
    if hashlib.sha256(content).hexdigest() != row.sha256:
        _log.warning("series %s: instance %s was changed by somebody else and stays", row.series_key, row.orthanc_id)
        raise Edited
    return content
