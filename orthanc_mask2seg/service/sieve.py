"""The cheap first look: ordinary series are passed over at a cost of at most one request."""

from __future__ import annotations

from orthanc_mask2seg.core.detect import passed_over_by_index
from orthanc_mask2seg.model import Reason, Refusal, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.reading import sample_blindly


def passes_over(archive: Archive, series: Series) -> str | None:
    """Why a series needs no job, or None where it may be a mask.

    Parameters
    ----------
    archive
        Asked for one instance, and only where the index leaves the question open.

    Returns
    -------
    str or None
        A short, stable word for counting.
    """
    reason = passed_over_by_index(series)
    if reason is not None:
        return reason
    census = sample_blindly(archive, series)
    if isinstance(census, Refusal):
        return _of_refusal(census)
    return None if census.discrete else str(Reason.NOT_A_MASK)


def _of_refusal(refusal: Refusal) -> str | None:
    """Pixels that cannot be read may be those of a mask: only fractions and the lack of pixels rule that out."""
    if refusal.reason is Reason.NOT_DISCRETE or "no pixel data" in refusal.detail:
        return str(refusal.reason)
    return None
