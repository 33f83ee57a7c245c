"""What a segmentation says of where it comes from: the images that it lies on, and the mask that it was converted from.

The mask is never named in ReferencedSeriesSequence, where viewers look for the image series to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.explicit_vr import encoded, item, sequence, uid
from orthanc_mask2seg.model import Uid

MANUFACTURER = "orthanc_mask2seg"
EQUIPMENT = codes.DCM.ProcessingEquipment
LONGEST_DESCRIPTION = 1024
"""ContributionDescription is a short text (ST, PS3.5 section 6.2)."""

_FROM_MASKS = "Converted from mask series "

REFERENCED_SERIES = 0x00081115
SOURCE_IMAGE = 0x00082112
_REFERENCED_INSTANCE = 0x0008114A
_CLASS, _INSTANCE = 0x00081150, 0x00081155
_SERIES_INSTANCE_UID = 0x0020000E
_PURPOSE_OF_REFERENCE = 0x0040A170

Reference = tuple[Uid, Uid]
"""SOPClassUID and SOPInstanceUID."""


def source_images(sources: Iterable[Reference], masks: Iterable[Reference], known: frozenset[Uid]) -> bytes:
    """SourceImageSequence of the whole object (PS3.3 C.7.6.1), each item with its purpose (PS3.16 CID 7202).

    Parameters
    ----------
    sources
        Source images that have a frame.
    masks
        Instances of the masks; those that share their SOPInstanceUIDs with the source's are left out, and what can be
        no UID.
    known
        SOPInstanceUIDs of the whole source.
    """
    items = [_item(one, _SOURCE) for one in dict.fromkeys(sources)]
    items += [_item(one, _MASK) for one in masks if one[1] not in known and _may_be_uid(one)]
    return sequence(SOURCE_IMAGE, items)


def referenced_series(series_instance_uid: str, instances: Iterable[Reference]) -> bytes:
    """ReferencedSeriesSequence with every instance of the source, also without a frame: viewers look it up by them."""
    images = sequence(_REFERENCED_INSTANCE, [_item(one) for one in dict.fromkeys(instances)])
    return sequence(REFERENCED_SERIES, [item(images + uid(_SERIES_INSTANCE_UID, series_instance_uid))])


def name_masks(data: Dataset, series_uids: Iterable[Uid]) -> None:
    """Name the mask series in our item of ContributingEquipmentSequence (PS3.3 C.12.1).

    No reference to a series but ReferencedSeriesSequence exists.
    """
    series = ", ".join(series_uids)
    if not series:
        return
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = MANUFACTURER
    item.SoftwareVersions = __version__
    item.ContributionDateTime = data.InstanceCreationDate + data.InstanceCreationTime
    item.ContributionDescription = f"{_FROM_MASKS}{series}"[:LONGEST_DESCRIPTION]
    item.PurposeOfReferenceCodeSequence = [_coded(EQUIPMENT)]
    data.ContributingEquipmentSequence = DicomSequence([*(data.get("ContributingEquipmentSequence") or ()), item])


def named_masks(data: Dataset) -> frozenset[Uid]:
    """The mask series that a segmentation of ours was made from; none where it is not ours."""
    for equipment in data.get("ContributingEquipmentSequence") or ():
        text = str(equipment.get("ContributionDescription") or "")
        if equipment.get("Manufacturer") == MANUFACTURER and text.startswith(_FROM_MASKS):
            return frozenset(Uid(uid) for uid in text.removeprefix(_FROM_MASKS).split(", "))
    return frozenset()


def _may_be_uid(instance: Reference) -> bool:
    """Whether both are of digits and dots: a component with a leading zero, against PS3.5, is what archives hold."""
    return all(re.fullmatch(r"[0-9.]{1,64}", uid) for uid in instance)


def _item(reference: Reference, purpose: bytes = b"") -> bytes:
    return item(uid(_CLASS, reference[0]) + uid(_INSTANCE, reference[1]) + purpose)


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _purpose(code: Code) -> bytes:
    return sequence(_PURPOSE_OF_REFERENCE, [item(encoded(_coded(code)))])


_SOURCE = _purpose(codes.DCM.SourceImageForImageProcessingOperation)
_MASK = _purpose(codes.DCM.MaskImageForImageProcessingOperation)
