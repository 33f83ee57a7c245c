"""Storing a segmentation, and what comes of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydicom import dcmread

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


KeepBeside = Callable[[bytes], Receipt | Gone]
"""Stores what was made of a segmentation, a DICOM file."""


@runtime_checkable
class KeepsBeside(Protocol):
    """A `Keep` that also stores what is made of a segmentation, and remembers that it goes with it."""

    def keep_beside(
        self, archive: Archive, seg: ArchiveKey, content: bytes, masks: Sequence[Series], source: Series
    ) -> Receipt | Gone:
        """Store it, unless mask or source are gone."""


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


def store_beside(archive: Archive, content: bytes) -> Receipt:
    """Store what was made of a segmentation, or find what an earlier version of this software stored of the same."""
    try:
        return archive.store(content)
    except StoreMismatch as mismatch:
        header = dcmread(io.BytesIO(content), stop_before_pixels=True)
        uid, series_uid = Uid(str(header.SOPInstanceUID)), Uid(str(header.SeriesInstanceUID))
        try:
            held = archive.find_series(series_uid)
        except NotInArchive:
            raise mismatch from None
        for key in held.instance_keys:
            if same_but_for_software(archive.content(key), content):
                return _receipt(key, uid, series_uid)
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
    return _receipt(key, segmentation.sop_instance_uid, segmentation.series_instance_uid), content


def _receipt(key: ArchiveKey, sop_instance_uid: Uid, series_instance_uid: Uid) -> Receipt:
    """Of what was there already."""
    return Receipt(
        key=key,
        sop_instance_uid=sop_instance_uid,
        series_instance_uid=series_instance_uid,
        created=False,
        resource=key if "/" in key else None,  # a path below the root of a DICOMweb service
    )
