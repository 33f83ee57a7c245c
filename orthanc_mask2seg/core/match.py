"""Which series does this mask belong to? Geometry proves it, headers confirm it, and a tie is a refusal.

Every candidate gets a score from 0 to 1 with its evidence. The planes of the mask must coincide with planes of the
source, pixel on pixel (`placement`); copied tags and names only tell apart what geometry cannot (`tie_breaks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orthanc_mask2seg.core.geometry import POSITION_TOLERANCE_MM
from orthanc_mask2seg.core.placement import Pair, Weighed, referenced, scored, weigh
from orthanc_mask2seg.core.tie_breaks import tell_apart
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import Candidate, Evidence, ImageSeries, Reason, Refusal, Uid

__all__ = ["CLEAR_LEAD", "GOOD_SCORE", "Match", "Pair", "match", "refers_to"]

GOOD_SCORE = 0.6
"""A candidate below this is not the source."""

CLEAR_LEAD = 0.05
"""The best candidate must lead the next good one by this, or the source is ambiguous."""

SHOWN_CANDIDATES = 3
"""Candidates that the evidence of a refusal sums up, the best first."""

_NAME_THE_SOURCE = "mask2seg convert MASK --source SERIES (or --source DIR, for a folder of files)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The source of a mask, proven.

    Attributes
    ----------
    pairs
        Every plane of the mask with its plane of the source.
        Empty where the mask has to be resampled.
    missing
        Planes of the source that the mask does not cover.
    resampled
        The mask lies on another grid of the same frame of reference.
    """

    source: ImageSeries
    pairs: tuple[Pair, ...]
    missing: int
    candidates: tuple[Candidate, ...]
    resampled: bool = False


def match(
    mask: ImageSeries,
    sources: Sequence[ImageSeries],
    unusable: Sequence[tuple[Uid, Refusal]] = (),
    tolerance: float = POSITION_TOLERANCE_MM,
    *,
    may_resample: bool = False,
) -> Match | Refusal:
    """Find the series that a mask was drawn on.

    Parameters
    ----------
    mask
        The mask series.
    sources
        Image series of the same study (or named by the user).
    unusable
        Series that could not be a source, with the reason: they are shown among the candidates.
    tolerance
        Planes and pixels closer than this (mm) are the same.
    may_resample
        A mask on another grid of the same frame of reference fits, if less well than one on the same grid.

    Returns
    -------
    Match, or Refusal
        `no_source_in_study`, `patient_mismatch`, `geometry_mismatch` or `ambiguous_source`.
    """
    out = tuple(_unusable(uid, refusal) for uid, refusal in unusable)
    if not sources:
        return _no_source(unusable, out)
    own = [s for s in sources if not _other_patient(mask, s)]
    strangers = [s for s in sources if _other_patient(mask, s)]
    out += tuple(_unusable(s.series.series_instance_uid, _another_patient(1, ())) for s in strangers)
    if not own:
        return _another_patient(len(strangers), out)
    placed = [weigh(mask, source, tolerance, may_resample=may_resample) for source in own]
    weighed = sorted(
        [*tell_apart(mask, [w for w in placed if w.score >= GOOD_SCORE]), *(w for w in placed if w.score < GOOD_SCORE)],
        key=lambda w: (-w.score, w.candidate.series_instance_uid),
    )
    candidates = (*(w.candidate for w in weighed), *out)
    good = [w for w in weighed if w.score >= GOOD_SCORE]
    if not good:
        return _no_geometry_agrees(weighed, candidates, may_resample=may_resample)
    if len(good) > 1 and good[0].score - good[1].score < CLEAR_LEAD:
        return _ambiguous(good, candidates)
    best = good[0]
    missing = 0 if best.resampled else len(best.source.volume.planes) - len({p.source_plane for p in best.pairs})
    return Match(source=best.source, pairs=best.pairs, missing=missing, candidates=candidates, resampled=best.resampled)


def refers_to(a: ImageSeries, b: ImageSeries) -> bool:
    """Whether the headers of one series name another series, or its instances, as what they were made from."""
    named = referenced(a)
    return b.series.series_instance_uid in named or any(p.sop_instance_uid in named for p in b.volume.planes)


def _unusable(uid: Uid, refusal: Refusal) -> Candidate:
    return scored(uid, (Evidence(text=refusal.detail, weight=-1.0),))


def _other_patient(mask: ImageSeries, source: ImageSeries) -> bool:
    a, b = (str(s.headers[0].get("PatientID") or "").strip() for s in (mask, source))
    return bool(a and b and a != b)


def _no_source(unusable: Sequence[tuple[Uid, Refusal]], candidates: tuple[Candidate, ...]) -> Refusal:
    spoiled = next((r for _, r in unusable if r.reason not in {Reason.NO_GEOMETRY, Reason.NOT_A_MASK}), None)
    if spoiled is not None:
        return replace(
            spoiled, detail=f"The image series that was found cannot be used: {spoiled.detail}", candidates=candidates
        )
    others = f"{counted(len(unusable), 'other series', 'other series')} looked at, none that can be the source"
    return Refusal(
        reason=Reason.NO_SOURCE_IN_STUDY,
        detail="The study holds no image series that this mask could have been drawn on.",
        hint="Send the source images into the same study (same StudyInstanceUID), or name the source: "
        f"{_NAME_THE_SOURCE}.",
        evidence=(others, *(f"{uid}: {refusal.detail}" for uid, refusal in unusable[:SHOWN_CANDIDATES])),
        candidates=candidates,
    )


def _another_patient(count: int, candidates: tuple[Candidate, ...]) -> Refusal:
    # The PatientIDs themselves stay out of it: evidence is logged, printed and kept with the job.
    return Refusal(
        reason=Reason.PATIENT_MISMATCH,
        detail="The mask and the images belong to different patients (their PatientIDs differ).",
        hint="Check which patient the mask was drawn for; correct its PatientID and send it again.",
        evidence=(f"{counted(count, 'image series', 'image series')} with another PatientID than the mask",),
        candidates=candidates,
    )


def _no_geometry_agrees(
    weighed: Sequence[Weighed], candidates: tuple[Candidate, ...], *, may_resample: bool
) -> Refusal:
    hint = "See what keeps it from each candidate; export the mask on the grid of the images it was drawn on"
    if not may_resample and any(w.other_grid for w in weighed):
        hint += ", or let it be resampled (setting Resample: nearest)"
    one = len(weighed) == 1
    return Refusal(
        reason=Reason.GEOMETRY_MISMATCH,
        detail=(
            "The image series of the study does not lie where the mask lies."
            if one
            else f"None of the {len(weighed)} image series of the study lies where the mask lies."
        ),
        hint=f"{hint}.",
        evidence=tuple(_summary(w.candidate) for w in weighed[:SHOWN_CANDIDATES]),
        candidates=candidates,
    )


def _summary(candidate: Candidate) -> str:
    """Score, and what speaks against a candidate or tells how far off it is."""
    texts = [e.text for e in candidate.evidence if e.weight <= 0]
    return f"{candidate.series_instance_uid}, score {candidate.score:.2f}: {'; '.join(texts)}"


def _ambiguous(good: Sequence[Weighed], candidates: tuple[Candidate, ...]) -> Refusal:
    phases = [w.source.phase for w in good if w.source.phase]
    if len({w.candidate.series_instance_uid for w in good}) == 1:
        return Refusal(
            reason=Reason.AMBIGUOUS_SOURCE,
            detail=f"{len(good)} stacks of one series fit the mask equally well: {', '.join(phases)}.",
            hint=f"Export the mask with the {phases[0].split()[0]} of the images it was drawn on.",
            evidence=tuple(f"{w.source.phase}: score {w.score:.2f}" for w in good),
            candidates=candidates,
        )
    return Refusal(
        reason=Reason.AMBIGUOUS_SOURCE,
        detail=f"{len(good)} image series fit the mask equally well, so its source cannot be told.",
        hint=f"Name the source series explicitly: {_NAME_THE_SOURCE}.",
        evidence=tuple(f"{w.candidate.series_instance_uid}: score {w.score:.2f}" for w in good),
        candidates=candidates,
    )
