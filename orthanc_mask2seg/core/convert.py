"""One straight line: voxels, segments, encode, verify. Masks with their source go in, a proven SEG comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydicom import Dataset

from orthanc_mask2seg.core.encode import Recipe, encode
from orthanc_mask2seg.core.encoding import Choice, choose, overlapping
from orthanc_mask2seg.core.geometry import POSITION_TOLERANCE_MM, place, plane_heights
from orthanc_mask2seg.core.match import Match
from orthanc_mask2seg.core.pixels import StoredArray
from orthanc_mask2seg.core.resample import resample, volume_change, volumes
from orthanc_mask2seg.core.segments import Naming, describe, told_apart_specs
from orthanc_mask2seg.core.source_images import derived_uid, positive_number
from orthanc_mask2seg.core.verify import ResampledTruth, Truth, verify
from orthanc_mask2seg.core.viewers import Reader
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


def convert(
    masks: Sequence[Matched],
    template: Dataset,
    *,
    series_number_offset: int,
    maximum_volume_change: float = 0.1,
    position_tolerance: float = POSITION_TOLERANCE_MM,
    naming: Naming | None = None,
    viewers: Sequence[Reader] = (),
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
    maximum_volume_change
        Largest relative change of a segment's volume where a mask on another grid is resampled.
    position_tolerance
        That of the match, mm.
    naming
        The site's label table and rules.
    viewers
        Those that have to show the SEG right; the encoding follows from them.

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
        found = _labels(mask, maximum_volume_change, naming)
        if isinstance(found, Refusal):
            if found.reason is not Reason.EMPTY_MASK:
                return found
            empty = found
            continue
        layer, how, told = found
        layers.append(layer)
        truths.append((mask, how))
        evidence += [*how.evidence, *told]
    if not layers:
        assert empty is not None
        return empty
    layers = _with_colours(layers)
    recipe = recipe_of(masks, series_number_offset, naming)
    encoding, reason = _encoding(source, layers, viewers)
    segmentation = encode(source, template, layers, recipe, encoding=encoding)
    voxels = verify(segmentation.content, _truths(truths, layers), position_tolerance)
    evidence.append(reason)
    evidence.append(f"{voxels} voxels compared with the mask, voxel by voxel: all equal")
    return Converted(segmentation=segmentation, evidence=tuple(evidence))


def _encoding(source: ImageSeries, layers: Sequence[LabelVolume], viewers: Sequence[Reader]) -> Choice:
    geometry = source.volume.planes[0].geometry
    return choose(
        viewers,
        rows=geometry.rows,
        columns=geometry.columns,
        segments=sum(len(layer.specs) for layer in layers),
        overlapping=overlapping(layers),
    )


def _labels(
    mask: Matched, largest: float, naming: Naming | None
) -> tuple[LabelVolume, Labelling, tuple[str, ...]] | Refusal:
    """Labels of one mask on the grid of its source."""
    census = Census()
    for plane in mask.stored:
        census.add(plane)
    header = mask.mask.header(mask.mask.volume.planes[0])
    how = labelling(census, header)
    if isinstance(how, Refusal):
        return how
    found = _resampled(mask, how, largest) if mask.match.resampled else _placed(mask, how)
    if isinstance(found, Refusal):
        return found
    planes, told = found
    labels_found = sorted(set(how.labels.values()))
    return (
        LabelVolume(
            planes=planes, specs=specs_of(labels_found, header, naming if how.own_values else _without_table(naming))
        ),
        how,
        told,
    )


def _resampled(
    mask: Matched, how: Labelling, largest: float
) -> tuple[dict[int, LabelArray], tuple[str, ...]] | Refusal:
    labels = [how.apply(stored) for stored in mask.stored]
    thickness = _thickness(mask.mask)
    source = mask.match.source
    planes = resample(labels, mask.mask.volume, source.volume, thickness)
    own = {i: plane for i, plane in enumerate(labels) if plane.any()}
    told = volume_change(
        volumes(own, mask.mask.volume, thickness), volumes(planes, source.volume, _thickness(source)), largest
    )
    return told if isinstance(told, Refusal) else (planes, told)


def _thickness(series: ImageSeries) -> float | None:
    return positive_number(series.header(series.volume.planes[0]).get("SliceThickness"))


def _placed(mask: Matched, how: Labelling) -> tuple[dict[int, LabelArray], tuple[str, ...]] | Refusal:
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
    return planes, ()


def _without_table(naming: Naming | None) -> Naming:
    """Naming for labels that were numbered here: a table of the mask's values says nothing of them."""
    return replace(naming or Naming(), table=None)


def specs_of(labels: Sequence[int], header: Dataset, naming: Naming | None = None) -> Mapping[int, SegmentSpec]:
    """Label value to what it means, from the header of the mask.

    A label of a mask series has one TrackingUID for good: it is the same finding when its voxels were corrected.
    """
    series_uid = str(header.get("SeriesInstanceUID") or "")
    return {
        label: replace(spec, tracking_uid=derived_uid("tracking", series_uid, label))
        for label, spec in zip(labels, describe(labels, header, naming), strict=True)
    }


def _with_colours(layers: Sequence[LabelVolume]) -> list[LabelVolume]:
    """Give every segment of the object a label and a colour of its own."""
    flat = told_apart_specs([spec for layer in layers for spec in layer.specs.values()])
    coloured, start = [], 0
    for layer in layers:
        specs = dict(zip(layer.specs, flat[start : start + len(layer.specs)], strict=True))
        coloured.append(LabelVolume(planes=layer.planes, specs=specs))
        start += len(specs)
    return coloured


def _truths(
    masks: Sequence[tuple[Matched, Labelling]], layers: Sequence[LabelVolume]
) -> Iterator[Truth | ResampledTruth]:
    number = 1
    for (mask, how), layer in zip(masks, layers, strict=True):
        numbers = {label: number + place for place, label in enumerate(layer.specs)}
        number += len(numbers)
        planes = (
            Truth(geometry=plane.geometry, labels=how.apply(stored), segment_numbers=numbers)
            for plane, stored in zip(mask.mask.volume.planes, mask.stored, strict=True)
        )
        if not mask.match.resampled:
            yield from planes
            continue
        yield ResampledTruth(
            planes=tuple(planes),
            heights=plane_heights(mask.mask.volume, _thickness(mask.mask)),
            targets=tuple(p.geometry for p in mask.match.source.volume.planes),
        )


def recipe_of(masks: Sequence[Matched], series_number_offset: int, naming: Naming | None = None) -> Recipe:
    """What the object says of itself; see `convert`."""
    first = masks[0].mask
    header = first.header(first.volume.planes[0])
    names = [str(m.mask.header(m.mask.volume.planes[0]).get("SeriesDescription") or "") for m in masks]
    return Recipe(
        mask_series_uids=tuple(Uid(m.mask.series.series_instance_uid) for m in masks),
        series_number=series_number_offset + _positive(header.get("SeriesNumber")),
        series_description=_text(", ".join(n for n in names if n)),
        remark=_remark(masks),
        content_creator_name=str(header.get("ContentCreatorName") or (naming or Naming()).content_creator_name),
        moment=_moment(header),
    )


def _remark(masks: Sequence[Matched]) -> str:
    """What a reader of the object has to know of how it was placed."""
    if any(m.mask.trusted for m in masks):
        return "positions trusted by InstanceNumber"
    return "resampled from another grid" if any(m.match.resampled for m in masks) else ""


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
                return datetime.strptime(date[0] + (time[0] if time else "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - DICOM's local time
            except ValueError:
                continue
    return datetime(1970, 1, 1)  # noqa: DTZ001 - the mask gives no date
