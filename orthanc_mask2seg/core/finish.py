"""The last hand on what highdicom made: same input, same bytes, and the source named as viewers look for it.

What highdicom takes from the clock and from the dice (dates, DimensionOrganizationUID) is written over, and so are the
references to the plain copies of slices that it was given (see `source_images`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as DicomSequence

from orthanc_mask2seg.core.inherited import inherit
from orthanc_mask2seg.core.origin import name_sources
from orthanc_mask2seg.core.source_images import derived_uid, stand_in_uid
from orthanc_mask2seg.model import ImageSeries


def finish(
    data: Dataset,
    source: ImageSeries,
    template: Dataset,
    *,
    moment: datetime,
    identity: str,
    used: Sequence[int],
) -> None:
    """Write over what highdicom took from the clock, the dice and the plain images.

    Parameters
    ----------
    data
        What highdicom made; changed in place.
    source
        The series that the segments lie on.
    template
        Full header of one instance of the source, for patient and study.
    moment
        When the mask was made.
    identity
        Digest of all that the object is made from.
    used
        Planes of the source that have a frame.
    """
    frame_of_reference_uid = data.FrameOfReferenceUID
    inherit(data, template)
    data.FrameOfReferenceUID = frame_of_reference_uid
    _settle_character_set(data)
    data.InstanceCreationDate = f"{moment:%Y}".zfill(4) + f"{moment:%m%d}"
    data.InstanceCreationTime = moment.strftime("%H%M%S")
    organization = derived_uid("dimensions", identity)
    data.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for item in data.DimensionIndexSequence:
        item.DimensionOrganizationUID = organization
    for equipment in data.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = data.InstanceCreationDate + data.InstanceCreationTime
    _refer_to_frames(data, source, used)
    _refer_to_all(data, source)
    name_sources(data, [source.volume.planes[i] for i in used])
    _clear_padding(data)


def _refer_to_frames(data: Dataset, source: ImageSeries, used: Sequence[int]) -> None:
    """Name the instance, or the frame of a multi-frame one, that each frame lies on (PS3.3 C.7.6.16.2.6)."""
    by_stand_in = {stand_in_uid(source.volume.planes[i]): source.volume.planes[i] for i in used}
    shared = data.SharedFunctionalGroupsSequence[0]
    for item in (shared, *data.PerFrameFunctionalGroupsSequence):
        for derivation in item.get("DerivationImageSequence") or ():
            reference = derivation.SourceImageSequence[0]
            plane = by_stand_in.get(reference.ReferencedSOPInstanceUID)
            if plane is None:  # highdicom shares this item between the frames of one plane: it has been seen to
                continue
            reference.ReferencedSOPClassUID = plane.sop_class_uid
            reference.ReferencedSOPInstanceUID = plane.sop_instance_uid
            if plane.frame_number is not None:
                reference.ReferencedFrameNumber = plane.frame_number


def _clear_padding(data: Dataset) -> None:
    """End the pixel data with zero bits (PS3.5 section 8.2): highdicom 0.28.2 pads with the character "0" (0x30)."""
    bits = int(data.NumberOfFrames) * int(data.Rows) * int(data.Columns) * int(data.BitsAllocated)
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


def saved(data: Dataset) -> bytes:
    """The DICOM file, Explicit VR Little Endian; in UTF-8 where the source's character set cannot hold its text."""
    for character_set in (data.get("SpecificCharacterSet"), "ISO_IR 192"):
        if character_set:
            data.SpecificCharacterSet = character_set
        buffer = io.BytesIO()
        try:
            data.save_as(buffer, enforce_file_format=True)
        except (LookupError, UnicodeError):
            continue
        content = buffer.getvalue()
        if _texts(dcmread(io.BytesIO(content), stop_before_pixels=True)) == _texts(data):
            break
    return content


def _texts(data: Dataset) -> list[str]:
    return [str(e.value) for e in data if e.VR in {"PN", "LO", "SH", "LT", "ST", "UT"}]
