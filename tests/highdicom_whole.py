"""The same segmentation by highdicom alone: every frame, group and pixel its own, and then what we write over."""

from __future__ import annotations

import io
from collections.abc import Sequence

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.encode import Recipe
from orthanc_mask2seg.core.viewers import Encoding
from orthanc_mask2seg.model import LabelVolume, SegmentSpec


def whole(
    image: Sequence[Dataset],
    layers: Sequence[LabelVolume],
    recipe: Recipe,
    encoding: Encoding,
    like: Dataset,
    *,
    probabilities: bool = False,
) -> bytes:
    """The file that highdicom makes of the slices of a source, ascending; UIDs are those of `like`."""
    used = sorted(set().union(*(layer.planes.keys() for layer in layers)))
    specs = [spec for layer in layers for spec in layer.specs.values()]
    moment = recipe.moment
    data = Segmentation(
        source_images=[image[i] for i in used],
        pixel_array=_pixels(layers, used, probabilities=probabilities),
        segmentation_type=encoding.value,
        fractional_type="PROBABILITY" if probabilities else "OCCUPANCY",
        max_fractional_value=255,
        segment_descriptions=[_described(n, spec) for n, spec in enumerate(specs, start=1)],
        series_instance_uid=like.SeriesInstanceUID,
        series_number=recipe.series_number,
        sop_instance_uid=like.SOPInstanceUID,
        instance_number=1,
        manufacturer="orthanc_mask2seg",
        manufacturer_model_name="mask2seg",
        software_versions=__version__,
        device_serial_number="mask2seg",
        series_description=recipe.series_description,
        content_label="SEGMENTATION",
        content_description=recipe.remark or recipe.series_description,
        content_creator_name=recipe.content_creator_name,
        content_date=moment.date(),
        content_time=moment.time(),
        series_date=moment.date(),
        series_time=moment.time(),
    )
    _write_over(data, image, used, recipe, like)
    if encoding is Encoding.LABELMAP:  # without the background
        data.SegmentSequence = list(data.SegmentSequence)[1:]
    target = io.BytesIO()
    data.save_as(target, enforce_file_format=True)
    return target.getvalue()


def _pixels(layers: Sequence[LabelVolume], used: Sequence[int], *, probabilities: bool) -> np.ndarray:
    shape = next(plane.shape for layer in layers for plane in layer.planes.values())
    empty = np.zeros(shape, np.uint16)
    if probabilities:
        return np.stack([layers[0].planes.get(i, empty) for i in used]) / 255
    stacked = np.stack(
        [np.stack([layer.planes.get(i, empty) == label for i in used]) for layer in layers for label in layer.specs],
        axis=-1,
    )
    if (stacked.sum(axis=-1) > 1).any():
        return stacked.astype(np.uint8)
    return (stacked * np.arange(1, stacked.shape[-1] + 1)).sum(axis=-1).astype(np.uint16)


def _described(number: int, spec: SegmentSpec) -> SegmentDescription:
    def concept(code: object) -> hd.sr.CodedConcept:
        return hd.sr.CodedConcept(code.value, code.scheme_designator, code.meaning)  # type: ignore[attr-defined]

    return SegmentDescription(
        segment_number=number,
        segment_label=spec.label,
        segmented_property_category=concept(spec.category),
        segmented_property_type=concept(spec.property_type),
        algorithm_type="MANUAL",
        tracking_id=spec.label,
        tracking_uid=spec.tracking_uid,
        display_color=hd.color.CIELabColor(*spec.recommended_display_cielab),
    )


def _write_over(data: Dataset, image: Sequence[Dataset], used: Sequence[int], recipe: Recipe, like: Dataset) -> None:
    data.SpecificCharacterSet = image[0].get("SpecificCharacterSet")
    if not data.SpecificCharacterSet:
        del data.SpecificCharacterSet
    date, time = f"{recipe.moment:%Y%m%d}", f"{recipe.moment:%H%M%S}"
    data.InstanceCreationDate, data.InstanceCreationTime = date, time
    organization = like.DimensionOrganizationSequence[0].DimensionOrganizationUID
    for item in (*data.DimensionOrganizationSequence, *data.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    data.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [_reference(one) for one in image]
    data.SourceImageSequence = [
        *(_reference(image[i], codes.DCM.SourceImageForImageProcessingOperation) for i in used),
        *(_reference_to(*one, codes.DCM.MaskImageForImageProcessingOperation) for one in recipe.mask_instances),
    ]
    for equipment in data.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = date + time
    item = Dataset()
    item.Manufacturer = item.ManufacturerModelName = "orthanc_mask2seg"
    item.SoftwareVersions, item.ContributionDateTime = __version__, date + time
    item.ContributionDescription = f"Converted from mask series {', '.join(recipe.mask_series_uids)}"
    item.PurposeOfReferenceCodeSequence = [_coded(codes.DCM.ProcessingEquipment)]
    data.ContributingEquipmentSequence = [*(data.get("ContributingEquipmentSequence") or ()), item]
    bits = int(data.NumberOfFrames) * data.Rows * data.Columns * data.BitsAllocated
    data.PixelData = data.PixelData[: -(-bits // 8)] + b"\0" * (-(-bits // 8) % 2)  # highdicom pads with "0"


def _reference(image: Dataset, purpose: object = None) -> Dataset:
    return _reference_to(image.SOPClassUID, image.SOPInstanceUID, purpose)


def _reference_to(sop_class: str, sop_instance: str, purpose: object) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    if purpose is not None:
        item.PurposeOfReferenceCodeSequence = [_coded(purpose)]
    return item


def _coded(code: object) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator  # type: ignore[attr-defined]
    item.CodeMeaning = code.meaning  # type: ignore[attr-defined]
    return item


def differences(ours: bytes, theirs: bytes) -> list[str]:
    """Attributes in which two files differ, with their paths."""
    found: list[str] = []
    _compare(dcmread(io.BytesIO(ours)), dcmread(io.BytesIO(theirs)), "", found)
    return found


def _compare(one: Dataset, other: Dataset, path: str, found: list[str]) -> None:
    for tag in sorted({*one.keys(), *other.keys()}):
        if tag not in one or tag not in other:
            found.append(
                f"{path}{(one if tag in one else other)[tag].keyword}: only in {'ours' if tag in one else 'theirs'}"
            )
            continue
        a, b = one[tag], other[tag]
        if a.VR == "SQ" and b.VR == "SQ" and len(a.value) == len(b.value):
            for index, (left, right) in enumerate(zip(a.value, b.value, strict=True)):
                _compare(left, right, f"{path}{a.keyword}[{index}].", found)
        elif (a.VR, a.value) != (b.VR, b.value):
            found.append(f"{path}{a.keyword}: {str(a)[:150]} | {str(b)[:150]}")
