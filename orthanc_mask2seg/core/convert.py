"""One straight line: voxels, segments, encode, verify. Masks with their source go in, a proven SEG comes out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.core.encode import Recipe, encode
from orthanc_mask2seg.core.geometry import place
from orthanc_mask2seg.core.match import Match
from orthanc_mask2seg.core.pixels import StoredArray, decode
from orthanc_mask2seg.core.segments import describe, renumbered_colours
from orthanc_mask2seg.core.verify import Truth, verify
from orthanc_mask2seg.core.voxels import Census, Labelling, labelling
from orthanc_mask2seg.model import ImageSeries, LabelArray, LabelVolume, Reason, Refusal, Segmentation, SegmentSpec, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A mask with the source that it was matched to.

    Attributes
    ----------
    stored
        Stored values of each plane, in the order of the mask's volume.
    """

    mask: ImageSeries
    match: Match
    stored: Sequence[StoredArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A verified segmentation and what was seen on the way."""

    segmentation: Segmentation
    evidence: tuple[str, ...]


def read_planes(mask: ImageSeries, contents: Iterable[bytes]) -> tuple[StoredArray, ...] | Refusal:
    """Decode the pixels of a mask.

    Parameters
    ----------
    contents
        The DICOM files of `mask.headers`, in that order.

    Returns
    -------
    tuple of arrays, or Refusal
        Stored values of each plane in the order of the mask's volume, shape (rows, columns) each; or why a file
        cannot be read.
    """
    frames: list[StoredArray] = []
    for header, content in zip(mask.headers, contents, strict=True):
        decoded = decode(content)
        if isinstance(decoded, Refusal):
            return decoded
        if decoded.header.get("SOPInstanceUID") != header.get("SOPInstanceUID"):
            return _changed()
        frames.append(_narrow(decoded.frames))
    planes = []
    for plane in mask.volume.planes:
        number = (plane.frame_number or 1) - 1
        pixels = frames[plane.index]
        expected = plane.geometry.rows, plane.geometry.columns
        if number >= len(pixels) or pixels.shape[1:] != expected:
            return _changed()
        planes.append(pixels[number])
    return tuple(planes)


def _changed() -> Refusal:
    return Refusal(
        reason=Reason.CORRUPT_PIXEL_DATA,
        detail="The pixels of an image do not fit its header.",
        hint="Export or send the series again.",
    )


def _narrow(frames: StoredArray) -> StoredArray:
    """The same values in the smallest type that holds them: most masks need one byte per voxel."""
    if frames.dtype.itemsize == 1:
        return frames
    low, high = int(frames.min()), int(frames.max())
    for kind in (np.uint8, np.int16, np.uint16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return frames.astype(kind)
    return frames


def convert(
    masks: Sequence[Matched], template: Dataset, *, series_number_offset: int, label: str = ""
) -> Converted | Refusal:
    """Convert masks of one source into one verified segmentation.

    Parameters
    ----------
    masks
        At least one; all matched to the same source. Each becomes a layer, in this order.
    template
        Full header of one instance of the source.
    series_number_offset
        SeriesNumber of the SEG is this plus that of the first mask.
    label
        Name of the segment instead of the one from the mask's SeriesDescription.

    Returns
    -------
    Converted, or Refusal
        A refusal from any of the masks, except empty ones beside others that are not.

    Raises
    ------
    VerificationError
        The encoded SEG does not hold the voxels of the masks.
    """
    source = masks[0].match.source
    layers: list[LabelVolume] = []
    truths: list[tuple[Matched, Labelling]] = []
    evidence: list[str] = []
    empty: Refusal | None = None
    for mask in masks:
        found = _labels(mask)
        if isinstance(found, Refusal):
            if found.reason is not Reason.EMPTY_MASK:
                return found
            empty = found
            continue
        layer, how = found
        layers.append(layer)
        truths.append((mask, how))
        evidence += how.evidence
    if not layers:
        assert empty is not None
        return empty
    layers = _with_colours(layers)
    recipe = _recipe(masks, series_number_offset, label)
    segmentation = encode(source, template, layers, recipe)
    voxels = verify(segmentation.content, _truths(truths, layers))
    evidence.append(f"{voxels} voxels compared with the mask, voxel by voxel: all equal")
    return Converted(segmentation=segmentation, evidence=tuple(evidence))


def _labels(mask: Matched) -> tuple[LabelVolume, Labelling] | Refusal:
    """Labels of one mask on the grid of its source."""
    census = Census()
    for plane in mask.stored:
        census.add(plane)
    header = mask.mask.header(mask.mask.volume.planes[0])
    how = labelling(census, header)
    if isinstance(how, Refusal):
        return how
    planes: dict[int, LabelArray] = {}
    for pair in mask.match.pairs:
        labels = how.apply(mask.stored[pair.mask_plane])
        if not labels.any():
            continue
        target = mask.match.source.volume.planes[pair.source_plane].geometry
        placed = place(labels, pair.way, target.rows, target.columns)
        if placed is None:
            return Refusal(
                reason=Reason.GEOMETRY_MISMATCH,
                detail="Parts of the mask lie outside the images of its source.",
                hint="Export the mask on the grid of the images it was drawn on.",
            )
        planes[pair.source_plane] = placed
    labels_found = sorted(set(how.labels.values()))
    return LabelVolume(planes=planes, specs=_specs(labels_found, header)), how


def _specs(labels: Sequence[int], header: Dataset) -> Mapping[int, SegmentSpec]:
    return dict(zip(labels, describe(labels, str(header.get("SeriesDescription") or "")), strict=True))


def _with_colours(layers: Sequence[LabelVolume]) -> list[LabelVolume]:
    """Give every segment of the object a colour of its own."""
    flat = renumbered_colours([spec for layer in layers for spec in layer.specs.values()])
    coloured, start = [], 0
    for layer in layers:
        specs = dict(zip(layer.specs, flat[start : start + len(layer.specs)], strict=True))
        coloured.append(LabelVolume(planes=layer.planes, specs=specs))
        start += len(specs)
    return coloured


def _truths(masks: Sequence[tuple[Matched, Labelling]], layers: Sequence[LabelVolume]) -> Iterator[Truth]:
    number = 1
    for (mask, how), layer in zip(masks, layers, strict=True):
        numbers = {label: number + place for place, label in enumerate(layer.specs)}
        number += len(numbers)
        for plane, stored in zip(mask.mask.volume.planes, mask.stored, strict=True):
            yield Truth(geometry=plane.geometry, labels=how.apply(stored), segment_numbers=numbers)


def _recipe(masks: Sequence[Matched], series_number_offset: int, label: str) -> Recipe:
    first = masks[0].mask
    header = first.header(first.volume.planes[0])
    names = [str(m.mask.header(m.mask.volume.planes[0]).get("SeriesDescription") or "") for m in masks]
    return Recipe(
        mask_series_uids=tuple(Uid(m.mask.series.series_instance_uid) for m in masks),
        series_number=series_number_offset + _positive(header.get("SeriesNumber")),
        series_description=_text(label or ", ".join(n for n in names if n)),
        moment=_moment(header),
    )


def _positive(value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        return 1
    return number if 0 < number < 2**31 - 100_000 else 1


def _text(names: str) -> str:
    """SeriesDescription of the SEG: at most 64 characters, nothing that cannot be printed."""
    printable = "".join(c for c in names if c.isprintable() and c != "\\").strip()
    return f"SEG {printable}"[:64].strip()


def _moment(header: Dataset) -> datetime:
    """When the mask was made, as far as it says so: the SEG's dates come from its input, not from the clock."""
    for kind in ("InstanceCreation", "Content", "Series", "Acquisition", "Study"):
        date = re.match(r"\d{8}", str(header.get(f"{kind}Date") or ""))
        time = re.match(r"\d{6}", str(header.get(f"{kind}Time") or ""))
        if date:
            try:
                return datetime.strptime(date[0] + (time[0] if time else "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007
            except ValueError:
                continue
    return datetime(1970, 1, 1)  # noqa: DTZ001
