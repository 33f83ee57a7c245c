"""The checks of a segmentation: what each viewer needs to show it."""

from __future__ import annotations

from orthanc_mask2seg.core.diagnosis import ALL, Check, Level, Viewer, by_code

LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
"""SOPClassUID of segmentations as label maps (PS3.4 B.5), which pydicom does not name yet."""

_OHIF = frozenset({Viewer.OHIF})
_SLICER = frozenset({Viewer.SLICER})
_WEB = frozenset({Viewer.DICOMWEB})
_AGAIN = "Convert the mask again with mask2seg, or ask the maker of the segmentation."


def _error(code: str, fine: str, fault: str, remedy: str, hides: frozenset[Viewer] = ALL) -> Check:
    return Check(code=code, level=Level.ERROR, fine=fine, fault=fault, remedy=remedy, hides=hides)


def _warning(code: str, fine: str, fault: str, remedy: str) -> Check:
    return Check(code=code, level=Level.WARNING, fine=fine, fault=fault, remedy=remedy)


SEG_CHECKS = (
    _error(
        "seg_class",
        "It is a Segmentation or a Label Map Segmentation.",
        "The instance is no segmentation: its SOPClassUID is another.",
        "Name the series of the segmentation, not that of the images or of the mask.",
    ),
    _error(
        "seg_modality",
        "Modality is SEG.",
        "Modality is not SEG, by which viewers look for segmentations.",
        _AGAIN,
        _OHIF | _WEB,
    ),
    _error(
        "seg_several_instances",
        "The series holds one segmentation.",
        "The series holds several instances, of which OHIF shows only the last.",
        "Store each segmentation as a series of its own.",
        _OHIF,
    ),
    _error(
        "seg_transfer_syntax",
        "The transfer syntax is one that the viewers read.",
        "The transfer syntax is one that not every viewer decodes for segmentations.",
        "Store it as Explicit VR Little Endian.",
        _SLICER,
    ),
    _error(
        "seg_reference_absent",
        "It names the series that it lies on.",
        "It does not name the series that it lies on (ReferencedSeriesSequence).",
        _AGAIN,
        _OHIF,
    ),
    _error(
        "seg_reference_several",
        "It names exactly one series.",
        "It names several series (ReferencedSeriesSequence); OHIF takes the first, whichever that is.",
        "Name the images there and nothing else: the mask belongs into SourceImageSequence.",
        _OHIF,
    ),
    _error(
        "seg_source_absent",
        "The series that it lies on is in the archive.",
        "The series that it lies on is not in the archive.",
        "Send the images to this archive, under their own SeriesInstanceUID.",
        _OHIF | _WEB,
    ),
    _error(
        "seg_other_study",
        "It is in the study of its source.",
        "Its StudyInstanceUID is not that of its source, so viewers of the study do not find one of them.",
        _AGAIN,
        _OHIF | _WEB,
    ),
    _error(
        "seg_other_patient",
        "Its PatientID is that of its source.",
        "Its PatientID is not that of its source.",
        "Find out whose images these are before anything else.",
        _OHIF | _WEB,
    ),
    _error(
        "seg_frame_of_reference",
        "Its FrameOfReferenceUID is that of its source.",
        "Its FrameOfReferenceUID is not that of its source, so nothing says that they lie in the same space.",
        _AGAIN,
        _OHIF,
    ),
    _error(
        "seg_size",
        "Rows and Columns are those of its source.",
        "Rows or Columns are not those of its source.",
        "Resample the mask onto the images' grid, as mask2seg does.",
        _OHIF,
    ),
    _error(
        "seg_spacing",
        "PixelSpacing is that of its source.",
        "PixelSpacing is not that of its source: OHIF shows the mask at the wrong size.",
        "Resample the mask onto the images' grid, as mask2seg does.",
        _OHIF,
    ),
    _error(
        "seg_orientation",
        "Every frame is parallel to its source.",
        "Frames are turned against their source (ImageOrientationPatient).",
        "Resample the mask onto the images' grid, as mask2seg does.",
        _OHIF,
    ),
    _error(
        "seg_position",
        "Every frame lies where its source lies.",
        "Frames lie elsewhere than the images that they name (ImagePositionPatient).",
        _AGAIN,
        _OHIF | _WEB,
    ),
    _error(
        "seg_frame_source",
        "Every frame names a slice of the source.",
        "Frames name slices that the source series does not hold.",
        "Send the missing slices, or convert the mask again.",
        _OHIF,
    ),
    _warning(
        "seg_frame_unlinked",
        "Every frame names its source.",
        "Frames do not name the slice that they lie on; viewers have to search by position.",
        _AGAIN,
    ),
    _error(
        "seg_geometry_absent",
        "Every frame says where it lies.",
        "Frames do not say where they lie (position, orientation or spacing).",
        _AGAIN,
    ),
    _error(
        "seg_frames_described",
        "Every frame is described.",
        "NumberOfFrames is not the number of described frames.",
        _AGAIN,
    ),
    _error(
        "seg_pixels_length",
        "The pixel data are as long as they should be.",
        "The pixel data are too short or too long for the frames, or cannot be decoded.",
        "Retrieve the segmentation from where it came from again: it was cut or damaged on the way.",
    ),
    _error(
        "seg_bits_across_bytes",
        "Every frame starts at a byte.",
        "The pixels of a BINARY frame are no multiple of 8, so frames start inside bytes: OHIF shows nothing, or a "
        "scrambled mask.",
        "Encode it as LABELMAP or FRACTIONAL: see Viewers in the settings.",
        _OHIF,
    ),
    _error(
        "seg_numbers",
        "SegmentNumbers are 1, 2, 3... in order.",
        "SegmentNumbers are not 1, 2, 3... in order: names and colours land on other segments.",
        _AGAIN,
        _OHIF | _SLICER,
    ),
    _error(
        "seg_background",
        "The label map describes no background.",
        "The label map describes its background as segment 0: OHIF gives every segment the colour of its neighbour.",
        "Leave the item of the background out.",
        _OHIF,
    ),
    _error(
        "seg_segment_empty",
        "Every described segment has voxels.",
        "Segments without voxels are described: 3D Slicer gives their names to others.",
        "Leave empty segments out.",
        _SLICER,
    ),
    _error(
        "seg_segment_undescribed",
        "Every segment that is drawn is described.",
        "Frames belong to segments that are not described.",
        _AGAIN,
    ),
    _warning(
        "seg_colour",
        "Every segment has a colour.",
        "Segments have no RecommendedDisplayCIELabValue: viewers choose colours, and old OHIF hangs.",
        _AGAIN,
    ),
    _warning(
        "seg_overlap",
        "It says whether segments overlap.",
        "It does not say whether segments overlap (SegmentsOverlap): some viewers assume that they do.",
        _AGAIN,
    ),
    _warning(
        "seg_dimensions",
        "Dimension indices are there.",
        "Dimension indices are missing or incomplete, which the standard asks for; some readers order frames by them.",
        _AGAIN,
    ),
    _warning(
        "seg_window",
        "No rescaling or window is written.",
        "Rescaling or window values are written, which a segmentation must not have.",
        _AGAIN,
    ),
    _error(
        "seg_not_found",
        "A DICOMweb search finds it.",
        "A DICOMweb search (QIDO-RS) does not find the series.",
        "See the checks of the PACS: DICOMweb is off, or a filter hides the series.",
        _OHIF | _WEB,
    ),
    _error(
        "seg_metadata_poor",
        "DICOMweb tells its sequences.",
        "DICOMweb metadata lack the sequences that a viewer needs.",
        'Set "SeriesMetadata": "Full" in the "DicomWeb" section of orthanc.json.',
        _OHIF | _WEB,
    ),
    _error(
        "seg_not_retrieved",
        "DICOMweb gives the whole instance, byte for byte.",
        "DICOMweb does not give the whole instance as it is stored.",
        "See the log of the PACS; on Orthanc 1.10.1 two instances with one SOPInstanceUID cause this.",
        _OHIF | _WEB,
    ),
    _warning(
        "seg_frames_refused",
        "DICOMweb gives single frames.",
        "DICOMweb refuses single frames; viewers that fetch frames instead of the instance show nothing.",
        "Orthanc needs Columns to be a multiple of 8 for BINARY frames; LABELMAP and FRACTIONAL have no such limit.",
    ),
)

BY_CODE = by_code(SEG_CHECKS)
