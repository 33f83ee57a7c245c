"""A region cut out of its image and resampled: what the radiomics engine is given.

The new voxels lie where they would if the whole image were resampled (IBSI: the centres of both grids coincide),
whatever was cut out of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - as everybody calls it

from orthanc_mask2seg.model import Vector
from orthanc_mask2seg.outputs.codes import HU
from orthanc_mask2seg.outputs.grid import RegularGrid
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.presets import Interpolation, Preset
from orthanc_mask2seg.outputs.regions import Region

MARGIN_MM = 7.0
"""Around a region: the sphere of the local peak (6.2 mm) reaches into it."""

SPLINE_MARGIN = 12
"""Voxels beyond which a spline does not feel a value: 0.27 to this power is 1e-7."""

_INTERPOLATORS = {
    Interpolation.NEAREST: sitk.sitkNearestNeighbor,
    Interpolation.LINEAR: sitk.sitkLinear,
    Interpolation.SPLINE: sitk.sitkBSpline,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Values and region on one grid, index (plane, row, column).

    Attributes
    ----------
    spacing
        Between columns, rows and planes, mm.
    """

    values: npt.NDArray[np.float64]
    inside: npt.NDArray[np.bool_]
    spacing: Vector


def margin_mm(grid: RegularGrid, preset: Preset) -> float:
    """How far beyond a region values are needed, mm."""
    spline = SPLINE_MARGIN * max(grid.spacing) if preset.interpolation is Interpolation.SPLINE else 0.0
    return MARGIN_MM + 2 * max(*grid.spacing, preset.resample_mm) + spline


def prepare(region: Region, intensities: Intensities, grid: RegularGrid, preset: Preset) -> Prepared | None:
    """Cut out a region with its margin, and resample both as the preset says; None where nothing of it is left."""
    low, high = _box(region, grid, margin_mm(grid, preset))
    planes = range(low[0], high[0])
    values = intensities.stacked(planes, slice(low[1], high[1]), slice(low[2], high[2])).astype(np.float64)
    inside = np.zeros(values.shape, bool)
    start = np.subtract(region.corner, low)
    p, r, c = (slice(at, at + size) for at, size in zip(start, region.voxels.shape, strict=True))
    inside[p, r, c] = region.voxels
    if not preset.resample_mm:
        return Prepared(values=values, inside=inside, spacing=grid.spacing)
    spacing = (preset.resample_mm, preset.resample_mm, grid.spacing[2] if preset.in_plane else preset.resample_mm)
    resampled = _resample(values, grid, low, spacing, _INTERPOLATORS[preset.interpolation])
    soft = _resample(inside.astype(np.float64), grid, low, spacing, sitk.sitkLinear)
    if preset.rounded and intensities.unit == HU:
        resampled = np.rint(resampled)
    return Prepared(values=resampled, inside=soft >= 0.5, spacing=spacing) if (soft >= 0.5).any() else None


Index = tuple[int, int, int]


def _box(region: Region, grid: RegularGrid, margin: float) -> tuple[Index, Index]:
    """First and last but one (plane, row, column) of a region with its margin, inside of the image."""
    low, high = [], []
    sizes, spacings = grid.size[::-1], grid.spacing[::-1]
    for at, length, size, spacing in zip(region.corner, region.voxels.shape, sizes, spacings, strict=True):
        more = math.ceil(margin / spacing)
        low.append(max(0, at - more))
        high.append(min(size, at + length + more))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _resample(
    values: npt.NDArray[np.float64], grid: RegularGrid, low: Index, spacing: Vector, interpolator: int
) -> npt.NDArray[np.float64]:
    """Values on the new grid, as far as the box of the old one reaches; positions relative to the first voxel."""
    image = sitk.GetImageFromArray(values)
    corner = np.multiply(low[::-1], grid.spacing)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(corner.tolist())
    sizes = np.array(grid.size)
    new_sizes = np.ceil(np.round(sizes * grid.spacing / np.array(spacing), 9))
    origin = (np.array(grid.spacing) * (sizes - 1) - np.array(spacing) * (new_sizes - 1)) / 2
    last = corner + np.multiply(np.array(values.shape[::-1]) - 1, grid.spacing)
    first_index = np.maximum(0, np.ceil((corner - origin) / spacing - 0.5))
    last_index = np.minimum(new_sizes - 1, np.floor((last - origin) / spacing + 0.5))
    resample = sitk.ResampleImageFilter()
    resample.SetOutputSpacing(spacing)
    resample.SetOutputOrigin((origin + first_index * spacing).tolist())
    resample.SetSize((last_index - first_index + 1).astype(int).tolist())
    resample.SetOutputPixelType(sitk.sitkFloat64)
    resample.SetInterpolator(interpolator)
    return np.asarray(sitk.GetArrayFromImage(resample.Execute(image)), np.float64)
