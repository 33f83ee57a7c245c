"""DICOM files (PS3.10) as the archives need them: who an instance is, and its header without the pixels."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom import DataElement, Dataset, FileDataset, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import IS, VR, DSfloat

from orthanc_mask2seg.core.bounds import check_inflated, read_dicom
from orthanc_mask2seg.core.pixels import is_telling
from orthanc_mask2seg.errors import ArchiveRejected
from orthanc_mask2seg.model import ArchiveKey, Series, Uid

LONGEST_VALUE = 64 << 10
"""Elements longer than this (overlays, look-up tables, colour profiles) are left out of headers; in bytes."""

DICOM_FAULTS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on a file that is not right."""

_NUMBERS_IN_TEXT = frozenset({"DS", "IS"})
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "AT": 4, "UV": 8, "SV": 8, "FD": 8}
_VRS = frozenset(str(vr) for vr in VR)
_LAST_IDENTITY_TAG = 0x0020000E
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LONG_LENGTH_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
_HEAD = 8  # bytes of tag and length
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_SEQUENCE_DELIMITER = 0xFFFEE0DD


class UnreadableError(Exception):
    """A file that claims to be DICOM cannot be read. The message holds nothing of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identifiers by which an archive tells instances apart."""

    patient_id: str
    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid

    @property
    def study_key(self) -> ArchiveKey:
        """What Orthanc calls the study."""
        return _orthanc_id(self.patient_id, self.study_instance_uid)

    @property
    def series_key(self) -> ArchiveKey:
        """What Orthanc calls the series."""
        return _orthanc_id(self.patient_id, self.study_instance_uid, self.series_instance_uid)

    @property
    def instance_key(self) -> ArchiveKey:
        """What Orthanc calls the instance."""
        return _orthanc_id(self.patient_id, self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)


@lru_cache(maxsize=4096)
def _orthanc_id(*parts: str) -> ArchiveKey:
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    return ArchiveKey("-".join(digest[start : start + 8] for start in range(0, len(digest), 8)))


def digest_of(content: bytes) -> str:
    """MD5 of a file, as Orthanc keeps it: it tells bytes apart and protects nothing."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def identity_of(content: bytes) -> Identity:
    """Read who an instance is; raises `ArchiveRejected` where that cannot be told."""
    try:
        check_inflated(io.BytesIO(content))
        header = read_partial(io.BytesIO(content), stop_when=_after_identity, force=True)
        identity = Identity(
            patient_id=text(header, "PatientID"),
            study_instance_uid=Uid(text(header, "StudyInstanceUID")),
            series_instance_uid=Uid(text(header, "SeriesInstanceUID")),
            sop_instance_uid=Uid(text(header, "SOPInstanceUID")),
        )
    except DICOM_FAULTS as error:
        raise ArchiveRejected(f"This is not a DICOM file ({type(error).__name__})") from None
    if not (identity.study_instance_uid and identity.series_instance_uid and identity.sop_instance_uid):
        raise ArchiveRejected("This is not a DICOM file, or its study, series or instance has no UID")
    return identity


def _after_identity(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > _LAST_IDENTITY_TAG


def text(header: Dataset, keyword: str) -> str:
    """Value of an element as text; empty where it is missing or cannot be read."""
    try:
        value = header.get(keyword)
    except DICOM_FAULTS:
        return ""
    if isinstance(value, MultiValue):
        value = "\\".join(str(part) for part in value)
    return "" if value is None else str(value).strip(" \0")


def header_of(content: bytes) -> Dataset:
    """Read the header of a DICOM file that an archive has taken in."""
    try:
        return _slim(read_dicom(content, stop_before_pixels=True))
    except DICOM_FAULTS as error:
        raise ArchiveRejected(f"An instance cannot be read ({type(error).__name__})") from None


def series_of(
    header: Dataset,
    *,
    key: ArchiveKey,
    study_key: ArchiveKey,
    instance_keys: Sequence[ArchiveKey],
    last_update: str,
) -> Series:
    """Describe the series that a header belongs to."""
    return Series(
        key=key,
        series_instance_uid=Uid(text(header, "SeriesInstanceUID")),
        study_instance_uid=Uid(text(header, "StudyInstanceUID")),
        study_key=study_key,
        modality=text(header, "Modality"),
        series_description=text(header, "SeriesDescription"),
        series_number=text(header, "SeriesNumber"),
        manufacturer=text(header, "Manufacturer"),
        station_name=text(header, "StationName"),
        instance_keys=tuple(instance_keys),
        last_update=last_update,
    )


def read_file(path: Path) -> Dataset:
    """Read the header of a file and make sure that the file is whole.

    Raises
    ------
    UnreadableError
        It is no DICOM file, it is damaged, or it ends too early.
    OSError
        The file cannot be opened or read.
    """
    with path.open("rb") as file:
        try:
            check_inflated(file)
        except DICOM_FAULTS as error:
            raise UnreadableError(f"cannot be parsed ({type(error).__name__})") from None
    with _WatchedFile(io.FileIO(str(path))) as file:
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            whole = not file.short and _pixels_are_whole(file, header)
            _slim(header)
        except DICOM_FAULTS as error:
            raise UnreadableError(f"cannot be parsed ({type(error).__name__})") from None
    if not whole:
        raise UnreadableError("ends too early: the file is cut off")
    return header


def _slim(header: FileDataset) -> Dataset:
    """Drop what is private, very long or not parsable, and the file: the headers of a large series fit into memory."""
    header.buffer = None
    for element in list(header.values()):
        if element.tag.is_private or not is_useful(element):
            del header[element.tag]
    return header


def is_useful(element: DataElement | RawDataElement) -> bool:
    """Whether an element is kept: not very long, and readable unless it says where the instance lies."""
    if not isinstance(element, RawDataElement):
        return True
    if element.value is not None and len(element.value) > LONGEST_VALUE:
        return False
    vr = element.VR or _vr_of(element.tag)
    if is_telling(element.tag):
        return True  # unreadable or not: who decides on the series has to see it
    if vr in _NUMBERS_IN_TEXT:
        return _are_numbers(vr, element.value or b"")
    return vr in _VRS and len(element.value or b"") % _SIZES.get(vr, 1) == 0


@lru_cache(maxsize=10_000)
def _vr_of(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


@lru_cache(maxsize=10_000)
def _are_numbers(vr: str, value: bytes) -> bool:
    parse = IS if vr == VR.IS else DSfloat
    try:
        for part in value.decode("latin-1").strip(" \0").split("\\"):
            if part.strip():
                parse(part, validation_mode=config.IGNORE)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


class _WatchedFile(io.BufferedReader):
    """A file that remembers whether it ended inside something.

    pydicom takes a file that is cut off for one that just ends: it keeps the half value, or warns. A length that is
    damaged would make it ask for gigabytes.
    """

    short = False
    _ends = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return super().read(size)
        data = super().read(size if size <= LONGEST_VALUE else min(size, self._left()))
        if len(data) < size:
            self._ends += 1
            self.short = self.short or bool(data) or self._ends > 1
        return data

    def _left(self) -> int:
        return max(os.fstat(self.fileno()).st_size - self.tell(), 0)


def _pixels_are_whole(file: BinaryIO, header: Dataset) -> bool:
    """Tell whether the pixel data, which the file is positioned at, is there to its end."""
    syntax = text(header.file_meta, "TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        return True  # a deflated stream that is cut off does not inflate
    endian = ">" if syntax == ExplicitVRBigEndian else "<"
    start = file.read(_HEAD)
    if not start:
        return True  # there is none
    group, element, vr, _ = struct.unpack(f"{endian}HH2sH", start)
    if (group << 16 | element) not in _PIXEL_TAGS:
        return False
    explicit = vr in _LONG_LENGTH_VRS and syntax != ImplicitVRLittleEndian
    (length,) = struct.unpack(f"{endian}L", file.read(4) if explicit else start[4:])
    return _encapsulation_ends(file) if length == _UNDEFINED_LENGTH else _fits(file, length)


def _fits(file: BinaryIO, length: int) -> bool:
    """Tell whether so many bytes follow, and skip them."""
    here = file.tell()
    return file.seek(0, io.SEEK_END) >= here + length and file.seek(here + length) >= 0


def _encapsulation_ends(file: BinaryIO) -> bool:
    """Walk over the fragments of compressed pixel data (PS3.5 annex A.4) to their delimiter."""
    while len(head := file.read(_HEAD)) == _HEAD:
        group, element, length = struct.unpack("<HHL", head)
        if (group << 16 | element) == _SEQUENCE_DELIMITER:
            return True
        if (group << 16 | element) != _ITEM or not _fits(file, length):
            return False
    return False
