"""What every DICOM object beside a segmentation has in common: patient, study, dates and identity, all derived.

The same segmentation and settings give the same bytes: UIDs are derived, and the dates are those of the segmentation.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from orthanc_mask2seg import __version__
from orthanc_mask2seg.core.inherited import inherit
from orthanc_mask2seg.core.plane_headers import integer
from orthanc_mask2seg.core.source_images import derived_uid
from orthanc_mask2seg.model import Uid

MANUFACTURER = "orthanc_mask2seg"
REVISION = 1
"""Raised whenever the same segmentation and settings give other content, so that this gets UIDs of its own. What
differs only in the version of the software that it names is the same."""

HIGHEST_SERIES_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """Identity of an object that is made of a segmentation.

    Attributes
    ----------
    kind
        SR, RTSTRUCT, SC.
    seg
        The segmentation that it is made of, without pixels.
    template
        Full header of one instance of the source, for patient and study.
    settings
        What its content depends on beside the segmentation.
    series_number_offset
        SeriesNumber: this plus that of the segmentation.
    """

    kind: str
    seg: Dataset
    template: Dataset
    settings: Mapping[str, Any]
    series_number_offset: int

    @property
    def identity(self) -> str:
        """Digest of all that makes it what it is, hexadecimal."""
        known = json.dumps(
            [REVISION, self.kind, str(self.seg.SOPInstanceUID), dict(self.settings)], sort_keys=True, default=str
        )
        return hashlib.sha256(known.encode()).hexdigest()

    def uid(self, *parts: object) -> Uid:
        """UID of something in it."""
        return derived_uid(self.kind, self.identity, *parts)

    @property
    def series_number(self) -> int:
        """SeriesNumber, at most what an IS holds."""
        return min((integer(self.seg.get("SeriesNumber")) or 0) + self.series_number_offset, HIGHEST_SERIES_NUMBER)

    @property
    def moment(self) -> datetime:
        """When the segmentation was made."""
        text = "".join(re.findall(r"\d", f"{self.seg.get('ContentDate') or ''}{self.seg.get('ContentTime') or ''}"))
        try:
            return datetime.strptime(text[:14].ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - DICOM's local time
        except ValueError:
            return datetime(1970, 1, 1)  # noqa: DTZ001 - it gives no date


def new_dataset(
    companion: Companion, sop_class_uid: str, modality: str, description: str, frame_of_reference_uid: str = ""
) -> Dataset:
    """An object with everything but its content."""
    data = Dataset()
    if frame_of_reference_uid:
        data.FrameOfReferenceUID = frame_of_reference_uid
    data.SOPClassUID = sop_class_uid
    data.SOPInstanceUID = companion.uid("instance")
    data.SeriesInstanceUID = companion.uid("series")
    data.Modality = modality
    data.SeriesNumber = companion.series_number
    data.SeriesDescription = description[:64]
    data.InstanceNumber = 1
    settle(data, companion)
    return data


def settle(data: Dataset, companion: Companion) -> None:
    """Copy patient and study from the source, and write over what came from the clock."""
    inherit(data, companion.template)
    if not data.get("SpecificCharacterSet"):
        data.SpecificCharacterSet = "ISO_IR 192"
    if "FrameOfReferenceUID" not in data:
        data.pop("PositionReferenceIndicator", None)  # of the Frame of Reference module, which `data` does not have
    moment = companion.moment
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    content = "StructureSet" if data.Modality == "RTSTRUCT" else "Content"
    for kind in ("InstanceCreation", "Series", content):
        setattr(data, f"{kind}Date", date)
        setattr(data, f"{kind}Time", time)
    for equipment in data.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = date + time
    data.Manufacturer = MANUFACTURER
    data.ManufacturerModelName = "mask2seg"
    data.DeviceSerialNumber = "mask2seg"
    data.SoftwareVersions = __version__


def to_file(data: Dataset, transfer_syntax_uid: UID = ExplicitVRLittleEndian) -> bytes:
    """The DICOM file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta = meta
    if getattr(data, "preamble", None) is None:
        data.preamble = b"\0" * 128
    return _in_a_character_set(data)


def _in_a_character_set(data: Dataset) -> bytes:
    """The file; in UTF-8 where the source's character set cannot hold its text."""
    content = b""
    plain = all(text.isascii() for text in _texts(data))
    for character_set in (data.get("SpecificCharacterSet"), "ISO_IR 192"):
        data.SpecificCharacterSet = character_set
        buffer = io.BytesIO()
        try:
            data.save_as(buffer, enforce_file_format=True)
        except (LookupError, UnicodeError):
            continue
        content = buffer.getvalue()
        if plain or _texts(dcmread(io.BytesIO(content), stop_before_pixels=True)) == _texts(data):
            break
    return content


def _texts(data: Dataset) -> list[str]:
    return [str(element.value) for element in data if element.VR in {"PN", "LO", "SH", "LT", "ST", "UT"}]
