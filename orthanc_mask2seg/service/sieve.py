"""The cheap first look: ordinary series are passed over at a cost of at most one request."""

from __future__ import annotations

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.detect import passed_over_by_index, says_mask
from orthanc_mask2seg.core.rules import Rule, Verdict, judge
from orthanc_mask2seg.model import Reason, Refusal, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.reading import full_header, sample_series


def passes_over(archive: Archive, series: Series, settings: Settings) -> str | None:
    """Why a series needs no job, or None where it may be a mask.

    Parameters
    ----------
    archive
        Asked for one instance, and only where the index and the rules leave the question open.

    Returns
    -------
    str or None
        A short, stable word for counting.
    """
    reason = passed_over_by_index(series)
    if reason is not None:
        return reason
    rule = rule_for(archive, series, settings)
    if rule is not None:
        return None if rule.then is Verdict.MASK else "rule"
    if (settings.threshold or settings.fractional) and says_mask(series):
        return None
    census = sample_series(archive, series, 1)
    if isinstance(census, Refusal):
        return _of_refusal(census)
    return None if census.discrete else str(Reason.NOT_A_MASK)


def rule_for(archive: Archive, series: Series, settings: Settings) -> Rule | None:
    """The site's rule for a series, if there is one."""
    rules = settings.rules
    if not rules:
        return None
    calling_aet = archive.calling_aet(series) if any(r.calling_aet for r in rules) else ""
    header = full_header(archive, series.instance_keys[0]) if any(r.needs_header for r in rules) else None
    return judge(rules, series, calling_aet, header)


def _of_refusal(refusal: Refusal) -> str | None:
    """Pixels that cannot be read may be those of a mask: only fractions and the lack of pixels rule that out."""
    if refusal.reason is Reason.NOT_DISCRETE or "no pixel data" in refusal.detail:
        return str(refusal.reason)
    return None
