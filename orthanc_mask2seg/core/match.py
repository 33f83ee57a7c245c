"""Which series does this mask belong to? Geometry proves it, headers confirm it, and a tie is a refusal.

Every candidate gets a score from 0 to 1 with its evidence. The planes of the mask must coincide with planes of the
source, pixel on pixel (`placement`); copied tags and names only tell apart what geometry cannot (`tie_breaks`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from orthanc_mask2seg.core.geometry import POSITION_TOLERANCE_MM
from orthanc_mask2seg.core.placement import Pair, Weighed, scored, weigh
from orthanc_mask2seg.core.plane_headers import SOME_WITHOUT_POSITION
from orthanc_mask2seg.core.references import referenced
from orthanc_mask2seg.core.tie_breaks import tell_apart
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import Candidate, Evidence, ImageSeries, Reason, Refusal, Series, Uid

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
    unusable: Sequence[tuple[Series, Refusal]] = (),
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
        `no_source_in_study`, `patient_mismatch`, `geometry_mismatch`, `ambiguous_source` or `duplicate_positions`.
    """
    out = tuple(_unusable(series, refusal) for series, refusal in unusable)
    if not sources:
        return _no_source(unusable, out)
    own = [s for s in sources if not _other_patient(mask, s)]
    strangers = [s for s in sources if _other_patient(mask, s)]
    out += tuple(_unusable(s.series, _another_patient(1, ())) for s in strangers)
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
        return _no_geometry_agrees(weighed, candidates, unusable, may_resample=may_resample)
    best = good[0]
    # What lies pixel on pixel has no rival in what the mask would have to be resampled onto.
    rivals = [w for w in good[1:] if best.score - w.score < CLEAR_LEAD and (best.resampled or not w.resampled)]
    if rivals:
        return _ambiguous([best, *rivals], candidates)
    if not best.resampled and (twice := _on_one_plane(best)):
        return _two_on_one_plane(mask, twice, candidates, tolerance)
    missing = 0 if best.resampled else len(best.source.volume.planes) - len({p.source_plane for p in best.pairs})
    return Match(source=best.source, pairs=best.pairs, missing=missing, candidates=candidates, resampled=best.resampled)


def _on_one_plane(best: Weighed) -> tuple[Pair, ...]:
    """The first planes of the mask that lie on one plane of the source, each within the tolerance of it."""
    first: dict[int, Pair] = {}
    for pair in best.pairs:
        if pair.source_plane in first:
            return first[pair.source_plane], pair
        first[pair.source_plane] = pair
    return ()


def _two_on_one_plane(
    mask: ImageSeries, pairs: Sequence[Pair], candidates: tuple[Candidate, ...], tolerance: float
) -> Refusal:
    places = [mask.volume.planes[pair.mask_plane].geometry.position for pair in pairs]
    return Refusal(
        reason=Reason.DUPLICATE_POSITIONS,
        detail="Two images of the mask lie on the same image of its source.",
        hint="Send each position once, or lower the setting PositionToleranceMm.",
        evidence=tuple(
            f"an image at ({', '.join(f'{v:.3f}' for v in place)}) mm, within {tolerance:g} mm of the same image"
            for place in places
        ),
        candidates=candidates,
    )


def refers_to(a: ImageSeries, b: ImageSeries, shared: Collection[Uid] = ()) -> bool:
    """Whether the headers of one series name another series, or its instances, as what they were made from.

    Parameters
    ----------
    shared
        SOPInstanceUIDs that more than one series holds: a reference to them tells neither.
    """
    named = referenced(a)
    return b.series.series_instance_uid in named or any(
        p.sop_instance_uid in named and p.sop_instance_uid not in shared for p in b.volume.planes
    )


def _unusable(series: Series, refusal: Refusal) -> Candidate:
    return scored(series, (Evidence(text=refusal.detail, weight=-1.0),))


def _other_patient(mask: ImageSeries, source: ImageSeries) -> bool:
    a, b = (str(s.headers[0].get("PatientID") or "").strip() for s in (mask, source))
    return bool(a and b and a != b)


def spoiled(refusal: Refusal) -> bool:
    """Whether a series that cannot be a source is one of images of a place nevertheless: damaged, or mixed up."""
    if refusal.reason is Reason.NO_GEOMETRY:
        return refusal.hint == SOME_WITHOUT_POSITION
    return refusal.reason is not Reason.NOT_A_MASK


def _no_source(unusable: Sequence[tuple[Series, Refusal]], candidates: tuple[Candidate, ...]) -> Refusal:
    found = next((r for _, r in unusable if spoiled(r)), None)
    if found is not None:
        return replace(
            found, detail=f"The image series that was found cannot be used: {found.detail}", candidates=candidates
        )
    others = f"{counted(len(unusable), 'other series', 'other series')} looked at, none that can be the source"
    return Refusal(
        reason=Reason.NO_SOURCE_IN_STUDY,
        detail="The study holds no image series that this mask could have been drawn on.",
        hint="Send the source images into the same study (same StudyInstanceUID), or name the source: "
        f"{_NAME_THE_SOURCE}.",
        evidence=(others, *_told(unusable[:SHOWN_CANDIDATES])),
        candidates=candidates,
    )


def _told(unusable: Sequence[tuple[Series, Refusal]]) -> tuple[str, ...]:
    return tuple(f"{series.series_instance_uid}: {refusal.detail}" for series, refusal in unusable)


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
    weighed: Sequence[Weighed],
    candidates: tuple[Candidate, ...],
    unusable: Sequence[tuple[Series, Refusal]],
    *,
    may_resample: bool,
) -> Refusal:
    lost = [(series, refusal) for series, refusal in unusable if spoiled(refusal)]
    return Refusal(
        reason=Reason.GEOMETRY_MISMATCH,
        detail=_where_it_is_not(weighed),
        hint=_what_helps(weighed, may_resample=may_resample),
        evidence=(*(_summary(w.candidate) for w in weighed[:SHOWN_CANDIDATES]), *_told(lost[:SHOWN_CANDIDATES])),
        candidates=candidates,
    )


def _where_it_is_not(weighed: Sequence[Weighed]) -> str:
    one = len(weighed) == 1
    if all(w.foreign for w in weighed):
        than = "the image series" if one else f"every one of the {len(weighed)} image series"
        return (
            f"The mask has another frame of reference (FrameOfReferenceUID) than {than} of the study, "
            "so its place cannot be compared."
        )
    if all(w.apart for w in weighed):
        which = "The image series" if one else f"Each of the {len(weighed)} image series"
        return f"{which} of the study lies somewhere else: it does not overlap the mask."
    if one:
        return "The image series of the study does not lie where the mask lies."
    return f"None of the {len(weighed)} image series of the study lies where the mask lies."


def _what_helps(weighed: Sequence[Weighed], *, may_resample: bool) -> str:
    if all(w.foreign for w in weighed):
        return (
            "Export the mask with the FrameOfReferenceUID of the images it was drawn on, or let each slice refer to "
            "its image (SourceImageSequence)."
        )
    hint = "See what keeps it from each candidate; export the mask on the grid of the images it was drawn on"
    if not may_resample and any(w.other_grid for w in weighed):
        hint += ", or let it be resampled (setting Resample: nearest)"
    needed = min((w.needed_tolerance for w in weighed if w.needed_tolerance is not None), default=None)
    if needed is not None:
        hint += (
            f"; if it is the very same grid with rounded numbers, raise the setting PositionToleranceMm to {needed:g}"
        )
    return f"{hint}."


def _summary(candidate: Candidate) -> str:
    """Score, and what speaks against a candidate or tells how far off it is."""
    texts = [e.text for e in candidate.evidence if e.weight <= 0]
    return f"{candidate.series_instance_uid}, score {candidate.score:.2f}: {'; '.join(texts)}"


def _ambiguous(good: Sequence[Weighed], candidates: tuple[Candidate, ...]) -> Refusal:
    phases = [w.source.phase for w in good if w.source.phase]
    if phases and len({w.candidate.series_instance_uid for w in good}) == 1:
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
