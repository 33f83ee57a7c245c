"""What the source's pixels measure, and in which unit: HU, SUV, or arbitrary units.

The only place where pixels of the source are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from orthanc_mask2seg.core.alike import AlikeFiles
from orthanc_mask2seg.core.pixels import decode
from orthanc_mask2seg.core.plane_headers import Groups, frames_of
from orthanc_mask2seg.core.wording import instance_of
from orthanc_mask2seg.model import ArchiveKey, CodedConcept, ImageSeries, Reason, Refusal
from orthanc_mask2seg.outputs.codes import ARBITRARY, ATTENUATION, HU, INTENSITY, MR_SIGNAL, SUV, SUV_BODY_WEIGHT
from orthanc_mask2seg.outputs.suv import suv_factor

Values = npt.NDArray[np.float32]


ALL = slice(None)


@dataclass(frozen=True, slots=True)
class StoredPlane:
    """Stored pixels of a plane, shape (rows, columns), and what turns them into values."""

    pixels: npt.NDArray[Any]
    slope: float
    intercept: float

    def values(self, rows: slice = ALL, columns: slice = ALL) -> Values:
        """Values of a part of it."""
        return np.asarray(self.pixels[rows, columns] * self.slope + self.intercept, np.float32)


@dataclass(frozen=True, kw_only=True)
class Intensities:
    """Values of the planes that were read; computed where somebody looks, as most outputs look at a small part.

    Attributes
    ----------
    planes
        Plane of the source (its place in `VolumeGeometry.planes`) to what is stored of it.
    quantity
        What they measure.
    """

    planes: Mapping[int, StoredPlane]
    unit: CodedConcept
    quantity: CodedConcept

    @cached_property
    def levels(self) -> int:
        """How many different values there are, counted no further than `COUNTED_LEVELS`."""
        levels: set[float] = set()
        for plane in self.planes.values():
            levels.update(np.unique(plane.values()).tolist())
            if len(levels) > COUNTED_LEVELS:
                break
        return len(levels)

    def stacked(self, planes: Iterable[int], rows: slice = ALL, columns: slice = ALL) -> Values:
        """A part of some planes, shape (planes, rows, columns)."""
        return np.stack([self.planes[i].values(rows, columns) for i in planes])


COUNTED_LEVELS = 64
POSITRON = "PT"
"""Modality whose unit depends on more of the header than what is read of files that are written alike."""


def instances_of(source: ImageSeries, planes: Collection[int]) -> tuple[ArchiveKey, ...]:
    """Archive's addresses of the instances that hold some planes, in the order that `read_intensities` wants."""
    indices = sorted({source.volume.planes[i].index for i in planes})
    return tuple(source.series.instance_keys[i] for i in indices)


def read_intensities(source: ImageSeries, planes: Collection[int], contents: Iterable[bytes]) -> Intensities | Refusal:
    """Read planes of a source in the unit that its modality has.

    Parameters
    ----------
    planes
        Wanted planes of `source.volume`.
    contents
        DICOM files of the instances of `instances_of`, in that order.

    Returns
    -------
    Intensities, or Refusal
        `unknown_units` where the tags do not say what the values mean, `unsupported_pixel_data` of colours, and what
        `core.pixels.decode` refuses.
    """
    wanted: dict[int, list[int]] = {}
    for place in sorted(planes):
        wanted.setdefault(source.volume.planes[place].index, []).append(place)
    found: dict[int, StoredPlane] = {}
    meaning: tuple[CodedConcept, CodedConcept] | None = None
    files = AlikeFiles()
    for index, content in zip(sorted(wanted), contents, strict=True):
        modality = str(source.headers[index].get("Modality") or "")
        decoded = decode(content) if modality == POSITRON else files.decode(content)
        if isinstance(decoded, Refusal):
            return decoded
        if decoded.coloured:
            return Refusal(
                reason=Reason.UNSUPPORTED_PIXEL_DATA,
                detail="The images are coloured: their values measure nothing.",
                hint="Measure on images of grey levels.",
                evidence=(instance_of(decoded.header),),
            )
        groups = [()] if decoded.like_first else [g for _, g in frames_of(decoded.header)]
        for place in wanted[index]:
            number = (source.volume.planes[place].frame_number or 1) - 1
            scale = _scale(decoded.header, groups[number], modality)
            if isinstance(scale, Refusal):
                return scale
            slope, intercept, unit, quantity = scale
            if meaning is not None and meaning != (unit, quantity):
                return _unknown("the images of the series have different units")
            meaning = unit, quantity
            found[place] = StoredPlane(decoded.frames[number], slope, intercept)
    if meaning is None:
        return _unknown("no image was read")
    return Intensities(planes=found, unit=meaning[0], quantity=meaning[1])


Scale = tuple[float, float, CodedConcept, CodedConcept]
"""Slope, intercept, unit, quantity."""


def _scale(header: Dataset, groups: Groups, modality: str) -> Scale | Refusal:
    rescale = _rescale(header, groups)
    if rescale is None and modality in {"CT", POSITRON}:
        return _unknown("RescaleSlope or RescaleIntercept is missing")
    slope, intercept, kind = rescale or (1.0, 0.0, "")
    if modality == "CT" and kind in {"", "HU"}:
        return slope, intercept, HU, ATTENUATION
    if modality == POSITRON:
        factor = suv_factor(header)
        return (
            _unknown(factor) if isinstance(factor, str) else (slope * factor, intercept * factor, SUV, SUV_BODY_WEIGHT)
        )
    return slope, intercept, ARBITRARY, MR_SIGNAL if modality == "MR" else INTENSITY


def _rescale(header: Dataset, groups: Groups) -> tuple[float, float, str] | None:
    """Slope, intercept and type of the Modality LUT, of the frame or of the instance; None where there is none."""
    items = [
        group.PixelValueTransformationSequence[0] for group in groups if "PixelValueTransformationSequence" in group
    ]
    for item in (*items, header):
        if item.get("RescaleSlope") is not None and item.get("RescaleIntercept") is not None:
            return float(item.RescaleSlope), float(item.RescaleIntercept), str(item.get("RescaleType") or "")
    return None


def _unknown(why: str) -> Refusal:
    return Refusal(
        reason=Reason.UNKNOWN_UNITS,
        detail=f"The images do not say what their values mean: {why}.",
        hint="Send the images with the attributes that their values need.",
        evidence=(why,),
    )


def needed_planes(source: ImageSeries, boxes: Iterable[range], margin_mm: float) -> tuple[int, ...]:
    """Planes that some boxes span, and those around them within a margin."""
    distances = source.volume.distances
    found: set[int] = set()
    for box in boxes:
        low, high = distances[box[0]] - margin_mm, distances[box[-1]] + margin_mm
        found.update(i for i, d in enumerate(distances) if low <= d <= high)
    return tuple(sorted(found))
