"""Probability maps: a FRACTIONAL segmentation, where the site has configured that instead of a threshold."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread

from orthanc_mask2seg.core.convert import Converted, Matched, flagged, grid_of, outside, recipe_of, specs_of
from orthanc_mask2seg.core.encode import MAXIMUM_FRACTIONAL_VALUE, encode
from orthanc_mask2seg.core.geometry import place
from orthanc_mask2seg.core.mask_planes import grey_levels
from orthanc_mask2seg.core.pixels import StoredArray
from orthanc_mask2seg.core.segments import Naming
from orthanc_mask2seg.core.viewers import Encoding
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.errors import VerificationError
from orthanc_mask2seg.model import LabelArray, LabelVolume, PlaneGeometry, Reason, Refusal

PLANE_TOLERANCE_MM = 0.1
INDEX_TOLERANCE = 0.1

Quantised = tuple[npt.NDArray[np.uint8], ...]


def probabilities(planes: Sequence[StoredArray], certain: float, *, eight_bit: bool) -> Quantised | Refusal:
    """Probabilities as whole numbers from 0 to 255.

    Parameters
    ----------
    planes
        Rescaled values, shape (rows, columns) each.
    certain
        Value that means certain; 0 for 1 where no value is greater, or 255 for 8 bit images.
    eight_bit
        The images have 8 bits.

    Returns
    -------
    tuple of arrays, or Refusal
        `not_discrete` where the values are outside of 0 to `certain`, or where that is not known.
    """
    low = min(float(p.min()) for p in planes)
    high = max(float(p.max()) for p in planes)
    scale = certain or (1.0 if high <= 1 else 255.0 if eight_bit else 0.0)
    if not scale or low < 0 or high > scale:
        expected = f"from 0 to {scale:g}" if scale else "of a known maximum"
        return Refusal(
            reason=Reason.NOT_DISCRETE,
            detail=f"The values from {low:g} to {high:g} are no probabilities {expected}.",
            hint="Set FractionalMaximum to the value that means certain.",
            evidence=(*grey_levels(planes), f"FractionalMaximum is {certain:g}" if certain else "no FractionalMaximum"),
        )
    return tuple(np.rint(p / scale * MAXIMUM_FRACTIONAL_VALUE).astype(np.uint8) for p in planes)


def convert_fractional(
    mask: Matched, quantised: Quantised, template: Dataset, *, series_number_offset: int, naming: Naming | None = None
) -> Converted | Refusal:
    """Convert one probability map into a verified FRACTIONAL segmentation.

    Parameters
    ----------
    quantised
        Probabilities from 0 to 255 of each plane of the mask.
    template, series_number_offset, naming
        As in `convert`.

    Raises
    ------
    VerificationError
        The encoded SEG does not hold the probabilities.
    """
    if mask.match.resampled:
        return Refusal(
            reason=Reason.GEOMETRY_MISMATCH,
            detail="The probability map lies on another grid than its source; probabilities are not resampled.",
            hint="Export the map on the grid of the images.",
            evidence=(f"the map has {grid_of(mask.mask.volume)}, its source has {grid_of(mask.match.source.volume)}",),
        )
    planes: dict[int, LabelArray] = {}
    for pair in mask.match.pairs:
        target = mask.match.source.volume.planes[pair.source_plane].geometry
        placed = place(quantised[pair.mask_plane], pair.way, target.rows, target.columns)
        if placed is None:
            return outside(mask, pair, int(np.count_nonzero(quantised[pair.mask_plane])))
        if placed.any():
            planes[pair.source_plane] = placed
    if not planes:
        highest = max(float(p.max()) for p in mask.stored)
        return Refusal(
            reason=Reason.EMPTY_MASK,
            detail="The map is empty: every probability is 0.",
            hint="Nothing to do, unless a segmentation was expected.",
            evidence=(f"{counted(len(quantised), 'slice')}, highest value {highest:g}",),
        )
    header = mask.mask.header(mask.mask.volume.planes[0])
    layer = LabelVolume(planes=planes, specs=specs_of([1], header, naming, folder_names=mask.mask.series.folder_names))
    recipe = recipe_of([mask], series_number_offset, naming)
    segmentation = encode(
        mask.match.source, template, (layer,), recipe, encoding=Encoding.FRACTIONAL, probabilities=True
    )
    segmentation = flagged(segmentation, (layer,))
    places = zip((p.geometry for p in mask.mask.volume.planes), quantised, strict=True)
    count = verify_fractional(segmentation.content, places)
    compared = counted(count, "probability", "probabilities")
    told = f"{compared} above 0 compared with the map, voxel by voxel: all equal"
    evidence = (f"the map, before it was cut at any threshold: {'; '.join(grey_levels(mask.stored))}", told)
    return Converted(segmentation=segmentation, evidence=evidence)


def verify_fractional(content: bytes, planes: Iterable[tuple[PlaneGeometry, npt.NDArray[np.uint8]]]) -> int:
    """Compare an encoded FRACTIONAL SEG of one segment with the map as it came, in patient space.

    Returns
    -------
    int
        Probabilities above 0.

    Raises
    ------
    VerificationError
        A probability is missing, differs, or is elsewhere.
    """
    data = dcmread(io.BytesIO(content))
    shape = int(data.Rows), int(data.Columns)
    size = shape[0] * shape[1]
    frames = np.frombuffer(data.PixelData, np.uint8)[: int(data.NumberOfFrames) * size].reshape(-1, *shape)
    shared = data.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    origins = np.array([_position(item, shared) for item in data.PerFrameFunctionalGroupsSequence])
    axes = np.array([cosines[3:] / spacing[0], cosines[:3] / spacing[1]])
    normal = np.cross(cosines[:3], cosines[3:])
    found = 0
    for plane, values in planes:
        rows, columns = np.nonzero(values)
        if not rows.size:
            continue
        points = (
            np.array(plane.position)
            + columns[:, None] * np.array(plane.row_cosines) * plane.pixel_spacing[1]
            + rows[:, None] * np.array(plane.column_cosines) * plane.pixel_spacing[0]
        )
        index = int(np.argmin(np.abs((origins - points[0]) @ normal)))
        exact = (points - origins[index]) @ axes.T
        whole = np.rint(exact).astype(int)
        if abs((origins[index] - points[0]) @ normal) > PLANE_TOLERANCE_MM or (
            np.abs(exact - whole).max() > INDEX_TOLERANCE
            or whole.min() < 0
            or (whole >= shape).any()
            or (frames[index][whole[:, 0], whole[:, 1]] != values[rows, columns]).any()
        ):
            raise VerificationError("probabilities differ from the map")
        found += int(rows.size)
    if found != np.count_nonzero(frames):
        raise VerificationError("the SEG holds probabilities that the map does not")
    return found


def _position(item: Dataset, shared: Dataset) -> list[float]:
    group = item if "PlanePositionSequence" in item else shared
    return [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
