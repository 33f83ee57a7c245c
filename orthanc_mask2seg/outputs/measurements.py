"""What everyone reads: volume, longest diameters, mean, standard deviation, minimum, maximum.

They need no engine, exist for every region, and are right for irregular slices: each plane stands for half the way to
its neighbours. Diameters run between the centres of the outer faces of voxels, which is where the mesh of the IBSI
(marching cubes at one half) has its vertices, so the one in 3D is the IBSI's (L0JK).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.core.geometry import plane_heights
from orthanc_mask2seg.core.source_images import positive_number
from orthanc_mask2seg.model import CodedConcept, ImageSeries, Reason
from orthanc_mask2seg.outputs.codes import (
    CUBIC_MM,
    DIAMETER_3D,
    INTENSITY,
    LONG_AXIS,
    MAXIMUM,
    MEAN,
    MINIMUM,
    MM,
    STANDARD_DEVIATION,
    VOLUME,
    coded,
)
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.regions import Region

Points = npt.NDArray[np.float64]

SIMPLE = "simple"
"""Family of what is measured here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One number of one region, or why there is none.

    Attributes
    ----------
    code
        IBSI's, or that of another scheme where the IBSI has none.
    aggregation
        How texture matrices were put together; '' where there are none.
    derivation
        Mean, minimum and so on of the quantity that `concept` names.
    pyradiomics
        What pyradiomics calls it, if it has it.
    tag
        The engine's own name; '' of a simple measurement.
    reason
        Why there is no value.
    """

    concept: CodedConcept
    name: str
    family: str
    unit: CodedConcept
    value: float | None
    code: str = ""
    aggregation: str = ""
    derivation: CodedConcept | None = None
    pyradiomics: str = ""
    tag: str = ""
    reason: str | None = None

    def document(self) -> dict[str, object]:
        """JSON form (docs/outputs.md)."""
        return {
            "code": self.code or self.concept.value,
            "name": self.name,
            "family": self.family,
            "pyradiomics": self.pyradiomics,
            "aggregation": self.aggregation,
            "value": self.value,
            "unit": self.unit.value,
            "reason": self.reason,
        }


def measure(region: Region, source: ImageSeries, intensities: Intensities | None) -> tuple[Feature, ...]:
    """Simple measurements of a region.

    Parameters
    ----------
    intensities
        Of at least the planes of the region; None to measure its shape alone.
    """
    volume = volume_mm3(region, source)
    longest = longest_diameter(face_centres(region, source))
    axial = max(longest_diameter(points) for points in rims(region, source))
    shape = (
        _feature(VOLUME, "Volume", CUBIC_MM, volume),
        _feature(DIAMETER_3D, "Longest diameter", MM, longest),
        _feature(LONG_AXIS, "Longest diameter in a slice", MM, axial),
    )
    return shape if intensities is None else (*shape, *_of_values(region, intensities))


def _feature(
    concept: CodedConcept, name: str, unit: CodedConcept, value: float, derivation: CodedConcept | None = None
) -> Feature:
    known = math.isfinite(value)
    return Feature(
        concept=concept,
        name=name,
        family=SIMPLE,
        unit=unit,
        value=value if known else None,
        code=_CODES.get((derivation or concept).value, ""),
        derivation=derivation,
        reason=None if known else str(Reason.IRREGULAR_SLICES),
    )


_CODES = {VOLUME.value: "YEKZ", MEAN.value: "Q4LE", MINIMUM.value: "1GSF", MAXIMUM.value: "84IY",
          STANDARD_DEVIATION.value: "386136009"}  # fmt: skip
"""What the IBSI calls them; it has the variance, but no standard deviation."""


def _of_values(region: Region, intensities: Intensities) -> tuple[Feature, ...]:
    values = values_of(region, intensities).astype(np.float64)
    found = (
        (MEAN, values.mean()),
        (STANDARD_DEVIATION, values.std()),
        (MINIMUM, values.min()),
        (MAXIMUM, values.max()),
    )
    if intensities.quantity == INTENSITY:
        return tuple(_feature(_PLAIN.get(w, w), w.meaning, intensities.unit, float(v)) for w, v in found)
    return tuple(_feature(intensities.quantity, w.meaning, intensities.unit, float(v), w) for w, v in found)


_PLAIN = {
    MEAN: coded("IBSI", "Q4LE", "Mean Intensity"),
    MINIMUM: coded("IBSI", "1GSF", "Minimum Intensity"),
    MAXIMUM: coded("IBSI", "84IY", "Maximum Intensity"),
}
"""Names of their own, where DICOM has no word for what the values measure."""


def values_of(region: Region, intensities: Intensities) -> npt.NDArray[np.float32]:
    """Values of the voxels of a region, shape (voxels,)."""
    _, rows, columns = region.box
    parts = [
        intensities.planes[plane].values(rows, columns)[inside]
        for plane, inside in zip(region.planes, region.voxels, strict=True)
        if inside.any()
    ]
    return np.concatenate(parts)


def volume_mm3(region: Region, source: ImageSeries) -> float:
    """Volume; nan of a single plane whose thickness nobody gives."""
    first = source.volume.planes[0]
    heights = plane_heights(source.volume, positive_number(source.header(first).get("SliceThickness")))
    area = math.prod(first.geometry.pixel_spacing)
    return float(
        sum(np.count_nonzero(v) * area * heights[p] for p, v in zip(region.planes, region.voxels, strict=True))
    )


def face_centres(region: Region, source: ImageSeries) -> Points:
    """Centres of all outer faces of a region, shape (faces, 3), LPS mm."""
    padded = np.pad(region.voxels, 1)
    points = []
    for axis in range(3):
        places = np.argwhere(np.diff(padded.astype(np.int8), axis=axis))
        index = places.astype(np.float64) - 1
        index[:, axis] += 0.5
        points.append(index)
    return positions(np.concatenate(points) + region.corner, source)


def rims(region: Region, source: ImageSeries) -> list[Points]:
    """Of each plane that holds voxels: the centres of the outer edges, shape (edges, 3), LPS mm."""
    found = []
    for plane, inside in zip(region.planes, region.voxels, strict=True):
        if not inside.any():
            continue
        padded = np.pad(inside, 1).astype(np.int8)
        points = []
        for axis in range(2):
            index = np.argwhere(np.diff(padded, axis=axis)).astype(np.float64) - 1
            index[:, axis] += 0.5
            points.append(index)
        flat = np.concatenate(points) + region.corner[1:]
        found.append(positions(np.column_stack([np.full(len(flat), plane), flat]), source))
    return found


def positions(index: Points, source: ImageSeries) -> Points:
    """Positions (LPS mm) of (plane, row, column) indices, which may lie between planes or beside them."""
    planes = source.volume.planes
    origins = np.array([p.geometry.position for p in planes])
    origin = np.column_stack([_between(index[:, 0], origins[:, axis], source, axis) for axis in range(3)])
    first = planes[0].geometry
    down = np.multiply(first.column_cosines, first.pixel_spacing[0])
    along = np.multiply(first.row_cosines, first.pixel_spacing[1])
    return np.asarray(origin + index[:, 1:2] * down + index[:, 2:3] * along, np.float64)


def _between(plane: Points, along: Points, source: ImageSeries, axis: int) -> Points:
    """One coordinate of the first voxel of planes with broken numbers; beyond the ends as far as half a step."""
    count = len(along)
    if count == 1:
        thickness = positive_number(source.header(source.volume.planes[0]).get("SliceThickness")) or 0.0
        return np.asarray(along[0] + plane * thickness * source.volume.normal[axis], np.float64)
    low = np.clip(np.floor(plane).astype(int), 0, count - 2)
    return np.asarray(along[low] + (plane - low) * (along[low + 1] - along[low]), np.float64)


def longest_diameter(points: Points) -> float:
    """Largest distance between two of some points, mm."""
    from scipy.spatial import ConvexHull, QhullError  # noqa: PLC0415 - slow to import, and few runs measure
    from scipy.spatial.distance import pdist  # noqa: PLC0415

    flat = _own_axes(points)
    try:
        outer = points[ConvexHull(flat).vertices] if flat.shape[1] > 1 else points
    except QhullError:
        outer = points
    return float(pdist(outer).max()) if len(outer) > 1 else 0.0


def _own_axes(points: Points) -> Points:
    """Points in as many coordinates as they need: those of one plane in two."""
    centred = points - points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(centred @ axes[sizes > 1e-6 * max(float(sizes[0]), 1.0)].T, np.float64)
