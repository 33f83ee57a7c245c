"""How a mask lies on a series that may be its source: planes on planes, pixels on pixels, and what else speaks for it.

One candidate is weighed at a time here, and by what proves a place; `tie_breaks` tells apart those that lie equally
well, and `match` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orthanc_mask2seg.core.differences import differences, distance_of, nearest_of, needed_tolerance
from orthanc_mask2seg.core.geometry import CLEARLY_NEAREST, GridMap, angles, grid_map, index_affine, parallel
from orthanc_mask2seg.core.references import links_of_planes, referenced
from orthanc_mask2seg.core.resample import extents
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import Candidate, Evidence, ImageSeries, Series

SHARED_INSTANCES = 0.15
SAME_FRAME_OF_REFERENCE = 0.1
COINCIDENT = 0.6
OTHER_GRID = 0.5

SAME_EXTENT = 0.06
"""Just more than the lead that decides between series that a mask would have to be resampled onto."""

_AXES = ("rows", "columns", "normal")

OTHER_SIZE = 0.02
"""Relative difference of voxel sizes, or of directions, from which on a grid is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A plane of the mask and the plane of the source that it lies on, by their places in the two volumes."""

    mask_plane: int
    source_plane: int
    way: GridMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A candidate with its score, and how the mask lies on it.

    Attributes
    ----------
    pairs
        Planes of the mask that coincide with planes of the candidate; empty where the mask has to be resampled.
    resampled
        The mask fits if it is resampled.
    other_grid
        The mask lies on another grid of the same frame of reference, whether or not it may be resampled.
    foreign
        It has another frame of reference, and nothing proves that the mask lies on it nevertheless.
    apart
        It lies on another grid, and somewhere else.
    needed_tolerance
        PositionToleranceMm with which the mask would lie on it, where one safely does.
    """

    source: ImageSeries
    pairs: tuple[Pair, ...]
    candidate: Candidate
    resampled: bool = False
    other_grid: bool = False
    foreign: bool = False
    apart: bool = False
    needed_tolerance: float | None = None

    @property
    def score(self) -> float:
        """From 0 (certainly not the source) to 1 (certainly)."""
        return self.candidate.score


def weigh(mask: ImageSeries, source: ImageSeries, tolerance: float, *, may_resample: bool) -> Weighed:
    """Weigh one candidate by what proves a place: positions, frame of reference, matrix, shared instances.

    Parameters
    ----------
    tolerance, may_resample
        See `match.match`.
    """
    evidence: list[Evidence] = []
    if source.phase:
        evidence.append(Evidence(text=f"the stack with {source.phase}", weight=0.0))
    ours, theirs = mask.volume.planes[0].geometry, source.volume.planes[0].geometry
    reach = _reach(source, tolerance)
    flat = parallel(ours, theirs)
    pairs = _pairs(mask, source, tolerance, reach) if flat else ()
    frames = frames_of_reference(mask), frames_of_reference(source)
    if frames[0] and frames[1] and frames[0] != frames[1]:
        linked = _linked(mask, source, pairs)
        proven = linked == len(mask.volume.planes) and len(frames[1]) == 1
        evidence.append(_of_foreign_frame(mask, len(pairs), linked, tolerance, proven=proven))
        if not proven:
            return Weighed(source=source, pairs=(), candidate=scored(source.series, evidence), foreign=True)
    if not flat:
        text = f"the planes are not parallel: {angles(ours, theirs)[0]:.2f} degrees"
        evidence.append(Evidence(text=text, weight=-1.0))
        return Weighed(source=source, pairs=(), candidate=scored(source.series, evidence))
    same_frame = bool(frames[0]) and frames[0] == frames[1]
    other_grid = same_frame and mask.volume.spacing is not None and _other_grid(mask, source, pairs)
    apart = other_grid and _apart(mask, source)
    if may_resample and other_grid:
        evidence += _of_other_grid(mask, source)
    else:
        evidence += _of_geometry(mask, source, pairs, tolerance, reach)
    if same_frame:
        evidence.append(Evidence(text="same frame of reference", weight=SAME_FRAME_OF_REFERENCE))
    evidence += _of_shared_instances(mask, source)
    resampled = may_resample and other_grid
    return Weighed(
        source=source,
        pairs=() if resampled else pairs,
        candidate=scored(source.series, evidence),
        resampled=resampled,
        other_grid=other_grid and not apart,
        apart=apart,
        needed_tolerance=None if other_grid else _needed_tolerance(mask, source, pairs),
    )


def _needed_tolerance(mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair]) -> float | None:
    planes = len(mask.volume.planes)
    needed = None if len(pairs) == planes else needed_tolerance(mask, source)
    if needed is None or len(_pairs(mask, source, needed, _reach(source, needed))) < planes:
        return None
    return needed


def scored(series: Series, evidence: Sequence[Evidence]) -> Candidate:
    """Candidate whose score is the sum of the weights, kept between 0 and 1."""
    score = min(1.0, max(0.0, sum(e.weight for e in evidence)))
    return Candidate(
        series_instance_uid=series.series_instance_uid,
        score=round(score, 4),
        evidence=tuple(evidence),
        series_description=series.series_description,
        series_number=series.series_number,
        modality=series.modality,
    )


def _linked(mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair]) -> int:
    """How many mask planes share the SOPInstanceUID of the plane they lie on, or refer to it and to no other."""
    links = links_of_planes(mask, source)
    return sum(links[p.mask_plane] == {p.source_plane} for p in pairs)


def _of_foreign_frame(mask: ImageSeries, pairs: int, linked: int, tolerance: float, *, proven: bool) -> Evidence:
    planes = counted(len(mask.volume.planes), "mask plane")
    if proven:
        return Evidence(
            text="another frame of reference, but each of the "
            f"{planes} lies, within {tolerance:g} mm, on the source plane whose SOPInstanceUID it shares or refers to",
            weight=0.0,
        )
    return Evidence(
        text=f"another frame of reference (FrameOfReferenceUID): {pairs} of {planes} would coincide with source planes "
        f"within {tolerance:g} mm, {linked} of them share its SOPInstanceUID or refer to it",
        weight=-1.0,
    )


def frames_of_reference(series: ImageSeries) -> frozenset[str]:
    """FrameOfReferenceUIDs of the headers."""
    found = {str(h.get("FrameOfReferenceUID") or "").strip() for h in series.headers}
    return frozenset(found - {""})


def _reach(source: ImageSeries, tolerance: float) -> float:
    """How far (mm) from a source plane a mask plane may lie: never so far that another one could be meant."""
    gaps = np.diff(source.volume.distances)
    return min(tolerance, CLEARLY_NEAREST * float(gaps.min())) if gaps.size else tolerance


def _pairs(mask: ImageSeries, source: ImageSeries, tolerance: float, reach: float) -> tuple[Pair, ...]:
    """Planes of the mask that coincide with planes of the source, pixel on pixel."""
    pairs = []
    for index, plane in enumerate(mask.volume.planes):
        distance = distance_of(mask, index, source)
        nearest = nearest_of(source.volume.distances, distance)
        if abs(source.volume.distances[nearest] - distance) > reach:
            continue
        target = source.volume.planes[nearest].geometry
        way = grid_map(plane.geometry, target, tolerance)
        if way is not None:
            pairs.append(Pair(mask_plane=index, source_plane=nearest, way=way))
    return tuple(pairs)


def _of_geometry(
    mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair], tolerance: float, reach: float
) -> list[Evidence]:
    planes = len(mask.volume.planes)
    a, b = mask.volume.planes[0].geometry, source.volume.planes[0].geometry
    verb = "coincides" if len(pairs) == 1 else "coincide"
    text = f"{len(pairs)} of {counted(planes, 'mask plane')} {verb} with source planes within {tolerance:g} mm"
    if mask.trusted:
        text = f"each of {counted(planes, 'mask plane')} was given the place of the source plane of its number"
    evidence = [Evidence(text=text, weight=COINCIDENT if len(pairs) == planes else -0.5)]
    evidence += [
        Evidence(text=text, weight=0.0)
        for text in differences(mask, source, {p.mask_plane for p in pairs}, reach, tolerance)
    ]
    ours, theirs = (a.rows, a.columns), (b.rows, b.columns)
    if pairs and pairs[0].way.covers(ours, theirs):
        evidence.append(Evidence(text=f"same matrix {a.rows} x {a.columns}", weight=0.05))
    else:
        text = f"matrix {a.rows} x {a.columns}, source {b.rows} x {b.columns}"
        evidence.append(Evidence(text=text, weight=0.0))
    if planes == len(source.volume.planes):
        evidence.append(Evidence(text=f"same number of planes ({planes})", weight=0.05))
    else:
        text = f"{counted(planes, 'plane')}, source {len(source.volume.planes)}"
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
    if len(pairs) == len(mask.volume.planes):
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
    text = f"another grid: voxels of {texts[0]} mm, source {texts[1]} mm"
    ours, theirs = extents(mask.volume, source.volume)
    common = np.minimum(ours[:, 1], theirs[:, 1]) - np.maximum(ours[:, 0], theirs[:, 0])
    if common.min() <= 0:
        axis = int(common.argmin())
        spans = [f"{box[axis, 0]:.1f} to {box[axis, 1]:.1f} mm" for box in (ours, theirs)]
        apart = (
            f"the extents do not overlap: {max(0.0, -common[axis]):.1f} mm apart along the source's {_AXES[axis]} "
            f"(mask from {spans[0]}, source from {spans[1]})"
        )
        return [Evidence(text=text, weight=0.0), Evidence(text=apart, weight=-1.0)]
    evidence = [Evidence(text=text, weight=OTHER_GRID)]
    off = np.abs(ours - theirs).max(axis=1)
    voxels = np.array([_voxel(s) for s in (mask, source)]).max(axis=0)[[2, 1, 0]]
    if (off <= voxels).all():
        evidence.append(Evidence(text=f"same extent within one voxel ({off.max():.2f} mm)", weight=SAME_EXTENT))
    else:
        sizes = [" x ".join(f"{v:.1f}" for v in np.diff(box)[:, 0]) for box in (ours, theirs)]
        share = float(np.prod(common / np.diff(ours)[:, 0]))
        evidence.append(
            Evidence(
                text=f"{share:.0%} of the mask's extent of {sizes[0]} mm in the source's of {sizes[1]} mm", weight=0
            )
        )
    return evidence


def _apart(mask: ImageSeries, source: ImageSeries) -> bool:
    ours, theirs = extents(mask.volume, source.volume)
    return bool((np.minimum(ours[:, 1], theirs[:, 1]) <= np.maximum(ours[:, 0], theirs[:, 0])).any())


def _of_shared_instances(mask: ImageSeries, source: ImageSeries) -> list[Evidence]:
    ours = {p.sop_instance_uid for p in mask.volume.planes}
    shared = len(ours & {p.sop_instance_uid for p in source.volume.planes})
    if shared:
        verb = "is that" if shared == 1 else "are those"
        text = f"{shared} of {counted(len(ours), 'SOPInstanceUID')} {verb} of the source"
        return [Evidence(text=text, weight=SHARED_INSTANCES * shared / len(ours))]
    named = referenced(mask)
    if source.series.series_instance_uid in named or any(p.sop_instance_uid in named for p in source.volume.planes):
        return [Evidence(text="the mask refers to this series", weight=SHARED_INSTANCES)]
    return []
