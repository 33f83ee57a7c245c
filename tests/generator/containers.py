"""Several images in one instance: enhanced multi-frame, and multi-frame secondary capture with positions."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)

from tests.builders import to_bytes


def enhanced(series: Sequence[Dataset], *, sop_class: UID | None = None, order: Sequence[int] = ()) -> Dataset:
    """One multi-frame instance with the positions in its functional groups (PS3.3 C.7.6.16)."""
    chosen = [series[i] for i in order] if order else list(series)
    first = chosen[0]
    data = dcmread(io.BytesIO(to_bytes(first)))
    modality = str(first.Modality)
    data.SOPClassUID = sop_class or (EnhancedMRImageStorage if modality == "MR" else EnhancedCTImageStorage)
    data.SOPInstanceUID = generate_uid(entropy_srcs=["enhanced", str(first.SeriesInstanceUID)])
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.NumberOfFrames = len(chosen)
    data.InstanceNumber = 1
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(first, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_item(first, "PixelSpacing", "SliceThickness")]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for one in chosen:
        group = Dataset()
        group.PlanePositionSequence = [_item(one, "ImagePositionPatient")]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del data[keyword]
    raw = b"".join(_pixels(one) for one in chosen)
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    return data


def _pixels(data: Dataset) -> bytes:
    """Pixels of an uncompressed image without the byte that pads them."""
    size = int(data.Rows) * int(data.Columns) * int(data.get("SamplesPerPixel") or 1) * int(data.BitsAllocated) // 8
    return data.PixelData[:size]


def _item(data: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in data:
            setattr(item, keyword, data[keyword].value)
    return item


def multi_frame_capture(series: Sequence[Dataset]) -> Dataset:
    """A multi-frame secondary capture whose functional groups hold positions."""
    data = enhanced(series, sop_class=MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
    data.Modality = "OT"
    data.ConversionType = "WSD"
    return data


def dcmread_copy(data: Dataset) -> Dataset:
    """A copy of a data set that shares nothing with it."""
    return dcmread(io.BytesIO(to_bytes(data)))
