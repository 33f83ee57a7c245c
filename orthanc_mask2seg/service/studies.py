"""What the rest of a study says about a mask series, from the archive's index alone. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from orthanc_mask2seg.model import ArchiveKey, Reason, Series

DERIVED = frozenset({"SEG", "SR", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "KO", "REG", "DOC", "PLAN", "M3D"})
"""Modalities that are never the source of a mask, our own output among them."""

_BY_MODALITY = "modality_"


def is_derived(passed_over: str) -> bool:
    """Whether a series was passed over because of such a modality, as the reason for that says."""
    return passed_over.removeprefix(_BY_MODALITY).upper() in DERIVED


MENDABLE: frozenset[str] = frozenset(
    {
        "deleted",
        Reason.NOT_A_MASK,
        Reason.NO_SOURCE_IN_STUDY,
        Reason.AMBIGUOUS_SOURCE,
        Reason.GEOMETRY_MISMATCH,
        Reason.INCOMPLETE_SERIES,
    }
)
"""Ends of a job that other series of the study may undo."""


def images(siblings: Iterable[Series], mask: ArchiveKey) -> tuple[Series, ...]:
    """The series of a study that could matter to a mask."""
    return tuple(s for s in siblings if s.key != mask and s.modality not in DERIVED)


def study_version(siblings: Iterable[Series], mask: ArchiveKey) -> str:
    """Digest of all that could matter to a mask (16 hexadecimal digits)."""
    text = "\n".join(sorted(f"{s.key} {s.version}" for s in images(siblings, mask)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def twins(siblings: Iterable[Series], mask: Series) -> tuple[Series, ...]:
    """Image series with as many instances as the mask: it may cover one of them slice for slice."""
    return tuple(s for s in images(siblings, mask.key) if len(s.instance_keys) == len(mask.instance_keys))
