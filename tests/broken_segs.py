"""Segmentations that are broken on purpose, each in one way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid


def in_bits(data: Dataset, pixels: np.ndarray) -> None:
    """Give it other pixels, shape (frames, rows, columns), as a BINARY segmentation."""
    data.NumberOfFrames, data.Rows, data.Columns = pixels.shape
    data.SegmentationType, data.BitsAllocated, data.BitsStored, data.HighBit = "BINARY", 1, 1, 0
    for keyword in ("SegmentationFractionalType", "MaximumFractionalValue"):
        if keyword in data:
            del data[keyword]
    packed = np.packbits(pixels.astype(bool).reshape(-1), bitorder="little").tobytes()
    data.PixelData = packed + b"\0" * (len(packed) % 2)
    data["PixelData"].VR = "OB"


def other_modality(data: Dataset) -> None:
    data.Modality = "CT"


def other_class(data: Dataset) -> None:
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage


def no_reference(data: Dataset) -> None:
    del data.ReferencedSeriesSequence


def two_references(data: Dataset) -> None:
    second = copy.deepcopy(data.ReferencedSeriesSequence[0])
    second.SeriesInstanceUID = generate_uid()
    data.ReferencedSeriesSequence.append(second)


def absent_source(data: Dataset) -> None:
    data.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()


def other_study(data: Dataset) -> None:
    data.StudyInstanceUID = generate_uid()


def other_patient(data: Dataset) -> None:
    data.PatientID = "somebody else"


def other_space(data: Dataset) -> None:
    data.FrameOfReferenceUID = generate_uid()


def more_rows(data: Dataset) -> None:
    in_bits(data, np.pad(data.pixel_array.reshape(-1, data.Rows, data.Columns), ((0, 0), (0, 8), (0, 0))))


def other_spacing(data: Dataset) -> None:
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [float(v) * 1.01 for v in measures.PixelSpacing]


def turned(data: Dataset) -> None:
    orientation = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    row, column = np.array(orientation.ImageOrientationPatient, float).reshape(2, 3)
    angle = np.radians(0.5)
    row, column = row * np.cos(angle) + column * np.sin(angle), column * np.cos(angle) - row * np.sin(angle)
    orientation.ImageOrientationPatient = [f"{v:.10f}" for v in (*row, *column)]


def shifted(data: Dataset) -> None:
    position = data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    x, y, z = position.ImagePositionPatient
    position.ImagePositionPatient = [x + 0.002, y, z]


def other_slice(data: Dataset) -> None:
    image = data.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    image.ReferencedSOPInstanceUID = generate_uid()


def unlinked(data: Dataset) -> None:
    for item in data.PerFrameFunctionalGroupsSequence:
        del item.DerivationImageSequence


def no_place(data: Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def one_described_less(data: Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[1]


def cut(data: Dataset) -> None:
    data.PixelData = data.PixelData[: len(data.PixelData) // 4 * 2]


def numbered_from_two(data: Dataset) -> None:
    for item in data.SegmentSequence:
        item.SegmentNumber += 1
    for item in (data.SharedFunctionalGroupsSequence[0], *data.PerFrameFunctionalGroupsSequence):
        if "SegmentIdentificationSequence" in item:
            item.SegmentIdentificationSequence[0].ReferencedSegmentNumber += 1


def out_of_order(data: Dataset) -> None:
    second = copy.deepcopy(data.SegmentSequence[0])
    numbered_from_two(data)
    data.SegmentSequence.append(second)
    item = Dataset()
    item.ReferencedSegmentNumber = 1
    data.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence = [item]


def an_empty_segment(data: Dataset) -> None:
    more = copy.deepcopy(data.SegmentSequence[0])
    more.SegmentNumber, more.SegmentLabel = len(data.SegmentSequence) + 1, "nothing"
    data.SegmentSequence.append(more)


def a_stranger(data: Dataset) -> None:
    item = Dataset()
    item.ReferencedSegmentNumber = 99
    data.PerFrameFunctionalGroupsSequence[1].SegmentIdentificationSequence = [item]


def colourless(data: Dataset) -> None:
    del data.SegmentSequence[0].RecommendedDisplayCIELabValue


def silent_about_overlap(data: Dataset) -> None:
    del data.SegmentsOverlap


def no_dimensions(data: Dataset) -> None:
    del data.DimensionIndexSequence


def no_indices(data: Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[0].FrameContentSequence


def rescaled(data: Dataset) -> None:
    data.RescaleIntercept, data.RescaleSlope = "0", "1"


class Break(NamedTuple):
    """A way to break a segmentation, the check that has to notice, and checks that may notice as well."""

    how: Callable[[Dataset], None]
    code: str
    also: frozenset[str] = frozenset()


_UNREADABLE = frozenset({"seg_frames_refused"})

BREAKS = (
    Break(other_modality, "seg_modality"),
    Break(other_class, "seg_class"),
    Break(no_reference, "seg_reference_absent"),
    Break(two_references, "seg_reference_several"),
    Break(absent_source, "seg_source_absent"),
    Break(other_study, "seg_other_study"),
    Break(other_patient, "seg_other_patient"),
    Break(other_space, "seg_frame_of_reference"),
    Break(more_rows, "seg_size"),
    Break(other_spacing, "seg_spacing"),
    Break(turned, "seg_orientation"),
    Break(shifted, "seg_position"),
    Break(other_slice, "seg_frame_source"),
    Break(unlinked, "seg_frame_unlinked"),
    Break(no_place, "seg_geometry_absent"),
    Break(one_described_less, "seg_frames_described"),
    Break(cut, "seg_pixels_length", _UNREADABLE),
    Break(numbered_from_two, "seg_numbers"),
    Break(out_of_order, "seg_numbers"),
    Break(an_empty_segment, "seg_segment_empty"),
    Break(a_stranger, "seg_segment_undescribed"),
    Break(colourless, "seg_colour"),
    Break(silent_about_overlap, "seg_overlap"),
    Break(no_dimensions, "seg_dimensions"),
    Break(no_indices, "seg_dimensions"),
    Break(rescaled, "seg_window"),
)
