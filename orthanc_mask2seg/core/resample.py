"""A mask on another grid of the same frame of reference: nearest neighbour onto the grid of its source.

Every voxel of the source takes the label of the mask voxel in whose cell its centre lies; a source plane that lies in
no mask plane's slab stays empty. How much the volume of each segment changes by that is reported, and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from orthanc_mask2seg.core.geometry import FloatArray, index_affine, normal_of, plane_heights
from orthanc_mask2seg.model import LabelArray, PlaneGeometry, Reason, Refusal, VolumeGeometry

HALF_CELL = 0.5 + 1e-6
"""A centre belongs to a cell if it is at most this far from the cell's own centre, in units of the cell; where it lies
between two, to the one with the higher index."""


def resample(
    labels: Sequence[LabelArray], mask: VolumeGeometry, source: VolumeGeometry, slice_thickness: float | None
) -> dict[int, LabelArray]:
    """Labels on the grid of the source.

    Parameters
    ----------
    labels
        Label values of each plane of the mask, shape (rows, columns) each.
    slice_thickness
        Of the mask, mm: the slab of a lone plane.

    Returns
    -------
    dict
        Plane of the source to labels, shape (rows, columns); planes without a label are left out.
    """
    normal = np.array(source.normal)
    heights = np.nan_to_num(np.array(plane_heights(mask, slice_thickness)), nan=0.0)
    distances = np.array([normal @ p.geometry.position for p in mask.planes])
    result: dict[int, LabelArray] = {}
    for index, plane in enumerate(source.planes):
        away = np.abs(distances - source.distances[index])
        nearest = int(np.argmin(away))
        if away[nearest] > heights[nearest] * HALF_CELL or not labels[nearest].any():
            continue
        placed = _in_plane(labels[nearest], mask.planes[nearest].geometry, plane.geometry)
        if placed.any():
            result[index] = placed
    return result


def extents(mask: VolumeGeometry, source: VolumeGeometry) -> tuple[FloatArray, FloatArray]:
    """Boxes around all voxels, along the source's rows, columns and normal.

    Returns
    -------
    mask, source
        Lowest and highest coordinates, mm, shape (3, 2) each.
    """
    first = source.planes[0].geometry
    axes = np.array([first.row_cosines, first.column_cosines, normal_of(first)])
    return _box(mask, axes), _box(source, axes)


def _box(volume: VolumeGeometry, axes: FloatArray) -> FloatArray:
    heights = np.nan_to_num(np.array(plane_heights(volume, None)), nan=0.0)
    points = []
    for plane, height in zip(volume.planes, heights, strict=True):
        g = plane.geometry
        normal = normal_of(g)
        for row in (-0.5, g.rows - 0.5):
            for column in (-0.5, g.columns - 0.5):
                corner = (
                    np.array(g.position)
                    + np.multiply(g.column_cosines, row * g.pixel_spacing[0])
                    + np.multiply(g.row_cosines, column * g.pixel_spacing[1])
                )
                points += [corner + normal * height / 2, corner - normal * height / 2]
    places = np.array(points) @ axes.T
    return np.stack([places.min(axis=0), places.max(axis=0)], axis=1)


def _in_plane(labels: LabelArray, mask: PlaneGeometry, source: PlaneGeometry) -> LabelArray:
    matrix, offset = index_affine(source, mask)
    rows, columns = np.arange(source.rows)[:, None], np.arange(source.columns)[None, :]
    row = np.floor(matrix[0, 0] * rows + matrix[0, 1] * columns + offset[0] + HALF_CELL).astype(int)
    column = np.floor(matrix[1, 0] * rows + matrix[1, 1] * columns + offset[1] + HALF_CELL).astype(int)
    inside = (row >= 0) & (row < mask.rows) & (column >= 0) & (column < mask.columns)
    result = np.zeros((source.rows, source.columns), labels.dtype)
    result[inside] = labels[row[inside], column[inside]]
    return result


def volumes(
    labels: Mapping[int, LabelArray], volume: VolumeGeometry, slice_thickness: float | None
) -> dict[int, float]:
    """Volume of each label, mm3.

    Parameters
    ----------
    labels
        Plane to label values, shape (rows, columns).
    slice_thickness
        See `resample`.
    """
    heights = plane_heights(volume, slice_thickness)
    result: dict[int, float] = {}
    for index, plane in labels.items():
        voxel = heights[index] * float(np.prod(volume.planes[index].geometry.pixel_spacing))
        values, counts = np.unique(plane[plane > 0], return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            result[value] = result.get(value, 0.0) + count * voxel
    return result


def volume_change(before: Mapping[int, float], after: Mapping[int, float], largest: float) -> tuple[str, ...] | Refusal:
    """What resampling did to each label.

    Parameters
    ----------
    before, after
        Label to volume in mm3, on the mask's grid and on the source's.
    largest
        Largest relative change that is accepted, 0.1 for 10 %.

    Returns
    -------
    tuple of str, or Refusal
        One sentence per label; `geometry_mismatch` where a change is larger or cannot be told.
    """
    texts, worst = [], 0.0
    for label, volume in sorted(before.items()):
        now = after.get(label, 0.0)
        change = (now - volume) / volume
        worst = max(worst, abs(change)) if np.isfinite(change) else np.inf
        texts.append(f"label {label}: {volume:.1f} mm3 on its own grid, {now:.1f} mm3 resampled ({change:+.1%})")
    if worst <= largest:
        return tuple(texts)
    return Refusal(
        reason=Reason.GEOMETRY_MISMATCH,
        detail="The mask lies on another grid, and resampling would change a segment's volume by "
        + (f"{worst:.0%}." if np.isfinite(worst) else "an amount that cannot be told."),
        hint="Export the mask on the grid of the images it was drawn on"
        + (
            ", or raise the setting MaximumVolumeChange."
            if np.isfinite(worst)
            else " (a lone slice: with its SliceThickness)."
        ),
        evidence=(f"largest change that is accepted: {largest:.0%}", *texts),
    )
