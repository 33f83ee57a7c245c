"""How DICOM writes it: labels on the source's grid become a Segmentation object (PS3.3 A.51).

highdicom decides what the object contains. It is given plain copies of the source's slices, and what it takes from the
clock and from the dice (dates, DimensionOrganizationUID) is written over, so that the same input gives the same bytes.
Patient and study are then copied from the source to the letter.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as HighdicomSegmentation
from highdicom.sr import CodedConcept as HighdicomConcept
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.geometry import plane_heights
from orthanc_mask2seg.core.inherited import fingerprint, inherit
from orthanc_mask2seg.model import (
    CodedConcept,
    ImageSeries,
    LabelVolume,
    Plane,
    Segmentation,
    SegmentReport,
    SegmentSpec,
    Uid,
)

SCHEME = "mask2seg/1"
"""Part of every derived UID; changes only when old and new output must not be taken for the same."""

MANUFACTURER = "orthanc_mask2seg"

@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the object says of itself.

    Attributes
    ----------
    mask_series_uids
        The mask series that it was made from: part of its identity.
    moment
        ContentDate and ContentTime; taken from the mask, not from the clock.
    """

    mask_series_uids: tuple[Uid, ...]
    series_number: int
    series_description: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class _Segment:
    number: int
    layer: int
    label: int
    spec: SegmentSpec


def derived_uid(*parts: object) -> Uid:
    """UID that depends on nothing but its parts, under the root 2.25 (PS3.5 section B.2)."""
    digest = hashlib.sha256("\n".join(str(p) for p in (SCHEME, *parts)).encode()).digest()
    value = bytearray(digest[:16])
    value[6] = (value[6] & 0x0F) | 0x80  # a UUID of version 8, as RFC 9562 has it for derived ones
    value[8] = (value[8] & 0x3F) | 0x80
    return Uid(f"2.25.{int.from_bytes(value, 'big')}")


def encode(source: ImageSeries, template: Dataset, layers: Sequence[LabelVolume], recipe: Recipe) -> Segmentation:
    """Encode labels as one BINARY Segmentation, Explicit VR Little Endian.

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

    Returns
    -------
    Segmentation
        The same bytes for the same arguments.
    """
    segments = _segments(layers)
    used = sorted(set().union(*(layer.planes.keys() for layer in layers)))
    identity = _identity(source, template, layers, recipe)
    data = _with_highdicom(source, template, segments, used, _pixels(layers, segments, used), recipe, identity)
    _settle(data, source, template, recipe, identity)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return Segmentation(
        content=buffer.getvalue(),
        sop_instance_uid=Uid(str(data.SOPInstanceUID)),
        series_instance_uid=Uid(str(data.SeriesInstanceUID)),
        segments=_reports(source, template, layers, segments),
    )


def _segments(layers: Sequence[LabelVolume]) -> tuple[_Segment, ...]:
    found = ((i, label, spec) for i, layer in enumerate(layers) for label, spec in layer.specs.items())
    return tuple(_Segment(number, *parts) for number, parts in enumerate(found, start=1))


def _identity(source: ImageSeries, template: Dataset, layers: Sequence[LabelVolume], recipe: Recipe) -> str:
    """Digest of all that makes this object what it is, hexadecimal."""
    digest = hashlib.sha256()
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
    pixels: npt.NDArray[np.unsignedinteger],
    recipe: Recipe,
    identity: str,
) -> HighdicomSegmentation:
    images = [_plain_image(source, template, source.volume.planes[i]) for i in used]
    return HighdicomSegmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues.BINARY,
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
        content_description=recipe.series_description,
        content_creator_name="mask2seg^",
        content_date=recipe.moment.date(),
        content_time=recipe.moment.time(),
        series_date=recipe.moment.date(),
        series_time=recipe.moment.time(),
        specific_character_set="ISO_IR 192",
        omit_empty_frames=True,
        workers=0,
        plane_positions=[hd.PlanePositionSequence("PATIENT", i.ImagePositionPatient) for i in images],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", images[0].ImageOrientationPatient),
        pixel_measures=_pixel_measures(source, template),
    )


def _plain_image(source: ImageSeries, template: Dataset, plane: Plane) -> Dataset:
    """What highdicom needs to know of one slice, and nothing that it could stumble over."""
    header, image = source.header(plane), Dataset()
    image.SOPClassUID = plane.sop_class_uid
    image.SOPInstanceUID = plane.sop_instance_uid
    image.StudyInstanceUID = str(template.StudyInstanceUID)
    image.SeriesInstanceUID = source.series.series_instance_uid
    image.FrameOfReferenceUID = _frame_of_reference_uid(source, template)
    image.Modality = str(template.get("Modality") or "OT")
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                    "StudyDate", "StudyTime"):  # fmt: skip
        setattr(image, keyword, "")
    image.Rows, image.Columns = plane.geometry.rows, plane.geometry.columns
    geometry = plane.geometry
    image.ImagePositionPatient = _exact(header, "ImagePositionPatient", geometry.position)
    image.ImageOrientationPatient = _exact(
        header, "ImageOrientationPatient", (*geometry.row_cosines, *geometry.column_cosines)
    )
    image.PixelSpacing = _exact(header, "PixelSpacing", geometry.pixel_spacing)
    image.SliceThickness = _slice_thickness(source, template)
    if "LossyImageCompression" in template:
        image.LossyImageCompression = template.LossyImageCompression
    return image


def _exact(header: Dataset, keyword: str, computed: Sequence[float]) -> list[str]:
    """Decimal strings of the source itself where it has them: viewers compare them as they are."""
    if keyword in header and len(header[keyword].value or ()) == len(computed):
        texts = [str(getattr(v, "original_string", v)).strip() for v in header[keyword].value]
        if all(len(t) <= 16 for t in texts):
            return texts
    return [decimal_string(v) for v in computed]


def decimal_string(value: float) -> str:
    """DS of at most 16 characters that is nearest to a number (PS3.5 section 6.2)."""
    text = repr(float(value))
    for digits in range(16, 0, -1):
        if len(text) <= 16:
            break
        text = f"{value:.{digits}g}"
    return text


def _frame_of_reference_uid(source: ImageSeries, template: Dataset) -> str:
    return str(template.get("FrameOfReferenceUID") or derived_uid("frame", source.series.series_instance_uid))


def _pixel_measures(source: ImageSeries, template: Dataset) -> hd.PixelMeasuresSequence:
    first = source.volume.planes[0]
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(v) for v in _exact(source.header(first), "PixelSpacing", first.geometry.pixel_spacing)],
        slice_thickness=float(_slice_thickness(source, template)),
        spacing_between_slices=(
            float(decimal_string(source.volume.spacing)) if source.volume.spacing is not None else None
        ),
    )


def _slice_thickness(source: ImageSeries, template: Dataset) -> str:
    """SliceThickness of the source; else the distance between its planes; else, for a lone plane, 1."""
    thickness = _number(template.get("SliceThickness"))
    if thickness:
        return decimal_string(thickness)
    heights = [h for h in plane_heights(source.volume, None) if math.isfinite(h)]
    return decimal_string(min(heights, default=1.0))


def _number(value: object) -> float | None:
    """A positive finite number, or None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


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
        display_color=hd.color.CIELabColor(*spec.recommended_display_cielab),
    )
    if spec.property_type_modifiers:
        modifiers = [_concept(m) for m in spec.property_type_modifiers]
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifiers
    if spec.algorithm_type != SegmentAlgorithmTypeValues.MANUAL.value:
        item.SegmentAlgorithmType = spec.algorithm_type
        item.SegmentAlgorithmName = spec.algorithm_name
    return item


def _settle(
    data: Dataset,
    source: ImageSeries,
    template: Dataset,
    recipe: Recipe,
    identity: str,
) -> None:
    """Write over what highdicom took from the clock, the dice and the plain images."""
    frame_of_reference_uid = data.FrameOfReferenceUID
    inherit(data, template)
    data.FrameOfReferenceUID = frame_of_reference_uid
    _settle_character_set(data)
    data.InstanceCreationDate = recipe.moment.strftime("%Y%m%d")
    data.InstanceCreationTime = recipe.moment.strftime("%H%M%S")
    organization = derived_uid("dimensions", identity)
    data.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for item in data.DimensionIndexSequence:
        item.DimensionOrganizationUID = organization
    for equipment in data.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = recipe.moment.strftime("%Y%m%d%H%M%S")
    _refer_to_all(data, source)
    _clear_padding(data)


def _clear_padding(data: Dataset) -> None:
    """End the pixel data with zero bits (PS3.5 section 8.2): highdicom 0.28.2 pads with the character "0" (0x30)."""
    bits = int(data.NumberOfFrames) * int(data.Rows) * int(data.Columns)
    used = -(-bits // 8)
    data.PixelData = data.PixelData[:used] + b"\0" * (used % 2)


def _settle_character_set(data: Dataset) -> None:
    """Our own text may need more than the source's character set: then, and only then, UTF-8."""
    own = [s.SegmentLabel for s in data.SegmentSequence] + [data.SeriesDescription]
    if all(str(text).isascii() for text in own):
        return
    data.SpecificCharacterSet = "ISO_IR 192"


def _refer_to_all(data: Dataset, source: ImageSeries) -> None:
    """Name every instance of the source, not only those with a frame: viewers look the series up by them."""
    items = []
    seen = set()
    for plane in source.volume.planes:
        if plane.sop_instance_uid in seen:
            continue
        seen.add(plane.sop_instance_uid)
        item = Dataset()
        item.ReferencedSOPClassUID = plane.sop_class_uid
        item.ReferencedSOPInstanceUID = plane.sop_instance_uid
        items.append(item)
    data.ReferencedSeriesSequence[0].ReferencedInstanceSequence = DicomSequence(items)


def _reports(
    source: ImageSeries, template: Dataset, layers: Sequence[LabelVolume], segments: Sequence[_Segment]
) -> tuple[SegmentReport, ...]:
    heights = plane_heights(source.volume, _number(template.get("SliceThickness")))
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
