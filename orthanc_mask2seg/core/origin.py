"""What a segmentation says of where it comes from: the images that it lies on, and the mask that it was converted from.

The mask is never named in ReferencedSeriesSequence, where viewers look for the image series to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from orthanc_mask2seg import __version__
from orthanc_mask2seg.model import Plane, Uid

MANUFACTURER = "orthanc_mask2seg"
SOURCE = codes.DCM.SourceImageForImageProcessingOperation
MASK = codes.DCM.MaskImageForImageProcessingOperation
EQUIPMENT = codes.DCM.ProcessingEquipment
LONGEST_DESCRIPTION = 1024
"""ContributionDescription is a short text (ST, PS3.5 section 6.2)."""


def name_sources(data: Dataset, planes: Sequence[Plane]) -> None:
    """Name the source images that have a frame, in place of the plain copies that highdicom was given.

    SourceImageSequence of the whole object (PS3.3 C.7.6.1), each item with its purpose (PS3.16 CID 7202).
    """
    instances = dict.fromkeys((p.sop_class_uid, p.sop_instance_uid) for p in planes)
    data.SourceImageSequence = DicomSequence([_item(*one, SOURCE) for one in instances])


def name_masks(data: Dataset, series_uids: Iterable[Uid], instances: Iterable[tuple[Uid, Uid]]) -> None:
    """Name the mask series, and its instances unless they share their SOPInstanceUIDs with the source's.

    Parameters
    ----------
    series_uids
        SeriesInstanceUID of each mask: in our item of ContributingEquipmentSequence (PS3.3 C.12.1), as no reference to
        a series but ReferencedSeriesSequence exists.
    instances
        SOPClassUID and SOPInstanceUID of each; what can be no UID is left out.
    """
    series = ", ".join(series_uids)
    if not series:
        return
    images = data.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    known = {str(item.ReferencedSOPInstanceUID) for item in images}
    data.SourceImageSequence.extend(_item(*one, MASK) for one in instances if one[1] not in known and _may_be_uid(one))
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = MANUFACTURER
    item.SoftwareVersions = __version__
    item.ContributionDateTime = data.InstanceCreationDate + data.InstanceCreationTime
    item.ContributionDescription = f"Converted from mask series {series}"[:LONGEST_DESCRIPTION]
    item.PurposeOfReferenceCodeSequence = [_coded(EQUIPMENT)]
    data.ContributingEquipmentSequence = DicomSequence([*(data.get("ContributingEquipmentSequence") or ()), item])


def _may_be_uid(instance: tuple[Uid, Uid]) -> bool:
    """Whether both are of digits and dots: a component with a leading zero, against PS3.5, is what archives hold."""
    return all(re.fullmatch(r"[0-9.]{1,64}", uid) for uid in instance)


def _item(sop_class_uid: Uid, sop_instance_uid: Uid, purpose: Code) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [_coded(purpose)]
    return item


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
