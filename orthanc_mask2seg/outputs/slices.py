"""Pictures to leaf through: images of the source as they lie, with the outline of every segment."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from orthanc_mask2seg.outputs.descriptions import rgb
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.preview import centroid, window
from orthanc_mask2seg.outputs.regions import Regions

SIDE = 384
"""Pixels of the longer side of a slice."""
MOST_SLICES = 48
AROUND = 2
"""Planes beyond the segments that are shown."""


def leafed_planes(regions: Regions) -> tuple[int, ...]:
    """Planes of the source that the segments reach into, and some around them: evenly fewer where they are many."""
    first = min(region.planes[0] for region in regions.regions)
    last = max(region.planes[-1] for region in regions.regions)
    low, high = max(0, first - AROUND), min(len(regions.source.volume.planes) - 1, last + AROUND)
    return tuple(dict.fromkeys(np.linspace(low, high, min(MOST_SLICES, high - low + 1)).round().astype(int).tolist()))


def middle_plane(regions: Regions) -> int:
    """The plane through the middle of the largest segment."""
    return centroid(max(regions.regions, key=lambda region: region.count))[0]


def draw_slice(regions: Regions, intensities: Intensities, plane: int, side: int = SIDE) -> Image.Image:
    """One plane at its true proportions.

    Parameters
    ----------
    intensities
        Of this plane at least; the window is chosen from all planes that it has.
    side
        Pixels of its longer side.
    """
    geometry = regions.source.volume.planes[plane].geometry
    height, width = geometry.rows * geometry.pixel_spacing[0], geometry.columns * geometry.pixel_spacing[1]
    size = (max(1, round(side * width / max(height, width))), max(1, round(side * height / max(height, width))))
    grey = window(intensities, tuple(intensities.planes))(intensities.planes[plane].values())
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    for region in regions.regions:
        if plane in region.planes:
            whole = np.zeros((geometry.rows, geometry.columns), bool)
            whole[region.box[1:]] = region.voxels[plane - region.corner[0]]
            inside = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.NEAREST), bool)
            edge = inside & ~ndimage.binary_erosion(inside)
            picture.paste(rgb(region.spec.recommended_display_cielab), mask=Image.fromarray(edge))
    return picture
