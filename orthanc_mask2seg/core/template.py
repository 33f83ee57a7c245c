"""What highdicom decides: it writes the object for one plane, and everything but frames and pixels is taken from that.

It does so once for each kind of object; what one object has of its source and of its own is filled in.

What depends on all planes (their order, the distance between them, whether they make a volume) is asked of highdicom's
own functions. It is given plain copies of the source's slices (see `source_images`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import highdicom as hd
import numpy as np
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.seg import Segmentation as HighdicomSegmentation
from highdicom.spatial import VOLUME_INDEX_CONVENTION, get_normal_vector, get_volume_positions
from highdicom.sr import CodedConcept as HighdicomConcept
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import correct_ambiguous_vr_element
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM, format_number_as_ds

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.frame_groups import FrameGroups
from orthanc_mask2seg.core.origin import MANUFACTURER
from orthanc_mask2seg.core.segments import TISSUE
from orthanc_mask2seg.core.source_images import derived_uid, exact_position, pixel_measures, plain_image
from orthanc_mask2seg.core.viewers import Encoding
from orthanc_mask2seg.model import CodedConcept, ImageSeries, SegmentSpec, Uid

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
class NumberedSegment:
    """A segment of the object, and the label that stands for it in its layer."""

    number: int
    layer: int
    label: int
    spec: SegmentSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Planes that have frames, as highdicom orders them.

    Attributes
    ----------
    planes
        Places in the volume of the source.
    positions
        ImagePositionPatient of each as it is written.
    spacing
        SpacingBetweenSlices, mm; None where it is not the same for all.
    volume
        The planes in their own order lie at equal distances.
    """

    planes: Sequence[int]
    positions: Sequence[Sequence[str]]
    spacing: float | None
    volume: bool


def stack_of(source: ImageSeries, template: Dataset, planes: Sequence[int]) -> Stack:
    """Order planes of the source.

    Parameters
    ----------
    planes
        Places in the volume of the source, ascending.
    """
    texts = [exact_position(source, source.volume.planes[i]) for i in planes]
    positions = np.array(texts, float)
    orientation = [
        float(v) for v in plain_image(source, template, source.volume.planes[planes[0]]).ImageOrientationPatient
    ]
    normal = get_normal_vector(orientation, index_convention=VOLUME_INDEX_CONVENTION)
    order = np.argsort(positions @ normal, kind="stable")
    spacing, _ = get_volume_positions(positions.tolist(), orientation)
    in_order, _ = get_volume_positions(positions.tolist(), orientation, sort=False)
    return Stack(
        planes=[planes[i] for i in order],
        positions=[texts[i] for i in order],
        spacing=spacing,
        volume=len(planes) > 1 and bool(in_order and in_order > 0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An object that lacks its frames.

    Attributes
    ----------
    data
        All of it but functional groups of frames and pixels.
    pixel_vr
        VR of its PixelData.
    """

    data: Dataset
    groups: FrameGroups
    pixel_vr: str


def template_of(
    source: ImageSeries,
    header: Dataset,
    segments: Sequence[NumberedSegment],
    stack: Stack,
    recipe: Recipe,
    identity: str,
    *,
    encoding: Encoding,
    probabilities: bool = False,
) -> Template:
    """Let highdicom write the object.

    Parameters
    ----------
    header
        Full header of one instance of the source.
    identity
        Digest of all that the object is made from.
    """
    kind = SegmentationFractionalTypeValues.PROBABILITY if probabilities else SegmentationFractionalTypeValues.OCCUPANCY
    image = plain_image(source, header, source.volume.planes[stack.planes[0]])
    lossy = image.get("LossyImageCompression")
    prototype = prototype_of(encoding, kind, len(segments), None if lossy is None else str(lossy))
    data = _copy(prototype.data)
    _fill(data, image, recipe, identity, pixel_measures(source, header))
    data.SegmentSequence = DicomSequence([_description(s, identity) for s in segments])
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.pop("SpacingBetweenSlices", None)
    if stack.spacing is not None:
        measures.SpacingBetweenSlices = format_number_as_ds(stack.spacing)
    if stack.volume and (encoding is Encoding.LABELMAP or len(segments) == 1):
        data.DimensionOrganizationType = "3D"
    _settle_segments(data, segments)
    return Template(data=data, groups=prototype.groups, pixel_vr=prototype.pixel_vr)


@lru_cache(maxsize=32)
def prototype_of(
    encoding: Encoding, kind: SegmentationFractionalTypeValues, segments: int, lossy: str | None
) -> Template:
    """What highdicom writes for any source and any segments of that number; what is theirs is filled in later.

    Tests compare whole files with those that highdicom writes of the source itself, byte for byte.
    """
    image = _any_image(lossy)
    spec = SegmentSpec(label="any", category=TISSUE, property_type=TISSUE)
    data = with_highdicom(
        image,
        (encoding, kind),
        [NumberedSegment(number, 0, number, spec) for number in range(1, segments + 1)],
    )
    groups = FrameGroups(data.PerFrameFunctionalGroupsSequence[0])
    pixel_vr = str(correct_ambiguous_vr_element(data["PixelData"], data, is_little_endian=True).VR)
    del data.PerFrameFunctionalGroupsSequence, data.PixelData, data.SegmentSequence
    return Template(data=data, groups=groups, pixel_vr=pixel_vr)


def _any_image(lossy: str | None) -> Dataset:
    """A slice of nobody, of a few pixels: highdicom looks at each, for every segment."""
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.1", "2.25.2", "2.25.3"
    image.FrameOfReferenceUID, image.Modality = "2.25.4", "CT"
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                    "StudyDate", "StudyTime"):  # fmt: skip
        setattr(image, keyword, "")
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.Rows, image.Columns = 1, 8
    if lossy is not None:
        image.LossyImageCompression = lossy
    return image


_NESTED = frozenset({"DimensionOrganizationSequence", "DimensionIndexSequence", "ContributingEquipmentSequence",
                     "SharedFunctionalGroupsSequence"})  # fmt: skip
"""Sequences that are filled in or written over later."""


def _copy(prototype: Dataset) -> Dataset:
    """A data set of its own, down to what is changed later."""
    data = Dataset({e.tag: deepcopy(e) if e.keyword in _NESTED else copy(e) for e in prototype})
    data.file_meta = FileMetaDataset({e.tag: copy(e) for e in prototype.file_meta})
    return data


def _fill(data: Dataset, image: Dataset, recipe: Recipe, identity: str, measures: hd.PixelMeasuresSequence) -> None:
    """Put in what an object has of its source and of its own, as highdicom does.

    Parameters
    ----------
    image
        Plain copy of the first slice that has frames.
    """
    data.SeriesInstanceUID, data.SOPInstanceUID = derived_uid("series", identity), derived_uid("instance", identity)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.FrameOfReferenceUID, data.Rows, data.Columns = image.FrameOfReferenceUID, image.Rows, image.Columns
    data.SeriesNumber, data.SeriesDescription = recipe.series_number, recipe.series_description
    data.ContentDescription = recipe.remark or recipe.series_description
    data.ContentCreatorName = recipe.content_creator_name
    for kind in ("Series", "Content"):
        setattr(data, f"{kind}Date", DA(recipe.moment.date()))
        setattr(data, f"{kind}Time", TM(recipe.moment.time()))
    shared = data.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence = hd.PlaneOrientationSequence("PATIENT", image.ImageOrientationPatient)
    shared.PixelMeasuresSequence = measures


def with_highdicom(
    image: Dataset, kind: tuple[Encoding, SegmentationFractionalTypeValues], segments: Sequence[NumberedSegment]
) -> HighdicomSegmentation:
    """What highdicom makes of one plain image of 1 x 8 pixels."""
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    return HighdicomSegmentation(
        source_images=[image],
        pixel_array=np.zeros((1, 1, 8), np.uint8),
        segmentation_type=SegmentationTypeValues(kind[0].value),
        fractional_type=kind[1],
        max_fractional_value=MAXIMUM_FRACTIONAL_VALUE,
        segment_descriptions=[_description(s, "") for s in segments],
        series_instance_uid="2.25.5",
        series_number=1,
        sop_instance_uid="2.25.6",
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="mask2seg",
        software_versions=__version__,
        device_serial_number="mask2seg",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description="any",
        content_label="SEGMENTATION",
        content_description="any",
        content_creator_name="any^",
        content_date=moment.date(),
        content_time=moment.time(),
        series_date=moment.date(),
        series_time=moment.time(),
        specific_character_set="ISO_IR 192",
        omit_empty_frames=False,
        workers=0,
        plane_positions=[hd.PlanePositionSequence("PATIENT", image.ImagePositionPatient)],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", image.ImageOrientationPatient),
        pixel_measures=hd.PixelMeasuresSequence([1.0, 1.0], 1.0),
    )


def _concept(concept: CodedConcept) -> HighdicomConcept:
    return HighdicomConcept(concept.value, concept.scheme_designator, concept.meaning)


def _description(segment: NumberedSegment, identity: str) -> SegmentDescription:
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


def _settle_segments(data: Dataset, segments: Sequence[NumberedSegment]) -> None:
    """Say what drew each segment, and leave out the background that highdicom describes in a label map.

    Pixel Padding Value says already which value is background (PS3.3 C.8.20.2). OHIF up to 3.13 gives the colour of a
    background described first to segment 1, that of segment 1 to segment 2 and so on; 3D Slicer did so with names.
    """
    data.SegmentSequence = DicomSequence([item for item in data.SegmentSequence if item.SegmentNumber])
    for item, segment in zip(data.SegmentSequence, segments, strict=True):
        if segment.spec.algorithm_type != SegmentAlgorithmTypeValues.MANUAL.value:
            item.SegmentAlgorithmType = segment.spec.algorithm_type
            item.SegmentAlgorithmName = segment.spec.algorithm_name
