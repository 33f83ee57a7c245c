"""One straight line: voxels, segments, encode, verify. Masks with their source go in, a proven SEG comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.core.colours import Cielab, cielab
from orthanc_mask2seg.core.cropped import Cropped, PlanesByPlace, cropped, kept_of
from orthanc_mask2seg.core.encode import Recipe, encode
from orthanc_mask2seg.core.encoding import Choice, choose
from orthanc_mask2seg.core.geometry import POSITION_TOLERANCE_MM, place, plane_heights
from orthanc_mask2seg.core.match import Match
from orthanc_mask2seg.core.pixels import StoredArray
from orthanc_mask2seg.core.placement import Pair
from orthanc_mask2seg.core.resample import resample, volume_change, volumes
from orthanc_mask2seg.core.scan import overlapping
from orthanc_mask2seg.core.segments import Naming, describe, told_apart_specs
from orthanc_mask2seg.core.source_images import derived_uid, positive_number
from orthanc_mask2seg.core.verify import ResampledTruth, Truth, verify
from orthanc_mask2seg.core.viewers import Reader
from orthanc_mask2seg.core.voxels import Census, Labelling, labelling
from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.model import (
    ImageSeries,
    LabelArray,
    LabelVolume,
    Reason,
    Refusal,
    Segmentation,
    SegmentSpec,
    Uid,
    VolumeGeometry,
)


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
class Placed:
    """A mask whose labels lie on the grid of its source: it can be converted.

    Attributes
    ----------
    planes
        As in `LabelVolume`.
    evidence
        What its values stand for, and what resampling changed.
    """

    matched: Matched
    how: Labelling
    planes: Mapping[int, LabelArray]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A verified segmentation and what was seen on the way."""

    segmentation: Segmentation
    evidence: tuple[str, ...]


def place_labels(mask: Matched, *, maximum_volume_change: float = 0.1) -> Placed | Refusal:
    """Decide what the values of one mask stand for, and put its labels on the grid of its source.

    What is to be merged is placed one by one, so that a mask that is refused is reported and left out, and the others
    are converted together.

    Parameters
    ----------
    maximum_volume_change
        Largest relative change of a segment's volume where a mask on another grid is resampled.
    """
    census = Census()
    for plane in kept_of(mask.stored):
        census.add(plane)
    how = labelling(census, mask.mask.header(mask.mask.volume.planes[0]))
    if isinstance(how, Refusal):
        return how
    found = _resampled(mask, how, maximum_volume_change) if mask.match.resampled else _on_source(mask, how)
    if isinstance(found, Refusal):
        return found
    planes, told = found
    return Placed(matched=mask, how=how, planes=planes, evidence=(*how.evidence, *told))


def convert(
    masks: Sequence[Matched | Placed],
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
        At least one; all matched to the same source, placed already or not. Each becomes a layer, in this order.
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
        A refusal from any of the masks that were not placed, except empty ones beside others that are not. Where there
        are several, the evidence names the series.

    Raises
    ------
    VerificationError
        The encoded SEG does not hold the voxels of the masks.
    """
    matched = [mask.matched if isinstance(mask, Placed) else mask for mask in masks]
    placed: list[Placed] = []
    empty: Refusal | None = None
    for mask in masks:
        found = mask if isinstance(mask, Placed) else place_labels(mask, maximum_volume_change=maximum_volume_change)
        if isinstance(found, Placed):
            placed.append(found)
        elif found.reason is Reason.EMPTY_MASK:
            empty = found
        else:
            return found if len(masks) == 1 else _of_series(found, mask)
    if not placed:
        assert empty is not None
        return empty
    layers = _layers(placed, naming)
    source = matched[0].match.source
    recipe = recipe_of(matched, series_number_offset, naming)
    encoding, reason = _encoding(source, layers, viewers)
    segmentation = flagged(encode(source, template, layers, recipe, encoding=encoding), layers)
    voxels = verify(segmentation.content, _truths(placed, layers), position_tolerance)
    compared = f"{counted(voxels, 'voxel')} compared with the mask, voxel by voxel: all equal"
    evidence = [text for mask in placed for text in mask.evidence]
    return Converted(segmentation=segmentation, evidence=(*evidence, reason, compared))


def flagged(segmentation: Segmentation, layers: Sequence[LabelVolume]) -> Segmentation:
    """A segmentation that says of which segments no code is known."""
    uncoded = {spec.label for layer in layers for spec in layer.specs.values() if spec.needs_coding}
    return replace(
        segmentation, segments=tuple(replace(s, needs_coding=s.label in uncoded) for s in segmentation.segments)
    )


def _of_series(refusal: Refusal, mask: Matched | Placed) -> Refusal:
    matched = mask.matched if isinstance(mask, Placed) else mask
    series = f"mask series {matched.mask.series.series_instance_uid}"
    return replace(refusal, evidence=(series, *refusal.evidence))


def _encoding(source: ImageSeries, layers: Sequence[LabelVolume], viewers: Sequence[Reader]) -> Choice:
    geometry = source.volume.planes[0].geometry
    return choose(
        viewers,
        rows=geometry.rows,
        columns=geometry.columns,
        segments=sum(len(layer.specs) for layer in layers),
        overlapping=overlapping(layers),
    )


def _layers(masks: Sequence[Placed], naming: Naming | None) -> list[LabelVolume]:
    layers: list[LabelVolume] = []
    before = 0
    for mask in masks:
        series, how = mask.matched.mask, mask.how
        specs = specs_of(
            sorted(set(how.labels.values())),
            series.header(series.volume.planes[0]),
            naming if how.own_values else _without_rows(naming),
            colours={label: cielab(rgb) for label, rgb in how.colours.items()},
            before=before,
            folder_names=series.series.folder_names,
        )
        before += len(specs)
        layers.append(LabelVolume(planes=mask.planes, specs=specs))
    return _told_apart(layers)


def _resampled(
    mask: Matched, how: Labelling, largest: float
) -> tuple[Mapping[int, LabelArray], tuple[str, ...]] | Refusal:
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


def _on_source(mask: Matched, how: Labelling) -> tuple[Mapping[int, LabelArray], tuple[str, ...]] | Refusal:
    planes: dict[int, Cropped] = {}
    stored = kept_of(mask.stored)
    for pair in mask.match.pairs:
        labels = how.apply_to(stored[pair.mask_plane])
        if not labels.any():
            continue
        target = mask.match.source.volume.planes[pair.source_plane].geometry
        if pair.way.identical and labels.shape == (target.rows, target.columns):
            planes[pair.source_plane] = labels
            continue
        whole = labels.whole()
        placed = place(whole, pair.way, target.rows, target.columns)
        if placed is None:
            return outside(mask, pair, int(np.count_nonzero(whole)))
        planes[pair.source_plane] = cropped(placed)
    return PlanesByPlace(planes), ()


def outside(mask: Matched, pair: Pair, marked: int) -> Refusal:
    """Refusal of a mask of which a slice reaches beyond that of its source.

    Parameters
    ----------
    pair
        The slices.
    marked
        Pixels of the mask's slice that are not background.
    """
    plane = mask.mask.volume.planes[pair.mask_plane]
    ours, theirs = plane.geometry, mask.match.source.volume.planes[pair.source_plane].geometry
    return Refusal(
        reason=Reason.GEOMETRY_MISMATCH,
        detail="Parts of the mask lie outside the images of its source.",
        hint="Export the mask on the grid of the images it was drawn on.",
        evidence=(
            f"slice {pair.mask_plane + 1} of {len(mask.mask.volume.planes)}, {instance_of(mask.mask.header(plane))}",
            f"{counted(marked, 'marked pixel')} on {ours.rows} x {ours.columns} pixels",
            f"the source has {theirs.rows} x {theirs.columns} pixels, and not all that is marked lies within",
        ),
    )


def grid_of(volume: VolumeGeometry) -> str:
    """Size and spacing of a volume, for evidence."""
    first = volume.planes[0].geometry
    rows, columns = first.pixel_spacing
    between = f"{volume.spacing:g} mm apart" if volume.spacing is not None else "without one distance"
    return (
        f"{first.rows} x {first.columns} pixels of {rows:g} x {columns:g} mm in "
        f"{counted(len(volume.planes), 'slice')} {between}"
    )


def _without_rows(naming: Naming | None) -> Naming:
    """Naming for labels that were numbered here: a table says nothing of their values, and still knows its names."""
    naming = naming or Naming()
    return replace(naming, table=None, terms=(*naming.terms, *(naming.table.terms if naming.table else ())))


def specs_of(
    labels: Sequence[int],
    header: Dataset,
    naming: Naming | None = None,
    *,
    colours: Mapping[int, Cielab] | None = None,
    before: int = 0,
    folder_names: Sequence[str] = (),
) -> Mapping[int, SegmentSpec]:
    """Label value to what it means, from the header of the mask; see `segments.describe`.

    A label of a mask series has one TrackingUID for good: it is the same finding when its voxels were corrected.
    """
    series_uid = str(header.get("SeriesInstanceUID") or "")
    specs = describe(labels, header, naming, colours=colours, before=before, folder_names=folder_names)
    return {
        label: replace(spec, tracking_uid=derived_uid("tracking", series_uid, label))
        for label, spec in zip(labels, specs, strict=True)
    }


def _told_apart(layers: Sequence[LabelVolume]) -> list[LabelVolume]:
    """Give every segment of the object a label and a colour of its own."""
    flat = told_apart_specs([spec for layer in layers for spec in layer.specs.values()])
    result, start = [], 0
    for layer in layers:
        specs = dict(zip(layer.specs, flat[start : start + len(layer.specs)], strict=True))
        result.append(LabelVolume(planes=layer.planes, specs=specs))
        start += len(specs)
    return result


def _truths(masks: Sequence[Placed], layers: Sequence[LabelVolume]) -> Iterator[Truth | ResampledTruth]:
    number = 1
    for placed, layer in zip(masks, layers, strict=True):
        mask, how = placed.matched, placed.how
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
        mask_instances=tuple(
            dict.fromkeys((p.sop_class_uid, p.sop_instance_uid) for m in masks for p in m.mask.volume.planes)
        ),
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
