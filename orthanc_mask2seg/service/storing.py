"""Storing a segmentation, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orthanc_mask2seg.core.verify import same_but_for_software
from orthanc_mask2seg.errors import ArchiveDamaged, NotInArchive, StoreMismatch
from orthanc_mask2seg.model import ArchiveKey, EarlierOutput, Receipt, Segmentation, Series, Uid
from orthanc_mask2seg.pacs.port import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The archive holds it.

    Attributes
    ----------
    content
        What it holds.
    earlier
        What became of what was stored for earlier versions of the mask.
    """

    receipt: Receipt
    content: bytes
    earlier: tuple[EarlierOutput, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Nothing is stored: what it was made from is not there any more."""

    reason: str
    detail: str


Keep = Callable[[Archive, Segmentation, Sequence[Series], Series], Kept | Gone]
"""Stores a segmentation of these masks, which lies on this source."""


NoteBeside = Callable[[ArchiveKey, ArchiveKey, Uid, Uid], None]
"""Is told, before it is stored, of what is made beside a segmentation: addresses of both, and its two UIDs."""


@runtime_checkable
class NotesBeside(Protocol):
    """A `Keep` that remembers what is stored beside a segmentation."""

    def note_beside(self, seg: ArchiveKey, key: ArchiveKey, sop_instance_uid: Uid, series_instance_uid: Uid) -> None:
        """Remember it: it goes when the segmentation goes."""


def keep(archive: Archive, segmentation: Segmentation, _masks: Sequence[Series], _source: Series) -> Kept:
    """Store it, and ask nothing."""
    receipt, content = store(archive, segmentation)
    return Kept(receipt=receipt, content=content)


def store(archive: Archive, segmentation: Segmentation) -> tuple[Receipt, bytes]:
    """Store, or find what an earlier version of this software stored of the same segmentation; what is held."""
    try:
        return archive.store(segmentation.content), segmentation.content
    except StoreMismatch as mismatch:
        try:
            held = archive.find_series(segmentation.series_instance_uid)
        except NotInArchive:
            raise mismatch from None
        for key in held.instance_keys:
            found = _same_at(archive, segmentation, key)
            if found is not None:
                return found
        raise


def held_at(archive: Archive, segmentation: Segmentation, key: ArchiveKey) -> tuple[Receipt, bytes] | None:
    """What an address holds, if it is whole and is the segmentation."""
    try:
        return _same_at(archive, segmentation, key)
    except (NotInArchive, ArchiveDamaged):
        return None


def _same_at(archive: Archive, segmentation: Segmentation, key: ArchiveKey) -> tuple[Receipt, bytes] | None:
    """What an address holds, if it is the segmentation, perhaps of an earlier version of this software."""
    content = archive.content(key)
    if content != segmentation.content and not same_but_for_software(content, segmentation.content):
        return None
    receipt = Receipt(
        key=key,
        sop_instance_uid=segmentation.sop_instance_uid,
        series_instance_uid=segmentation.series_instance_uid,
        created=False,
        resource=key if "/" in key else None,  # a path below the root of a DICOMweb service
    )
    return receipt, content
