"""What highdicom decides: it writes the object for one plane, and everything but frames and pixels is taken from that.

What depends on all planes (their order, the distance between them, whether they make a volume) is asked of highdicom's
own functions. It is given plain copies of the source's slices (see `source_images`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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
from highdicom.spatial import VOLUME_INDEX_CONVENTION, get_normal_vector, get_volume_positions
from highdicom.sr import CodedConcept as HighdicomConcept
from pydicom import Dataset
from pydicom.filewriter import correct_ambiguous_vr_element
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.frame_groups import FrameGroups
from orthanc_mask2seg.core.origin import MANUFACTURER
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
    rows, columns = image.Rows, image.Columns
    image.Rows, image.Columns = 1, 8  # highdicom looks at every pixel of every segment
    data = with_highdicom(
        [image],
        np.zeros((1, 1, 8), np.uint8),
        (encoding, kind),
        segments,
        recipe,
        identity,
        pixel_measures(source, header),
        omit_empty_frames=False,
    )
    data.Rows, data.Columns = rows, columns
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.pop("SpacingBetweenSlices", None)
    if stack.spacing is not None:
        measures.SpacingBetweenSlices = format_number_as_ds(stack.spacing)
    if stack.volume and (encoding is Encoding.LABELMAP or len(segments) == 1):
        data.DimensionOrganizationType = "3D"
    groups = FrameGroups(data.PerFrameFunctionalGroupsSequence[0])
    pixel_vr = str(correct_ambiguous_vr_element(data["PixelData"], data, is_little_endian=True).VR)
    del data.PerFrameFunctionalGroupsSequence, data.PixelData
    _settle_segments(data, segments)
    return Template(data=data, groups=groups, pixel_vr=pixel_vr)


def with_highdicom(
    images: Sequence[Dataset],
    pixels: npt.NDArray[np.generic],
    kind: tuple[Encoding, SegmentationFractionalTypeValues],
    segments: Sequence[NumberedSegment],
    recipe: Recipe,
    identity: str,
    measures: hd.PixelMeasuresSequence,
    *,
    omit_empty_frames: bool,
) -> HighdicomSegmentation:
    """What highdicom makes of plain images and pixels."""
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
        omit_empty_frames=omit_empty_frames,
        workers=0,
        plane_positions=[hd.PlanePositionSequence("PATIENT", i.ImagePositionPatient) for i in images],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", images[0].ImageOrientationPatient),
        pixel_measures=measures,
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
