"""How DICOM writes it: labels on the source's grid become a Segmentation object (PS3.3 A.51).

highdicom decides what the object contains (see `template`). Its frames are written here, in one pass over the planes:
highdicom itself would make an object of each, and look at every plane once for every segment. What it takes from the
clock and from the dice is written over (see `finish`), so that the same input gives the same bytes. Patient and study
are copied from the source to the letter.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from pydicom import Dataset, config
from pydicom.uid import CTImageStorage

from orthanc_mask2seg.core.finish import finish, saved
from orthanc_mask2seg.core.frame_groups import PER_FRAME_GROUPS, PlaneOfFrames
from orthanc_mask2seg.core.geometry import plane_heights
from orthanc_mask2seg.core.inherited import fingerprint
from orthanc_mask2seg.core.origin import REFERENCED_SERIES, SOURCE_IMAGE, name_masks, referenced_series, source_images
from orthanc_mask2seg.core.packing import Bits, Bytes, Labels, Numbers, Packer
from orthanc_mask2seg.core.scan import Region, overlapping, runs_of
from orthanc_mask2seg.core.segments import TISSUE
from orthanc_mask2seg.core.source_images import positive_number
from orthanc_mask2seg.core.template import (
    MAXIMUM_FRACTIONAL_VALUE,
    NumberedSegment,
    Recipe,
    Stack,
    stack_of,
    template_of,
)
from orthanc_mask2seg.core.viewers import Encoding
from orthanc_mask2seg.model import (
    ArchiveKey,
    ImageSeries,
    LabelArray,
    LabelVolume,
    Plane,
    PlaneGeometry,
    Segmentation,
    SegmentReport,
    SegmentSpec,
    Series,
    Uid,
    VolumeGeometry,
)

__all__ = ["MAXIMUM_FRACTIONAL_VALUE", "Recipe", "encode", "warm_up"]


@dataclass(slots=True)
class _Pass:
    """One pass over all planes: what was packed, counted and digested.

    Attributes
    ----------
    places
        Planes that have a frame, in the order of their frames: places in `Stack.planes`.
    voxels
        Segment number to voxels of each plane of the source.
    digest
        Of all labels.
    """

    packer: Packer
    places: list[int] = field(default_factory=list)
    voxels: dict[int, dict[int, int]] = field(default_factory=dict)
    digest: str = ""


def encode(
    source: ImageSeries,
    template: Dataset,
    layers: Sequence[LabelVolume],
    recipe: Recipe,
    *,
    encoding: Encoding = Encoding.BINARY,
    probabilities: bool = False,
) -> Segmentation:
    """Encode labels as one Segmentation, Explicit VR Little Endian.

    Parameters
    ----------
    source
        The series that the labels lie on.
    template
        Full header of one instance of the source, for patient and study.
    layers
        Labels, one layer per mask series; layers may overlap each other. At least one voxel is labelled.
    recipe
        Identity and text of the new object.
    encoding
        How the pixels are written; LABELMAP only where no segments overlap.
    probabilities
        The one layer holds probabilities from 0 to 255 instead of labels, and the encoding is FRACTIONAL.

    Returns
    -------
    Segmentation
        The same bytes for the same arguments.
    """
    segments = _segments(layers)
    used = sorted(set().union(*(layer.planes.keys() for layer in layers)))
    stack = stack_of(source, template, used)
    passed = _pass_over(layers, segments, stack, _packer(layers, encoding, len(segments), probabilities=probabilities))
    identity = _identity(source, template, layers, recipe, passed, Encoding.BINARY if probabilities else encoding)
    made = template_of(
        source, template, segments, stack, recipe, identity, encoding=encoding, probabilities=probabilities
    )
    data, frames = made.data, passed.packer.frames()
    data.NumberOfFrames = len(frames)
    if overlapping(layers):
        data.SegmentsOverlap = "YES"
    finish(data, template, moment=recipe.moment, identity=identity)
    name_masks(data, recipe.mask_series_uids)
    planes = [
        PlaneOfFrames(plane=source.volume.planes[stack.planes[i]], position=stack.positions[i]) for i in passed.places
    ]
    ready = {**_references(source, used, recipe), PER_FRAME_GROUPS: made.groups.encode(planes, frames)}
    return Segmentation(
        content=saved(data, ready, passed.packer.parts(), passed.packer.length(), made.pixel_vr),
        sop_instance_uid=Uid(str(data.SOPInstanceUID)),
        series_instance_uid=Uid(str(data.SeriesInstanceUID)),
        segments=_reports(source, template, passed, segments),
    )


def warm_up() -> None:
    """Make a process that lives on ready to work at once.

    highdicom reads its tables of the standard at first use, which takes half a second; they are a million objects that
    stay, and no garbage collection has to look at them again. pydicom warns of values that break a rule and are read
    all the same: nobody reads the warnings of a service, and the rules are regular expressions. What cannot be read
    raises as before.
    """
    config.settings.reading_validation_mode = config.IGNORE
    geometry = PlaneGeometry(
        position=(0.0, 0.0, 0.0),
        row_cosines=(1.0, 0.0, 0.0),
        column_cosines=(0.0, 1.0, 0.0),
        pixel_spacing=(1.0, 1.0),
        rows=4,
        columns=4,
    )
    plane = Plane(geometry=geometry, sop_class_uid=Uid(CTImageStorage), sop_instance_uid=Uid("2.25.1"), index=0)
    volume = VolumeGeometry(planes=(plane,), normal=(0.0, 0.0, 1.0), distances=(0.0,), spacing=None)
    series = Series(key=ArchiveKey(""), series_instance_uid=Uid("2.25.2"), study_instance_uid=Uid("2.25.3"))
    template = Dataset()
    template.StudyInstanceUID = series.study_instance_uid
    spec = SegmentSpec(label="warm-up", category=TISSUE, property_type=TISSUE)
    layer = LabelVolume(planes={0: np.eye(4, dtype=np.uint8)}, specs={1: spec})
    recipe = Recipe(
        mask_series_uids=(),
        series_number=1,
        series_description="warm-up",
        content_creator_name="mask2seg^",
        moment=datetime(1970, 1, 1, tzinfo=UTC),
    )
    encode(ImageSeries(series=series, headers=(template,), volume=volume), template, (layer,), recipe)
    gc.freeze()


def _segments(layers: Sequence[LabelVolume]) -> tuple[NumberedSegment, ...]:
    found = ((i, label, spec) for i, layer in enumerate(layers) for label, spec in layer.specs.items())
    return tuple(NumberedSegment(number, *parts) for number, parts in enumerate(found, start=1))


def _packer(layers: Sequence[LabelVolume], encoding: Encoding, segments: int, *, probabilities: bool) -> Packer:
    rows, columns = next(plane.shape for layer in layers for plane in layer.planes.values())
    if encoding is Encoding.BINARY:
        return Bits((rows, columns))
    if encoding is Encoding.LABELMAP:
        return Labels((rows, columns), segments)
    return Bytes((rows, columns), None if probabilities else MAXIMUM_FRACTIONAL_VALUE)


def _pass_over(
    layers: Sequence[LabelVolume], segments: Sequence[NumberedSegment], stack: Stack, packer: Packer
) -> _Pass:
    passed, digest = _Pass(packer), hashlib.sha256()
    numbers = [_number_of_label(index, segments) for index in range(len(layers))]
    for place, index in enumerate(stack.planes):
        marked = False
        for number, layer in enumerate(layers):
            plane = layer.planes.get(index)
            if plane is None:
                continue
            runs = runs_of(plane)
            digest.update(f"{number} {index}\n".encode())
            digest.update(runs.digested())
            regions = _values(plane) if isinstance(packer, Bytes) and packer.as_is else runs.regions()
            if regions:
                packer.add(len(passed.places), plane, regions, numbers[number])
                _count(passed, index, regions, numbers[number])
                marked = True
        if marked:
            passed.places.append(place)
    passed.digest = digest.hexdigest()
    return passed


def _number_of_label(layer: int, segments: Sequence[NumberedSegment]) -> Numbers:
    own = {s.label: s.number for s in segments if s.layer == layer}
    table = np.zeros(max(own, default=0) + 1, np.uint16)
    for label, number in own.items():
        table[label] = number
    return table


def _values(plane: LabelArray) -> list[Region]:
    """A plane of probabilities as one region, with the voxels that are more probable than not."""
    if not plane.any():
        return []
    half = (MAXIMUM_FRACTIONAL_VALUE + 1) // 2
    return [Region(label=1, pixels=int(np.count_nonzero(plane >= half)), first_row=0, last_row=len(plane) - 1)]


def _count(passed: _Pass, plane: int, regions: Sequence[Region], numbers: Numbers) -> None:
    for region in regions:
        number = int(numbers[region.label])
        if not number:
            raise ValueError(f"no segment is described for label {region.label}")
        passed.voxels.setdefault(number, {})[plane] = region.pixels


def _identity(
    source: ImageSeries,
    template: Dataset,
    layers: Sequence[LabelVolume],
    recipe: Recipe,
    passed: _Pass,
    encoding: Encoding,
) -> str:
    """Digest of all that makes this object what it is, hexadecimal."""
    digest = hashlib.sha256()
    if encoding is not Encoding.BINARY:
        digest.update(f"{encoding}\n".encode())
    for text in (*recipe.mask_series_uids, source.series.series_instance_uid, recipe, *fingerprint(template)):
        digest.update(f"{text}\n".encode())
    for plane in source.volume.planes:
        digest.update(f"{plane.sop_instance_uid} {plane.frame_number} {plane.geometry}\n".encode())
    for layer in layers:
        digest.update(repr(list(layer.specs.items())).encode())
    digest.update(passed.digest.encode())
    return digest.hexdigest()


def _references(source: ImageSeries, used: Sequence[int], recipe: Recipe) -> dict[int, bytes]:
    """References to instances, encoded."""
    planes = source.volume.planes
    every = [(plane.sop_class_uid, plane.sop_instance_uid) for plane in planes]
    known = frozenset(plane.sop_instance_uid for plane in planes)
    masks = recipe.mask_instances if recipe.mask_series_uids else ()
    return {
        REFERENCED_SERIES: referenced_series(source.series.series_instance_uid, every),
        SOURCE_IMAGE: source_images([every[i] for i in used], masks, known),
    }


def _reports(
    source: ImageSeries, template: Dataset, passed: _Pass, segments: Sequence[NumberedSegment]
) -> tuple[SegmentReport, ...]:
    heights = plane_heights(source.volume, positive_number(template.get("SliceThickness")))
    area = float(np.prod(source.volume.planes[0].geometry.pixel_spacing))
    reports = []
    for segment in segments:
        voxels = passed.voxels.get(segment.number, {})
        volume = sum(count * area * heights[plane] for plane, count in sorted(voxels.items()) if count)
        reports.append(
            SegmentReport(
                number=segment.number,
                label=segment.spec.label,
                voxels=sum(voxels.values()),
                volume_mm3=round(volume, 3) if np.isfinite(volume) else None,
                type_code=f"{segment.spec.property_type.scheme_designator}:{segment.spec.property_type.value}",
            )
        )
    return tuple(reports)
