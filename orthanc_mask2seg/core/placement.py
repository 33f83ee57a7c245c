"""How a mask lies on a series that may be its source: planes on planes, pixels on pixels, and what else speaks for it.

One candidate is weighed at a time here, and by what proves a place; `tie_breaks` tells apart those that lie equally
well, and `match` decides.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orthanc_mask2seg.core.geometry import CLEARLY_NEAREST, GridMap, grid_map, index_affine, parallel
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import Candidate, Evidence, ImageSeries, Uid

SHARED_INSTANCES = 0.15
SAME_FRAME_OF_REFERENCE = 0.1
COINCIDENT = 0.6
OTHER_GRID = 0.5

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
    """

    source: ImageSeries
    pairs: tuple[Pair, ...]
    candidate: Candidate
    resampled: bool = False
    other_grid: bool = False

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
    pairs: tuple[Pair, ...] = ()
    other_grid = False
    if source.phase:
        evidence.append(Evidence(text=f"the stack with {source.phase}", weight=0.0))
    frames = _frames_of_reference(mask), _frames_of_reference(source)
    if frames[0] and frames[1] and frames[0] != frames[1]:
        evidence.append(Evidence(text="another frame of reference", weight=-1.0))
    elif not parallel(mask.volume.planes[0].geometry, source.volume.planes[0].geometry):
        evidence.append(Evidence(text="the planes are not parallel", weight=-1.0))
    else:
        reach = _reach(source, tolerance)
        pairs = _pairs(mask, source, tolerance, reach)
        other_grid = bool(frames[0]) and frames[0] == frames[1] and _other_grid(mask, source, pairs)
        if may_resample and other_grid:
            evidence += _of_other_grid(mask, source)
        else:
            evidence += _of_geometry(mask, source, pairs, tolerance, reach)
        if frames[0] and frames[0] == frames[1]:
            evidence.append(Evidence(text="same frame of reference", weight=SAME_FRAME_OF_REFERENCE))
        evidence += _of_shared_instances(mask, source)
    resampled = may_resample and other_grid
    return Weighed(
        source=source,
        pairs=() if resampled else pairs,
        candidate=scored(source.series.series_instance_uid, evidence),
        resampled=resampled,
        other_grid=other_grid,
    )


def scored(uid: Uid, evidence: Sequence[Evidence]) -> Candidate:
    """Candidate whose score is the sum of the weights, kept between 0 and 1."""
    score = min(1.0, max(0.0, sum(e.weight for e in evidence)))
    return Candidate(series_instance_uid=uid, score=round(score, 4), evidence=tuple(evidence))


def referenced(series: ImageSeries) -> set[Uid]:
    """UIDs of the series and instances that the headers refer to."""
    found: set[Uid] = set()
    for header in series.headers:
        for keyword in ("SourceImageSequence", "ReferencedImageSequence", "ReferencedSeriesSequence"):
            for item in header.get(keyword) or ():
                for name in ("ReferencedSOPInstanceUID", "SeriesInstanceUID"):
                    if name in item:
                        found.add(Uid(str(item.get(name))))
    return found


def _frames_of_reference(series: ImageSeries) -> frozenset[str]:
    found = {str(h.get("FrameOfReferenceUID") or "").strip() for h in series.headers}
    return frozenset(found - {""})


def _reach(source: ImageSeries, tolerance: float) -> float:
    """How far (mm) from a source plane a mask plane may lie: never so far that another one could be meant."""
    gaps = np.diff(source.volume.distances)
    return min(tolerance, CLEARLY_NEAREST * float(gaps.min())) if gaps.size else tolerance


def _distance(mask: ImageSeries, plane: int, source: ImageSeries) -> float:
    """Of a mask plane, along the source's normal, mm."""
    return float(np.dot(source.volume.normal, mask.volume.planes[plane].geometry.position))


def _pairs(mask: ImageSeries, source: ImageSeries, tolerance: float, reach: float) -> tuple[Pair, ...]:
    """Planes of the mask that coincide with planes of the source, pixel on pixel."""
    pairs = []
    for index, plane in enumerate(mask.volume.planes):
        distance = _distance(mask, index, source)
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


def _of_geometry(
    mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair], tolerance: float, reach: float
) -> list[Evidence]:
    planes = len(mask.volume.planes)
    a, b = mask.volume.planes[0].geometry, source.volume.planes[0].geometry
    verb = "coincides" if len(pairs) == 1 else "coincide"
    evidence = [
        Evidence(
            text=f"{len(pairs)} of {counted(planes, 'mask plane')} {verb} with source planes within {tolerance:g} mm",
            weight=COINCIDENT if len(pairs) == planes else -0.5,
        )
    ]
    evidence += [Evidence(text=text, weight=0.0) for text in _differences(mask, source, pairs, reach)]
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


def _differences(mask: ImageSeries, source: ImageSeries, pairs: Sequence[Pair], reach: float) -> list[str]:
    """What keeps the mask from lying on the source, for people: planes beyond its ends, and the first one unpaired."""
    paired = {p.mask_plane for p in pairs}
    unpaired = [i for i in range(len(mask.volume.planes)) if i not in paired]
    if not unpaired:
        return []
    texts = []
    ends = source.volume.distances[0], source.volume.distances[-1]
    beyond = [max(ends[0] - d, d - ends[1]) for d in (_distance(mask, i, source) for i in unpaired)]
    outside = [b for b in beyond if b > reach]
    if outside:
        verb = "lies" if len(outside) == 1 else "lie"
        texts.append(
            f"{counted(len(outside), 'mask plane')} {verb} beyond the source's ends, by up to {max(outside):.3f} mm"
        )
    return [*texts, _difference(mask, unpaired[0], source)]


def _difference(mask: ImageSeries, index: int, source: ImageSeries) -> str:
    """How far a mask plane is from the nearest source plane."""
    plane = mask.volume.planes[index]
    nearest = _nearest(source.volume.distances, _distance(mask, index, source))
    ours, theirs = plane.geometry, source.volume.planes[nearest].geometry
    number = f", InstanceNumber {plane.instance_number}" if plane.instance_number is not None else ""
    spacing = ["\\".join(f"{s:g}" for s in g.pixel_spacing) for g in (ours, theirs)]
    return (
        f"mask plane {index + 1} of {len(mask.volume.planes)}{number}, at {_millimetres(ours.position)}, is shifted by "
        f"{_millimetres(np.subtract(ours.position, theirs.position).tolist())} against the nearest source plane; "
        f"pixel spacing {spacing[0]} mm, source {spacing[1]} mm"
    )


def _millimetres(vector: Sequence[float]) -> str:
    # adding 0 turns -0.0 into 0.0
    return f"({', '.join(f'{round(v, 3) + 0.0:.3f}' for v in vector)}) mm"


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
