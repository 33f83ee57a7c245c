"""The segments as contours: RT Structure Set (PS3.3 A.19), for what plans treatments.

Implicit VR, as a long contour does not fit into the two bytes that explicit VR has for the length of decimal strings.
"""

from __future__ import annotations

import re

import numpy as np
from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from orthanc_mask2seg.model import ImageSeries, Plane, PlaneGeometry, Refusal
from orthanc_mask2seg.outputs.companion import Companion, new_dataset, to_file
from orthanc_mask2seg.outputs.contours import Polygon, outlines
from orthanc_mask2seg.outputs.descriptions import rgb
from orthanc_mask2seg.outputs.regions import Region, Regions

SERIES_NUMBER_OFFSET = 2000
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management SOP Class: what RTReferencedStudySequence names studies by."""
CONTOUR_DATA = 0x30060050
DECIMALS = 6
"""Of a coordinate in mm: at most 16 characters, and a millionth of a millimetre."""
_ZEROS = re.compile(r"\.?0+(?=\\)")
_MINUS_ZERO = re.compile(r"(?<![^\\])-0(?=\\)")
_ALGORITHMS = frozenset({"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"})


def write_rtstruct(regions: Regions, template: Dataset) -> bytes | Refusal:
    """Write the contours of all segments.

    Parameters
    ----------
    template
        Full header of one instance of the source, for patient and study.

    Returns
    -------
    bytes, or Refusal
        The DICOM file; the same for the same arguments.
    """
    companion = Companion(
        kind="RTSTRUCT", seg=regions.seg, template=template, settings={}, series_number_offset=SERIES_NUMBER_OFFSET
    )
    frame = str(regions.seg.get("FrameOfReferenceUID") or template.get("FrameOfReferenceUID") or "")
    data = new_dataset(companion, RTStructureSetStorage, "RTSTRUCT", "Contours", frame)
    data.StructureSetLabel = "SEG"
    data.StructureSetName = "Contours of a segmentation"
    data.OperatorsName = ""
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = [_referenced(regions.source, template, frame)]
    data.StructureSetROISequence = DicomSequence(_roi(region, frame) for region in regions.regions)
    data.ROIContourSequence = DicomSequence(_contours(region, regions.source) for region in regions.regions)
    data.RTROIObservationsSequence = DicomSequence(_observation(region) for region in regions.regions)
    return to_file(data, ImplicitVRLittleEndian)


def _referenced(source: ImageSeries, template: Dataset, frame: str) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = source.series.series_instance_uid
    series.ContourImageSequence = DicomSequence(_image(plane) for plane in source.volume.planes)
    study = Dataset()
    study.ReferencedSOPClassUID = STUDY_CLASS
    study.ReferencedSOPInstanceUID = str(template.StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = frame
    item.RTReferencedStudySequence = [study]
    return item


def _image(plane: Plane) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = plane.sop_class_uid
    item.ReferencedSOPInstanceUID = plane.sop_instance_uid
    if plane.frame_number is not None:
        item.ReferencedFrameNumber = plane.frame_number
    return item


def _roi(region: Region, frame: str) -> Dataset:
    item = Dataset()
    item.ROINumber = region.number
    item.ReferencedFrameOfReferenceUID = frame
    item.ROIName = region.spec.label
    item.ROIGenerationAlgorithm = region.spec.algorithm_type if region.spec.algorithm_type in _ALGORITHMS else ""
    return item


def _observation(region: Region) -> Dataset:
    item = Dataset()
    item.ObservationNumber = region.number
    item.ReferencedROINumber = region.number
    item.RTROIInterpretedType = ""
    item.ROIInterpreter = ""
    return item


def _contours(region: Region, source: ImageSeries) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = region.number
    item.ROIDisplayColor = list(rgb(region.spec.recommended_display_cielab))
    item.ContourSequence = DicomSequence(
        _contour(polygon, region, source.volume.planes[index])
        for index, inside in zip(region.planes, region.voxels, strict=True)
        if inside.any()
        for polygon in outlines(inside)
    )
    return item


def _contour(polygon: Polygon, region: Region, plane: Plane) -> Dataset:
    item = Dataset()
    item.ContourImageSequence = [_image(plane)]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(polygon)
    item.set_original_encoding(is_implicit_vr=True, is_little_endian=True, character_encoding=default_encoding)
    _put_strings(item, CONTOUR_DATA, _coordinates(polygon + region.corner[1:], plane.geometry))
    return item


def _put_strings(item: Dataset, tag: int, content: bytes) -> None:
    """Add decimal strings as the bytes that they are: checking each again takes pydicom most of the time.

    It does so unless the item says that it was read as it will be written.
    """
    content += b" " * (len(content) % 2)
    item[tag] = RawDataElement(Tag(tag), "DS", len(content), content, 0, is_implicit_VR=True, is_little_endian=True)


def _coordinates(polygon: Polygon, plane: PlaneGeometry) -> bytes:
    """x, y, z of each point, LPS mm, as decimal strings."""
    down = np.multiply(plane.column_cosines, plane.pixel_spacing[0])
    along = np.multiply(plane.row_cosines, plane.pixel_spacing[1])
    points = np.array(plane.position) + polygon[:, :1] * down + polygon[:, 1:] * along
    return _decimals(points.ravel().tolist())


def _decimals(values: list[float]) -> bytes:
    """Numbers with `DECIMALS` digits behind the point at most, written at once: one by one takes most of the time."""
    text = f"%.{DECIMALS}f\\" * len(values) % tuple(values)
    return _MINUS_ZERO.sub("0", _ZEROS.sub("", text))[:-1].encode("ascii")
