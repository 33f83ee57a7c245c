"""How DICOM writes it: labels on the source's grid become a Segmentation object (PS3.3 A.51).

highdicom decides what the object contains. It is given plain copies of the source's slices; what it takes from the
clock and from the dice is written over afterwards (see `finish`), so that the same input gives the same bytes. Patient
and study are then copied from the source to the letter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.seg import Segmentation as HighdicomSegmentation
from highdicom.sr import CodedConcept as HighdicomConcept
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.finish import finish, saved
from orthanc_mask2seg.core.geometry import plane_heights
from orthanc_mask2seg.core.inherited import fingerprint
from orthanc_mask2seg.core.origin import name_masks
from orthanc_mask2seg.core.segments import TISSUE
from orthanc_mask2seg.core.source_images import derived_uid, pixel_measures, plain_image, positive_number
from orthanc_mask2seg.core.viewers import Encoding
from orthanc_mask2seg.model import (
    ArchiveKey,
    CodedConcept,
    ImageSeries,
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

MANUFACTURER = "orthanc_mask2seg"

MAXIMUM_FRACTIONAL_VALUE = 255
"""Stored value of a FRACTIONAL segmentation that means certain (PS3.3 C.8.20.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the object says of itself.

    Attributes
    ----------
    mask_series_uids
        The mask series that it was made from: part of its identity.
    mask_instances
        SOPClassUID and SOPInstanceUID of each of their instances, named as what it was made from.
    moment
        ContentDate and ContentTime; taken from the mask, not from the clock.
    """

    mask_series_uids: tuple[Uid, ...]
    series_number: int
    series_description: str
    content_creator_name: str
    moment: datetime
    remark: str = ""
    mask_instances: tuple[tuple[Uid, Uid], ...] = ()


@dataclass(frozen=True, slots=True)
class _Segment:
    number: int
    layer: int
    label: int
    spec: SegmentSpec


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
    identity = _identity(source, template, layers, recipe, Encoding.BINARY if probabilities else encoding)
    pixels: npt.NDArray[Any]
    if probabilities:
        pixels = np.stack([layers[0].planes[i] for i in used]) / MAXIMUM_FRACTIONAL_VALUE
    else:
        pixels = _pixels(layers, segments, used)
    kind = SegmentationFractionalTypeValues.PROBABILITY if probabilities else SegmentationFractionalTypeValues.OCCUPANCY
    data = _with_highdicom(source, template, segments, used, pixels, (encoding, kind), recipe, identity)
    _settle_segments(data, segments)
    finish(data, source, template, moment=recipe.moment, identity=identity, used=used)
    name_masks(data, recipe.mask_series_uids, recipe.mask_instances)
    return Segmentation(
        content=saved(data),
        sop_instance_uid=Uid(str(data.SOPInstanceUID)),
        series_instance_uid=Uid(str(data.SeriesInstanceUID)),
        segments=_reports(source, template, _halves(layers) if probabilities else layers, segments),
    )


def warm_up() -> None:
    """Encode next to nothing: highdicom reads its tables of the standard at first use, which takes half a second."""
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


def _segments(layers: Sequence[LabelVolume]) -> tuple[_Segment, ...]:
    found = ((i, label, spec) for i, layer in enumerate(layers) for label, spec in layer.specs.items())
    return tuple(_Segment(number, *parts) for number, parts in enumerate(found, start=1))


def _identity(
    source: ImageSeries, template: Dataset, layers: Sequence[LabelVolume], recipe: Recipe, encoding: Encoding
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
        for index in sorted(layer.planes):
            digest.update(str(index).encode())
            digest.update(layer.planes[index].astype("<u2").tobytes())
    return digest.hexdigest()


def _pixels(
    layers: Sequence[LabelVolume], segments: Sequence[_Segment], used: Sequence[int]
) -> npt.NDArray[np.unsignedinteger]:
    """Segment numbers, shape (planes, rows, columns); or, where segments overlap, (planes, rows, columns, segments)."""
    shape = next(iter(layers[0].planes.values())).shape if layers[0].planes else _any_shape(layers)
    numbers = np.zeros((len(used), *shape), np.uint16)
    for index, layer in enumerate(layers):
        table = _number_of_label(index, segments)
        for place, plane in enumerate(used):
            labels = layer.planes.get(plane)
            if labels is None:
                continue
            here = table[labels]
            if (numbers[place].astype(bool) & here.astype(bool)).any():
                return _stacked(layers, segments, used, shape)
            numbers[place] += here
    return numbers


def _any_shape(layers: Sequence[LabelVolume]) -> tuple[int, ...]:
    return next(plane.shape for layer in layers for plane in layer.planes.values())


def _number_of_label(layer: int, segments: Sequence[_Segment]) -> npt.NDArray[np.uint16]:
    own = {s.label: s.number for s in segments if s.layer == layer}
    table = np.zeros(max(own, default=0) + 1, np.uint16)
    for label, number in own.items():
        table[label] = number
    return table


def _stacked(
    layers: Sequence[LabelVolume], segments: Sequence[_Segment], used: Sequence[int], shape: tuple[int, ...]
) -> npt.NDArray[np.unsignedinteger]:
    result = np.zeros((len(used), *shape, len(segments)), np.uint8)
    for segment in segments:
        for place, plane in enumerate(used):
            labels = layers[segment.layer].planes.get(plane)
            if labels is not None:
                result[place, ..., segment.number - 1] = labels == segment.label
    return result


def _with_highdicom(
    source: ImageSeries,
    template: Dataset,
    segments: Sequence[_Segment],
    used: Sequence[int],
    pixels: npt.NDArray[Any],
    kind: tuple[Encoding, SegmentationFractionalTypeValues],
    recipe: Recipe,
    identity: str,
) -> HighdicomSegmentation:
    images = [plain_image(source, template, source.volume.planes[i]) for i in used]
    return HighdicomSegmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues(kind[0].value),
        fractional_type=kind[1],
        max_fractional_value=MAXIMUM_FRACTIONAL_VALUE,
        segment_descriptions=[_description(s, identity) for s in segments],
        series_instance_uid=derived_uid("series", identity),
        series_number=recipe.series_number,
        sop_instance_uid=derived_uid("instance", identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="mask2seg",
        software_versions=__version__,
        device_serial_number="mask2seg",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=recipe.series_description,
        content_label="SEGMENTATION",
        content_description=recipe.remark or recipe.series_description,
        content_creator_name=recipe.content_creator_name,
        content_date=recipe.moment.date(),
        content_time=recipe.moment.time(),
        series_date=recipe.moment.date(),
        series_time=recipe.moment.time(),
        specific_character_set="ISO_IR 192",
        omit_empty_frames=True,
        workers=0,
        plane_positions=[hd.PlanePositionSequence("PATIENT", i.ImagePositionPatient) for i in images],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", images[0].ImageOrientationPatient),
        pixel_measures=pixel_measures(source, template),
    )


def _concept(concept: CodedConcept) -> HighdicomConcept:
    return HighdicomConcept(concept.value, concept.scheme_designator, concept.meaning)


def _description(segment: _Segment, identity: str) -> SegmentDescription:
    spec = segment.spec
    item = SegmentDescription(
        segment_number=segment.number,
        segment_label=spec.label,
        segmented_property_category=_concept(spec.category),
        segmented_property_type=_concept(spec.property_type),
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
        tracking_id=spec.tracking_id or spec.label,
        tracking_uid=spec.tracking_uid or derived_uid("tracking", identity, segment.number),
        anatomic_regions=[_concept(r) for r in spec.anatomic_regions] or None,
        display_color=hd.color.CIELabColor(*spec.recommended_display_cielab),
    )
    if spec.property_type_modifiers:
        modifiers = [_concept(m) for m in spec.property_type_modifiers]
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifiers
    return item


def _settle_segments(data: Dataset, segments: Sequence[_Segment]) -> None:
    """Say what drew each segment, and leave out the background that highdicom describes in a label map.

    Pixel Padding Value says already which value is background (PS3.3 C.8.20.2). OHIF up to 3.13 gives the colour of a
    background described first to segment 1, that of segment 1 to segment 2 and so on; 3D Slicer did so with names.
    """
    data.SegmentSequence = DicomSequence([item for item in data.SegmentSequence if item.SegmentNumber])
    for item, segment in zip(data.SegmentSequence, segments, strict=True):
        if segment.spec.algorithm_type != SegmentAlgorithmTypeValues.MANUAL.value:
            item.SegmentAlgorithmType = segment.spec.algorithm_type
            item.SegmentAlgorithmName = segment.spec.algorithm_name


def _halves(layers: Sequence[LabelVolume]) -> list[LabelVolume]:
    """Labels of what is more probable than not."""
    half = (MAXIMUM_FRACTIONAL_VALUE + 1) // 2
    return [
        LabelVolume(planes={i: (p >= half).astype(np.uint8) for i, p in layer.planes.items()}, specs=layer.specs)
        for layer in layers
    ]


def _reports(
    source: ImageSeries, template: Dataset, layers: Sequence[LabelVolume], segments: Sequence[_Segment]
) -> tuple[SegmentReport, ...]:
    heights = plane_heights(source.volume, positive_number(template.get("SliceThickness")))
    area = float(np.prod(source.volume.planes[0].geometry.pixel_spacing))
    reports = []
    for segment in segments:
        voxels, volume = 0, 0.0
        for plane, labels in layers[segment.layer].planes.items():
            here = int(np.count_nonzero(labels == segment.label))
            voxels += here
            volume += here * area * heights[plane] if here else 0.0
        reports.append(
            SegmentReport(
                number=segment.number,
                label=segment.spec.label,
                voxels=voxels,
                volume_mm3=round(volume, 3) if np.isfinite(volume) else None,
                type_code=f"{segment.spec.property_type.scheme_designator}:{segment.spec.property_type.value}",
            )
        )
    return tuple(reports)
