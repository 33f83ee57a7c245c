"""Finds in the archive what was stored of a mask and is not in the ledger: another service did, or the state was lost.

Without it two services could give one mask two numbers, and a mask that is corrected after the state was lost would
have two segmentations that look current.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orthanc_mask2seg.core import versions
from orthanc_mask2seg.core.origin import named_masks
from orthanc_mask2seg.errors import NotInArchive
from orthanc_mask2seg.jobs.port import Stored, StoredState
from orthanc_mask2seg.model import ArchiveKey, Series, Uid
from orthanc_mask2seg.pacs.port import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """A segmentation of a mask that the ledger does not know.

    Attributes
    ----------
    number
        Which version of the mask it says that it is.
    sha256
        Of its bytes, where the note that the archive keeps beside it names them: then it is what this software stored,
        and nobody has changed it. Else empty.
    """

    key: ArchiveKey
    sop_instance_uid: Uid
    series_instance_uid: Uid
    source_series_uid: Uid
    number: int
    is_superseded: bool
    sha256: str

    def row(self, series_key: ArchiveKey) -> Stored:
        """How the ledger would remember it."""
        return Stored(
            series_key=series_key,
            orthanc_id=self.key,
            sop_instance_uid=self.sop_instance_uid,
            series_instance_uid=self.series_instance_uid,
            source_series_uid=self.source_series_uid,
            number=self.number,
            state=StoredState.SUPERSEDED if self.is_superseded else StoredState.CURRENT,
            sha256=self.sha256,
        )


def forgotten(
    archive: Archive, masks: Sequence[Series], study: Mapping[ArchiveKey, Series], known: Collection[ArchiveKey]
) -> tuple[Forgotten, ...]:
    """What the archive holds of exactly these masks, and is not known.

    Parameters
    ----------
    study
        All series of the study.
    known
        Addresses of instances that need not be looked at.
    """
    wanted = frozenset(mask.series_instance_uid for mask in masks)
    single = [each for each in study.values() if each.modality == "SEG" and len(each.instance_keys) == 1]
    found = (_found(archive, each, wanted) for each in single if each.instance_keys[0] not in known)
    return tuple(one for one in found if one is not None)


def _found(archive: Archive, series: Series, masks: frozenset[Uid]) -> Forgotten | None:
    try:
        [header] = archive.headers(series)
        if named_masks(header) != masks:
            return None
        number, is_superseded = versions.number_of(header)
        return Forgotten(
            key=series.instance_keys[0],
            sop_instance_uid=Uid(str(header.get("SOPInstanceUID") or "")),
            series_instance_uid=series.series_instance_uid,
            source_series_uid=_source_of(header.get("ReferencedSeriesSequence")),
            number=number,
            is_superseded=is_superseded,
            sha256=_proven(archive, series),
        )
    except NotInArchive:  # it has gone meanwhile
        return None


def _source_of(referenced: Sequence[Mapping[str, object]] | None) -> Uid:
    return Uid(str(referenced[0].get("SeriesInstanceUID") or "")) if referenced else Uid("")


def _proven(archive: Archive, series: Series) -> str:
    """Digest of what is held, where it is the one in our note beside it."""
    try:
        note = json.loads(archive.note(series.key) or "{}")
        noted = str(note["segmentation"]["sha256"])
    except (ValueError, TypeError, KeyError):
        return ""
    held = hashlib.sha256(archive.content(series.instance_keys[0])).hexdigest()
    return noted if noted == held else ""
