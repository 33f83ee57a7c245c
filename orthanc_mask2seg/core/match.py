"""Which series does this mask belong to? Geometry proves it, headers confirm it, and a tie is a refusal.

Every candidate gets a score from 0 to 1 with its evidence. The planes of the mask must coincide with planes of the
source, pixel on pixel; series dates, copied tags and shared SOPInstanceUIDs only tell apart what geometry cannot.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_is_retired

from orthanc_mask2seg.core.geometry import (
    CLEARLY_NEAREST,
    POSITION_TOLERANCE_MM,
    GridMap,
    grid_map,
    index_affine,
    parallel,
)
from orthanc_mask2seg.model import Candidate, Evidence, ImageSeries, Reason, Refusal, Uid

GOOD_SCORE = 0.6
"""A candidate below this is not the source."""

CLEAR_LEAD = 0.05
"""The best candidate must lead the next good one by this, or the source is ambiguous."""

SHARED_INSTANCES = 0.15
SAME_FRAME_OF_REFERENCE = 0.1
SAME_COPIED_TAGS = 0.15
COINCIDENT = 0.6
OTHER_GRID = 0.5

OTHER_SIZE = 0.02
"""Relative difference of voxel sizes, or of directions, from which on a grid is another one."""

_NOT_COPIED = frozenset(
    {
        "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "InstanceNumber", "ImageType",
        "SpecificCharacterSet", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
        "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "Modality", "Rows",
        "Columns", "SmallestImagePixelValue", "LargestImagePixelValue", "PhotometricInterpretation",
        "WindowCenterWidthExplanation", "InstanceCreationDate", "InstanceCreationTime", "ImagePositionPatient",
        "SliceLocation", "LossyImageCompression", "SamplesPerPixel", "SOPClassUID",
    }
)  # fmt: skip
"""Attributes that a tool changes when it writes a mask, or that say nothing of where the mask was drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A plane of the mask and the plane of the source that it lies on, by their places in the two volumes."""

    mask_plane: int
    source_plane: int
    way: GridMap


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    source: ImageSeries
    pairs: tuple[Pair, ...]
    candidate: Candidate
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
        spoiled = next((r for _, r in unusable if r.reason not in {Reason.NO_GEOMETRY, Reason.NOT_A_MASK}), None)
        if spoiled is not None:
            return replace(
                spoiled, detail=f"The image series that was found cannot be used: {spoiled.detail}", candidates=out
            )
        return Refusal(
            reason=Reason.NO_SOURCE_IN_STUDY,
            detail="The study holds no image series that this mask could have been drawn on.",
            hint="Send the source images into the same study (same StudyInstanceUID), or name the source series.",
            candidates=out,
        )
    own = [s for s in sources if not _other_patient(mask, s)]
    strangers = [s for s in sources if _other_patient(mask, s)]
    out += tuple(_unusable(s.series.series_instance_uid, _another_patient(1, ())) for s in strangers)
    if not own:
        return _another_patient(len(strangers), out)
    sources = own
    weighed = sorted(
        _tell_apart(mask, [_weigh(mask, source, tolerance, may_resample=may_resample) for source in sources]),
        key=lambda w: (-w.candidate.score, w.candidate.series_instance_uid),
    )
    candidates = (*(w.candidate for w in weighed), *out)
    good = [w for w in weighed if w.candidate.score >= GOOD_SCORE]
    if not good:
        return _no_geometry_agrees(len(weighed), candidates)
    if len(good) > 1 and good[0].candidate.score - good[1].candidate.score < CLEAR_LEAD:
        return _ambiguous(good, candidates)
    best = good[0]
    missing = 0 if best.resampled else len(best.source.volume.planes) - len({p.source_plane for p in best.pairs})
    return Match(source=best.source, pairs=best.pairs, missing=missing, candidates=candidates, resampled=best.resampled)


def _unusable(uid: Uid, refusal: Refusal) -> Candidate:
    return Candidate(series_instance_uid=uid, score=0.0, evidence=(Evidence(text=refusal.detail, weight=-1.0),))


def _other_patient(mask: ImageSeries, source: ImageSeries) -> bool:
    a, b = (str(s.headers[0].get("PatientID") or "").strip() for s in (mask, source))
    return bool(a and b and a != b)


def _another_patient(count: int, candidates: tuple[Candidate, ...]) -> Refusal:
    return Refusal(
        reason=Reason.PATIENT_MISMATCH,
        detail="The mask and the images belong to different patients (their PatientIDs differ).",
        hint="Check which patient the mask was drawn for; correct its PatientID and send it again.",
        evidence=(f"{count} image series of another PatientID",),
        candidates=candidates,
    )


def _no_geometry_agrees(count: int, candidates: tuple[Candidate, ...]) -> Refusal:
    return Refusal(
        reason=Reason.GEOMETRY_MISMATCH,
        detail=f"None of the {count} image series of the study lies where the mask lies.",
        hint="See the evidence for each candidate; export the mask on the grid of the images it was drawn on.",
        candidates=candidates,
    )


def _ambiguous(good: Sequence[_Weighed], candidates: tuple[Candidate, ...]) -> Refusal:
    phases = [w.source.phase for w in good if w.source.phase]
    if len({w.candidate.series_instance_uid for w in good}) == 1:
        return Refusal(
            reason=Reason.AMBIGUOUS_SOURCE,
            detail=f"{len(good)} stacks of one series fit the mask equally well: {', '.join(phases)}.",
            hint=f"Export the mask with the {phases[0].split()[0]} of the images it was drawn on.",
            evidence=tuple(f"{w.source.phase}: score {w.candidate.score:.2f}" for w in good),
            candidates=candidates,
        )
    return Refusal(
        reason=Reason.AMBIGUOUS_SOURCE,
        detail=f"{len(good)} image series fit the mask equally well, so its source cannot be told.",
        hint="Name the source series explicitly: mask2seg convert MASK --source SERIES.",
        evidence=tuple(f"{w.candidate.series_instance_uid}: score {w.candidate.score:.2f}" for w in good),
        candidates=candidates,
    )


def _weigh(mask: ImageSeries, source: ImageSeries, tolerance: float, *, may_resample: bool) -> _Weighed:
    evidence: list[Evidence] = []
    pairs: tuple[Pair, ...] = ()
    resampled = False
    if source.phase:
        evidence.append(Evidence(text=f"the stack with {source.phase}", weight=0.0))
    frames = _frames_of_reference(mask), _frames_of_reference(source)
    if frames[0] and frames[1] and frames[0] != frames[1]:
        evidence.append(Evidence(text="another frame of reference", weight=-1.0))
    elif not parallel(mask.volume.planes[0].geometry, source.volume.planes[0].geometry):
        evidence.append(Evidence(text="the planes are not parallel", weight=-1.0))
    else:
        pairs = _pairs(mask, source, tolerance)
        resampled = may_resample and bool(frames[0]) and frames[0] == frames[1] and _other_grid(mask, source, pairs)
        evidence += _of_other_grid(mask, source) if resampled else _of_geometry(mask, source, pairs, tolerance)
        if frames[0] and frames[0] == frames[1]:
            evidence.append(Evidence(text="same frame of reference", weight=SAME_FRAME_OF_REFERENCE))
        evidence += _of_shared_instances(mask, source)
    return _weighed(source, () if resampled else pairs, evidence, resampled=resampled)


def _weighed(
    source: ImageSeries, pairs: tuple[Pair, ...], evidence: Sequence[Evidence], *, resampled: bool = False
) -> _Weighed:
    score = min(1.0, max(0.0, sum(e.weight for e in evidence)))
    candidate = Candidate(
        series_instance_uid=source.series.series_instance_uid, score=round(score, 4), evidence=tuple(evidence)
    )
    return _Weighed(source=source, pairs=pairs, candidate=candidate, resampled=resampled)


def _frames_of_reference(series: ImageSeries) -> frozenset[str]:
    found = {str(h.get("FrameOfReferenceUID") or "").strip() for h in series.headers}
    return frozenset(found - {""})


def _pairs(mask: ImageSeries, source: ImageSeries, tolerance: float) -> tuple[Pair, ...]:
    """Planes of the mask that coincide with planes of the source, pixel on pixel."""
    normal = np.array(source.volume.normal)
    gaps = np.diff(source.volume.distances)
    reach = min(tolerance, CLEARLY_NEAREST * float(gaps.min())) if gaps.size else tolerance
    pairs = []
    for index, plane in enumerate(mask.volume.planes):
        distance = float(np.dot(normal, plane.geometry.position))
        nearest = _nearest(source.volume.distances, distance)
        if abs(source.volume.distances[nearest] - distance) > reach:
            continue
        target = source.volume.planes[nearest].geometry
        way = grid_map(plane.geometry, target, tolerance)
        if way is not None:
            pairs.append(Pair(mask_plane=index, source_plane=nearest, way=way))
    return tuple(pairs)


def _nearest(ordered: Sequence[float], value: float) -> int:
    right = min(bisect_left(ordered, value), len(ordered) - 1)
    left = max(right - 1, 0)
    return left if abs(ordered[left] - value) <= abs(ordered[right] - value) else right


def _of_geometry(mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair], tolerance: float) -> list[Evidence]:
    planes = len(mask.volume.planes)
    a, b = mask.volume.planes[0].geometry, source.volume.planes[0].geometry
    evidence = [
        Evidence(
            text=f"{len(pairs)} of {planes} mask planes coincide with source planes within {tolerance:g} mm",
            weight=COINCIDENT if len(pairs) == planes else -0.5,
        )
    ]
    if len(pairs) < planes:
        evidence.append(Evidence(text=_difference(mask, source), weight=0.0))
    ours, theirs = (a.rows, a.columns), (b.rows, b.columns)
    if pairs and all(p.way.covers(ours, theirs) for p in pairs[:1]):
        evidence.append(Evidence(text=f"same matrix {a.rows} x {a.columns}", weight=0.05))
    else:
        text = f"matrix {a.rows} x {a.columns}, source {b.rows} x {b.columns}"
        evidence.append(Evidence(text=text, weight=0.0))
    if planes == len(source.volume.planes):
        evidence.append(Evidence(text=f"same number of planes ({planes})", weight=0.05))
    else:
        text = f"{planes} planes, source {len(source.volume.planes)}"
        evidence.append(Evidence(text=text, weight=0.0))
    return evidence


def _voxel(series: ImageSeries) -> tuple[float, float, float]:
    """Distance between planes (the median), rows and columns, mm."""
    gaps = np.diff(series.volume.distances)
    return (float(np.median(gaps)) if gaps.size else 0.0, *series.volume.planes[0].geometry.pixel_spacing)


def _other_grid(mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair]) -> bool:
    """Whether the mask has voxels of another size, or another direction in the plane.

    A grid of the same voxels that lies a fraction of a voxel off is an error of placement, not another grid.
    """
    if len(pairs) == len(mask.volume.planes) or mask.volume.spacing is None:
        return False
    a, b = mask.volume.planes[0].geometry, source.volume.planes[0].geometry
    matrix, _ = index_affine(a, b)
    turned = np.abs(matrix / np.abs(matrix).max() - np.rint(matrix / np.abs(matrix).max())).max() > OTHER_SIZE
    ours, theirs = np.array(_voxel(mask)), np.array(_voxel(source))
    if not ours[0] or not theirs[0]:  # a lone plane has no distance to compare
        ours[0] = theirs[0] = 0.0
    if np.abs(matrix[0, 0]) < np.abs(matrix[0, 1]):
        ours = ours[[0, 2, 1]]
    return bool(turned or np.abs(ours - theirs).max() > OTHER_SIZE * theirs[1:].min())


def _of_other_grid(mask: ImageSeries, source: ImageSeries) -> list[Evidence]:
    texts = [" x ".join(f"{v:.4g}" for v in _voxel(s)) for s in (mask, source)]
    return [Evidence(text=f"another grid: voxels of {texts[0]} mm, source {texts[1]} mm", weight=OTHER_GRID)]


def _difference(mask: ImageSeries, source: ImageSeries) -> str:
    """How far the first mask plane is from the nearest source plane, for people."""
    first = mask.volume.planes[0].geometry
    distance = float(np.dot(source.volume.normal, first.position))
    nearest = _nearest(source.volume.distances, distance)
    target = source.volume.planes[nearest].geometry
    shift = np.subtract(first.position, target.position)
    spacing = "\\".join(f"{s:g}" for s in first.pixel_spacing), "\\".join(f"{s:g}" for s in target.pixel_spacing)
    return (
        f"first plane is shifted by ({shift[0]:.3f}, {shift[1]:.3f}, {shift[2]:.3f}) mm against the nearest one; "
        f"pixel spacing {spacing[0]} mm, source {spacing[1]} mm"
    )


def _of_shared_instances(mask: ImageSeries, source: ImageSeries) -> list[Evidence]:
    ours = {p.sop_instance_uid for p in mask.volume.planes}
    shared = len(ours & {p.sop_instance_uid for p in source.volume.planes})
    if shared:
        text = f"{shared} of {len(ours)} SOPInstanceUIDs are those of the source"
        return [Evidence(text=text, weight=SHARED_INSTANCES * shared / len(ours))]
    named = _referenced(mask)
    referenced = len(named & {p.sop_instance_uid for p in source.volume.planes})
    if referenced or source.series.series_instance_uid in named:
        return [Evidence(text="the mask refers to this series", weight=SHARED_INSTANCES)]
    return []


def refers_to(a: ImageSeries, b: ImageSeries) -> bool:
    """Whether the headers of one series name another series, or its instances, as what they were made from."""
    named = _referenced(a)
    return b.series.series_instance_uid in named or any(p.sop_instance_uid in named for p in b.volume.planes)


def _referenced(mask: ImageSeries) -> set[Uid]:
    """UIDs that the mask's headers refer to."""
    found: set[Uid] = set()
    for header in mask.headers:
        for keyword in ("SourceImageSequence", "ReferencedImageSequence", "ReferencedSeriesSequence"):
            for item in header.get(keyword) or ():
                for name in ("ReferencedSOPInstanceUID", "SeriesInstanceUID"):
                    if name in item:
                        found.add(Uid(str(item.get(name))))
    return found


def _tell_apart(mask: ImageSeries, weighed: Sequence[_Weighed]) -> list[_Weighed]:
    """Add the evidence of copied tags: only those attributes count in which the good candidates differ.

    Two reconstructions of one scan share their geometry to the last digit; a mask that was written as a copy of one
    carries that one's ConvolutionKernel, times and window.
    """
    good = [i for i, w in enumerate(weighed) if w.candidate.score >= GOOD_SCORE and w.pairs]
    if len(good) < 2:
        return list(weighed)
    texts = [_comparable(_first_paired(weighed[i])) for i in good]
    own = _comparable(mask.header(mask.volume.planes[weighed[good[0]].pairs[0].mask_plane]))
    telling = [k for k in own if len({t.get(k, "") for t in texts}) > 1]
    if not telling:
        return list(weighed)
    result = list(weighed)
    for i, text in zip(good, texts, strict=True):
        w = weighed[i]
        same = sum(text.get(k) == own[k] for k in telling)
        evidence = Evidence(
            text=f"{same} of {len(telling)} attributes in which the candidates differ are as in the mask",
            weight=SAME_COPIED_TAGS * same / len(telling),
        )
        result[i] = _weighed(w.source, w.pairs, (*w.candidate.evidence, evidence))
    return result


def _first_paired(weighed: _Weighed) -> Dataset:
    source = weighed.source
    return source.header(source.volume.planes[weighed.pairs[0].source_plane])


def _comparable(header: Dataset) -> dict[str, str]:
    """Attributes that a copy would have in common with its original, as text."""
    result = {}
    for element in header:
        keyword = element.keyword
        if not keyword or keyword in _NOT_COPIED or element.VR in {"SQ", "OB", "OW", "UN"}:
            continue
        if dictionary_is_retired(element.tag) or element.VM == 0:
            continue
        result[keyword] = str(element.value)
    return result
