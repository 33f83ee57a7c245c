"""Folders of DICOM files and data sets in memory as one archive, for Python programs that have no PACS."""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from orthanc_mask2seg.errors import ArchiveRejected, NotInArchive
from orthanc_mask2seg.model import ArchiveKey, OutputReport, Receipt, Series, Uid
from orthanc_mask2seg.pacs.folder import FolderArchive
from orthanc_mask2seg.pacs.part10 import DICOM_FAULTS, header_of, identity_of, series_of, text
from orthanc_mask2seg.pacs.port import Archive

Root = Path | tuple[Dataset, ...]
"""A folder (or file) of DICOM files, or the data sets of one or several series."""

_IN_MEMORY = "data set"


class GatheredArchive(Archive):
    """Folders of DICOM files and data sets in memory.

    A data set is written as a file each time that its bytes are asked for, so that nothing is held twice; it is never
    changed.

    Parameters
    ----------
    roots
        Folders, and groups of data sets.
    out
        File or folder to store in, as `FolderArchive` has it; None to keep in memory what is stored.

    Raises
    ------
    ConfigurationError
        A folder does not exist.
    """

    def __init__(self, roots: Sequence[Root], out: Path | None = None) -> None:
        self._folders = FolderArchive([root for root in roots if isinstance(root, Path)], out)
        self._out = out
        self._roots = tuple(roots)  # groups are told apart by which object they are
        self._data_sets: dict[ArchiveKey, Dataset] = {}
        self._groups: dict[int, dict[ArchiveKey, Series]] = {}
        self._unreadable: dict[int, tuple[tuple[str, str], ...]] = {}
        self._kept: dict[str, bytes] = {}
        self._stored: dict[ArchiveKey, bytes] = {}
        for number, group in enumerate((root for root in self._roots if isinstance(root, tuple)), start=1):
            if id(group) not in self._groups:
                self._take_in(number, group)

    @property
    def one_file(self) -> bool:
        """Whether the place for the result is a file."""
        return self._folders.one_file

    def kept(self, sha256: str) -> bytes:
        """What was stored here, by its digest; raises `NotInArchive`."""
        try:
            return self._kept[sha256]
        except KeyError:
            raise NotInArchive("Nothing with this digest was made") from None

    def series_under(self, root: Root) -> tuple[Series, ...]:
        """Every series of one of the roots."""
        return self._folders.series_under(root) if isinstance(root, Path) else tuple(self._groups[id(root)].values())

    def unreadable(self, root: Root) -> tuple[tuple[str, str], ...]:
        """What is no DICOM though it should be: (name, why)."""
        return self._folders.unreadable(root) if isinstance(root, Path) else self._unreadable[id(root)]

    def all_series(self) -> Iterator[Series]:
        """Every series of every root."""
        yield from self._folders.all_series()
        for group in self._groups.values():
            yield from group.values()

    def series(self, key: ArchiveKey) -> Series:
        """The series with that key."""
        for group in self._groups.values():
            if key in group:
                return group[key]
        return self._folders.series(key)

    def find_series(self, identifier: str) -> Series:
        """The series with that key or SeriesInstanceUID."""
        found = [s for s in self.all_series() if identifier in {s.key, s.series_instance_uid}]
        if not found:
            raise NotInArchive("There is no such series here")
        if len(found) > 1:
            raise ArchiveRejected("Several series have this SeriesInstanceUID")
        return found[0]

    def series_of_study(self, study_instance_uid: Uid) -> tuple[Series, ...]:
        """Every series of a study."""
        return tuple(s for s in self.all_series() if s.study_instance_uid == study_instance_uid)

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per instance, without pixels, private and very long elements."""
        if not all(key in self._data_sets for key in series.instance_keys):
            return self._folders.headers(series)
        return tuple(header_of(self.content(key)) for key in series.instance_keys)

    def calling_aet(self, series: Series) -> str:  # noqa: ARG002 - nobody sent them
        """Nothing: no modality sends to memory."""
        return ""

    def content(self, instance: ArchiveKey) -> bytes:
        """The DICOM file of an instance."""
        if instance in self._data_sets:
            return as_file(self._data_sets[instance])
        if instance in self._stored:
            return self._stored[instance]
        return self._folders.content(instance)

    def contents(self, instances: tuple[ArchiveKey, ...]) -> Iterator[bytes]:
        """The DICOM files of several instances, in order, one at a time."""
        return (self.content(instance) for instance in instances)

    def store(self, content: bytes) -> Receipt:
        """Write a file, never over other bytes; or keep it in memory."""
        self._kept[hashlib.sha256(content).hexdigest()] = content
        if self._out is not None:
            return self._folders.store(content)
        identity = identity_of(content)
        key = ArchiveKey(f"made {identity.sop_instance_uid}")
        created = key not in self._stored
        self._stored[key] = content
        return Receipt(
            key=key,
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            created=created,
        )

    def attach(self, stored: OutputReport, name: str, content: bytes) -> str | None:
        """Write a file beside a stored one, or keep it in memory."""
        self._kept[hashlib.sha256(content).hexdigest()] = content
        return name if self._out is None else self._folders.attach(stored, name, content)

    def delete_instance(self, instance: ArchiveKey) -> None:
        """Delete what was stored here."""
        if self._stored.pop(instance, None) is None:
            self._folders.delete_instance(instance)

    def _take_in(self, number: int, group: tuple[Dataset, ...]) -> None:
        """Group data sets by SeriesInstanceUID, as the files of a folder are."""
        headers: dict[str, dict[ArchiveKey, Dataset]] = {}
        unreadable = []
        for index, data_set in enumerate(group, start=1):
            name = f"{_IN_MEMORY} {index}"
            try:
                header = header_of(as_file(data_set))
            except ArchiveRejected as error:
                unreadable.append((name, str(error)))
                continue
            uid = text(header, "SeriesInstanceUID")
            if not uid:
                unreadable.append((name, "has no SeriesInstanceUID"))
                continue
            key = ArchiveKey(f"{_IN_MEMORY} {index} of {number}")
            self._data_sets[key] = data_set
            headers.setdefault(uid, {})[key] = header
        found = (_series(number, uid, members) for uid, members in headers.items())
        self._groups[id(group)] = {series.key: series for series in found}
        self._unreadable[id(group)] = tuple(unreadable)


def _series(number: int, uid: str, members: dict[ArchiveKey, Dataset]) -> Series:
    first = next(iter(members.values()))
    return series_of(
        first,
        key=ArchiveKey(f"{_IN_MEMORY}s {number}#{uid}"),
        study_key=ArchiveKey(text(first, "StudyInstanceUID")),
        instance_keys=tuple(members),
        last_update="",
    )


def as_file(data_set: Dataset) -> bytes:
    """The DICOM file (PS3.10) of a data set, which stays as it is.

    One without file meta information was made in memory: it is written in Explicit VR Little Endian, which is right
    wherever its pixels are not compressed.

    Raises
    ------
    ArchiveRejected
        It cannot be written.
    """
    written = copy.copy(data_set)
    meta = getattr(data_set, "file_meta", None)
    written.file_meta = FileMetaDataset() if meta is None else copy.deepcopy(meta)
    if "TransferSyntaxUID" not in written.file_meta:
        if "PixelData" in data_set and data_set["PixelData"].is_undefined_length:
            raise ArchiveRejected("has compressed pixels and does not say how: file_meta lacks TransferSyntaxUID")
        written.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    try:
        written.save_as(buffer, enforce_file_format=True)
    except DICOM_FAULTS as error:
        raise ArchiveRejected(f"cannot be written as DICOM ({type(error).__name__})") from None
    return buffer.getvalue()


def without_address(output: OutputReport) -> OutputReport:
    """What was kept in memory only: no archive and no folder has it."""
    return replace(output, orthanc_id=None, attachment=None)
