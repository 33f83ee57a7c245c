"""What keeps a mask from lying on a series, for people: which plane, by how much, and what would help."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence

import numpy as np

from orthanc_mask2seg.core.geometry import CLEARLY_NEAREST, angles, leaning, nearest_map
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ImageSeries, PlaneGeometry

SEEN_DEGREES = 0.005
"""Smaller angles are not worth a word."""

SEEN_MM = 0.0005
"""Smaller shifts would be shown as 0.000 mm."""


def distance_of(mask: ImageSeries, plane: int, source: ImageSeries) -> float:
    """Of a mask plane, along the source's normal, mm."""
    return float(np.dot(source.volume.normal, mask.volume.planes[plane].geometry.position))


def nearest_of(ordered: Sequence[float], value: float) -> int:
    """Place of the nearest of some ascending numbers."""
    right = min(bisect_left(ordered, value), len(ordered) - 1)
    left = max(right - 1, 0)
    return left if abs(ordered[left] - value) <= abs(ordered[right] - value) else right


def differences(
    mask: ImageSeries, source: ImageSeries, paired: Collection[int], reach: float, tolerance: float
) -> list[str]:
    """Planes beyond the source's ends, the first one unpaired, and gaps that differ.

    Parameters
    ----------
    paired
        Planes of the mask that lie on a plane of the source.
    reach, tolerance
        How far (mm) a plane, and a pixel, may lie from that of the source.
    """
    unpaired = [i for i in range(len(mask.volume.planes)) if i not in paired]
    if not unpaired:
        return []
    texts = []
    ends = source.volume.distances[0], source.volume.distances[-1]
    beyond = [max(ends[0] - d, d - ends[1]) for d in (distance_of(mask, i, source) for i in unpaired)]
    outside = [b for b in beyond if b > reach]
    if outside:
        verb = "lies" if len(outside) == 1 else "lie"
        texts.append(
            f"{counted(len(outside), 'mask plane')} {verb} beyond the source's ends, by up to {max(outside):.3f} mm"
        )
    return [*texts, _of_plane(mask, unpaired, source, tolerance), *_of_gaps(mask)]


def needed_tolerance(mask: ImageSeries, source: ImageSeries) -> float | None:
    """PositionToleranceMm that would let every plane of the mask lie on the source; None where none safely does."""
    worst = 0.0
    for index, plane in enumerate(mask.volume.planes):
        distance = distance_of(mask, index, source)
        nearest = nearest_of(source.volume.distances, distance)
        target = source.volume.planes[nearest].geometry
        way = nearest_map(plane.geometry, target)
        if way is None:
            return None
        away = abs(source.volume.distances[nearest] - distance)
        worst = max(worst, way.residual_mm, leaning(plane.geometry, target), away)
        if worst >= CLEARLY_NEAREST * min(target.pixel_spacing):
            return None
    return math.ceil(worst * 100 + 1) / 100


def _of_plane(mask: ImageSeries, unpaired: Sequence[int], source: ImageSeries, tolerance: float) -> str:
    """How the first unpaired mask plane differs from the nearest source plane."""
    index = unpaired[0]
    plane = mask.volume.planes[index]
    nearest = nearest_of(source.volume.distances, distance_of(mask, index, source))
    ours, theirs = plane.geometry, source.volume.planes[nearest].geometry
    number = f", InstanceNumber {plane.instance_number}" if plane.instance_number is not None else ""
    shift = np.subtract(ours.position, theirs.position)
    moved = (
        f"is shifted by {_millimetres(shift.tolist())} against the nearest source plane"
        if np.abs(shift).max() >= SEEN_MM
        else "begins where the nearest source plane begins"
    )
    spacing = ["\\".join(f"{s:.7g}" for s in g.pixel_spacing) for g in (ours, theirs)]
    return "; ".join(
        [
            f"mask plane {index + 1} of {len(mask.volume.planes)}{number}, at {_millimetres(ours.position)}, {moved}",
            *_at_the_corner(ours, theirs, tolerance),
            f"pixel spacing {spacing[0]} mm, source {spacing[1]} mm",
        ]
    )


def _at_the_corner(ours: PlaneGeometry, theirs: PlaneGeometry, tolerance: float) -> list[str]:
    lean, turned = angles(ours, theirs)
    texts = [
        f"{angle:.2f} degrees {how}"
        for angle, how in ((lean, "out of the source's plane"), (turned, "turned in the plane"))
        if angle >= SEEN_DEGREES
    ]
    way = nearest_map(ours, theirs)
    off = max(way.residual_mm, leaning(ours, theirs)) if way is not None else 0.0
    if off > tolerance:
        texts.append(f"{off:.3f} mm off the source's pixels at the far corner, PositionToleranceMm is {tolerance:g}")
    return texts


def _of_gaps(mask: ImageSeries) -> list[str]:
    gaps = np.diff(mask.volume.distances)
    if mask.volume.spacing is not None or gaps.size < 2:
        return []
    span = f"{gaps.min():.3f} to {gaps.max():.3f} mm apart"
    return [f"the mask's planes are irregular: {span}, so they cannot be resampled"]


def _millimetres(vector: Sequence[float]) -> str:
    # adding 0 turns -0.0 into 0.0
    return f"({', '.join(f'{round(v, 3) + 0.0:.3f}' for v in vector)}) mm"
