"""The planes of a mask series with their values: decoded, in the order of the volume, in the domain that holds labels.

That is the stored values, but where RescaleSlope differs from slice to slice (PET) and only the rescaled values are the
same few whole numbers in all of them; or, for a probability map, where a threshold was set, 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.core.alike import AlikeFiles
from orthanc_mask2seg.core.census import FEW_VALUES, Census
from orthanc_mask2seg.core.cropped import Cropped, Planes, cropped
from orthanc_mask2seg.core.pixels import Instance, Kept, StoredArray, kept
from orthanc_mask2seg.core.storing import stored_alike
from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.model import ImageSeries, Reason, Refusal

WHOLE_TOLERANCE = 1e-3
"""Rescaled values closer than this to a whole number are that number."""

MOST_RESCALED_LABELS = 256

SHOWN = 3
"""Smallest and largest values that are named."""

MOST_COUNTED = 1000
"""So many distinct values are counted for the evidence: more would only cost time."""


def read_planes(mask: ImageSeries, contents: Iterable[bytes], *, threshold: float | None = None) -> Planes | Refusal:
    """Decode the pixels of a mask.

    Parameters
    ----------
    contents
        The DICOM files of `mask.headers`, in that order.
    threshold
        Of a series with many grey levels, pixels whose rescaled value is at least this are 1, the others 0.

    Returns
    -------
    Planes, or Refusal
        Values of each plane in the order of the mask's volume, shape (rows, columns) each; or why they cannot be had.
    """
    instances = decode_all(mask.headers, contents)
    return instances if isinstance(instances, Refusal) else planes_of_mask(mask, instances, threshold=threshold)


def planes_of_mask(
    mask: ImageSeries, instances: Sequence[Instance], *, threshold: float | None = None
) -> Planes | Refusal:
    """The same of files that are decoded already, in the order of `mask.headers`."""
    frames = label_domain(instances, threshold)
    if isinstance(frames, Refusal):
        return frames
    if (
        threshold is not None
        and not any(plane.any() for planes in frames for plane in planes)
        and not _discrete(instances)
    ):
        return _below(threshold, instances)
    return _in_order(mask, frames)


def _below(threshold: float, instances: Sequence[Instance]) -> Refusal:
    return Refusal(
        reason=Reason.NOT_DISCRETE,
        detail=f"No value of the probability map reaches the threshold of {threshold:g}.",
        hint="Set Threshold within the range of the values.",
        evidence=grey_levels(_probable(instances)),
    )


def grey_levels(values: Sequence[StoredArray]) -> tuple[str, ...]:
    """Range and number of values, for the evidence of a refusal.

    Parameters
    ----------
    values
        Arrays of any shape, at least one.
    """
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    distinct: set[float] = set()
    for array in values:
        distinct |= set(np.unique(array).tolist())
        if len(distinct) > MOST_COUNTED:
            break
    several = f"more than {MOST_COUNTED} distinct values" if len(distinct) > MOST_COUNTED else ""
    if not several:
        ordered = [f"{v:g}" for v in sorted(distinct)]
        few = ordered if len(ordered) <= 2 * SHOWN else [*ordered[:SHOWN], "...", *ordered[-SHOWN:]]
        several = f"{counted(len(ordered), 'distinct value')}: {', '.join(few)}"
    return (f"values from {low:g} to {high:g}", several)


def probabilities_of_mask(mask: ImageSeries, instances: Sequence[Instance]) -> Planes | Refusal | None:
    """Rescaled values of each plane of a probability map; None where the values are labels after all.

    Parameters
    ----------
    mask, instances
        As in `planes_of_mask`.
    """
    different = stored_alike(instances)
    if different is not None:
        return different
    if any(i.coloured for i in instances) or _discrete(instances):
        return None
    return _in_order(mask, [_cropped(frames) for frames in _probable(instances)])


def _in_order(mask: ImageSeries, frames: Sequence[Sequence[Cropped]]) -> Planes | Refusal:
    planes = []
    for plane in mask.volume.planes:
        number = (plane.frame_number or 1) - 1
        pixels = frames[plane.index]
        rows, columns = plane.geometry.rows, plane.geometry.columns
        if number >= len(pixels) or pixels[number].shape != (rows, columns):
            return _changed(
                f"{instance_of(mask.header(plane))}: expected {rows} x {columns} pixels in frame {number + 1}, found "
                f"{counted(len(pixels), 'frame')} of {pixels[0].shape[0]} x {pixels[0].shape[1]}"
            )
        planes.append(pixels[number])
    return Planes(planes)


def _cropped(frames: StoredArray) -> tuple[Cropped, ...]:
    return tuple(cropped(frame) for frame in frames)


def decode_all(headers: Sequence[Dataset], contents: Iterable[bytes]) -> tuple[Kept, ...] | Refusal:
    """Decode files, and make sure that they are those of the headers."""
    instances = []
    files = AlikeFiles()
    for header, content in zip(headers, contents, strict=True):
        decoded = files.decode(content)
        if isinstance(decoded, Refusal):
            return decoded
        if decoded.header.get("SOPInstanceUID") != header.get("SOPInstanceUID"):
            return _changed(f"expected {instance_of(header)}, found {instance_of(decoded.header)}")
        instances.append(kept(decoded))
    return tuple(instances)


def label_domain(
    instances: Sequence[Instance], threshold: float | None = None
) -> tuple[tuple[Cropped, ...], ...] | Refusal:
    """Frames of each instance as values that can be labels.

    Parameters
    ----------
    instances
        Of one series, or a few of them.
    threshold
        See `read_planes`.

    Returns
    -------
    tuple of Cropped for each instance, or Refusal
        `not_discrete` for fractions without a threshold.
    """
    different = stored_alike(instances)
    if different is not None:
        return different
    few = _two_fractions(instances)
    if few is not None:
        return tuple(_cropped(frames) for frames in few)
    rescaled = _whole_after_rescale(instances)
    if rescaled is not None:
        return tuple(_cropped(frames) for frames in rescaled)
    if threshold is not None and not _discrete(instances) and not any(i.coloured for i in instances):
        return tuple(_cropped((values >= threshold).astype(np.uint8)) for values in _probable(instances))
    if any(i.fractions for i in instances):
        return Refusal(
            reason=Reason.NOT_DISCRETE,
            detail="The pixels are fractions, as in a probability map, not labels.",
            hint="Export the mask after thresholding, or set Threshold.",
            evidence=grey_levels([i.frames for i in instances if i.fractions]),
        )
    if any(i.lossy for i in instances) and len({v for i in instances for v in np.unique(i.frames).tolist()}) > 2:
        return Refusal(
            reason=Reason.NOT_DISCRETE,
            detail="The mask was compressed with losses, which blurs labels into other values.",
            hint="Export the mask uncompressed, or with a lossless compression.",
            evidence=(
                f"{sum(i.lossy for i in instances)} of {counted(len(instances), 'image')} compressed with losses",
                *grey_levels([i.frames for i in instances]),
            ),
        )
    return tuple(i.planes if isinstance(i, Kept) else _cropped(i.frames) for i in instances)


def _distinct_fractions(instances: Sequence[Instance]) -> list[float]:
    """Distinct values of floating point images, ascending, up to one more than two; none where all are whole."""
    found: set[float] = set()
    for instance in instances:
        found |= set(np.unique(instance.frames)[: FEW_VALUES + 1].tolist())
        if len(found) > FEW_VALUES:
            break
    return sorted(found)[: FEW_VALUES + 1]


def _two_fractions(instances: Sequence[Instance]) -> tuple[StoredArray, ...] | None:
    """Two values that are no whole numbers, as whole numbers in the same order: 0 and 0.5 are a mask as 0 and 1 are."""
    if not any(i.fractions for i in instances):
        return None
    values = _distinct_fractions(instances)
    if len(values) > FEW_VALUES:
        return None
    numbers = {v: int(np.sign(v)) for v in values}
    if len(set(numbers.values())) < len(values):  # both are above 0, or below
        numbers = {v: n for n, v in enumerate(values)}
    return tuple(np.where(i.frames == values[0], numbers[values[0]], numbers[values[-1]]) for i in instances)


def _discrete(instances: Sequence[Instance]) -> bool:
    if any(i.fractions for i in instances):
        return len(_distinct_fractions(instances)) <= FEW_VALUES
    census = Census()
    for instance in instances:
        for frame in instance.planes if isinstance(instance, Kept) else instance.frames:
            census.add(frame)
    return census.discrete


def _slope(header: Dataset) -> tuple[float, float]:
    try:
        return float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    except (TypeError, ValueError):
        return 1.0, 0.0


def _modality(instance: Instance) -> StoredArray:
    """Values after the Modality LUT (PS3.3 C.11.1)."""
    slope, intercept = _slope(instance.header)
    return np.asarray(instance.frames * slope + intercept)


def _probable(instances: Sequence[Instance]) -> tuple[StoredArray, ...]:
    """Rescaled values; the stored ones where rescaling makes some negative: then it was inherited from a CT."""
    rescaled = tuple(_modality(i) for i in instances)
    if min(float(values.min()) for values in rescaled) < 0:
        return tuple(i.frames for i in instances)
    return rescaled


def _whole_after_rescale(instances: Sequence[Instance]) -> tuple[StoredArray, ...] | None:
    """Rescaled values, where slopes differ between instances and only rescaling brings their values together."""
    if len({_slope(i.header) for i in instances}) == 1 or any(i.coloured for i in instances):
        return None
    stored: set[float] = set()
    values: set[int] = set()
    for instance in instances:
        found = np.unique(instance.frames)
        if len(found) > MOST_RESCALED_LABELS:
            return None
        slope, intercept = _slope(instance.header)
        rescaled = found * slope + intercept
        if np.abs(rescaled - np.rint(rescaled)).max() > WHOLE_TOLERANCE:
            return None
        stored |= set(found.tolist())
        values |= set(np.rint(rescaled).astype(int).tolist())
    if len(values) >= len(stored):
        return None
    return tuple(np.rint(_modality(i)).astype(np.int32) for i in instances)


def _changed(what: str) -> Refusal:
    return Refusal(
        reason=Reason.CORRUPT_PIXEL_DATA,
        detail="The pixels of an image do not fit its header.",
        hint="Export or send the series again.",
        evidence=(what,),
    )
