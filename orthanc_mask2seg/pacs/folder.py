"""Folders of DICOM files behind the port: what works without a PACS."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom import Dataset, dcmread

from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveDenied,
    ArchiveError,
    ArchiveRejected,
    ConfigurationError,
    NotInArchive,
    StoreMismatch,
)
from orthanc_mask2seg.model import ArchiveKey, OutputReport, Receipt, Series, Uid
from orthanc_mask2seg.pacs.folder_scan import Found, scan
from orthanc_mask2seg.pacs.part10 import (
    UnreadableError,
    digest_of,
    identity_of,
    read_file,
    series_of,
    text,
)
from orthanc_mask2seg.pacs.port import Archive

COMPANIONS = frozenset({"SR", "RTSTRUCT", "OT"})
"""Modalities of what is made of a segmentation: it lies beside the one file that was named for that."""

HEADERS_KEPT = 2000
"""Headers kept in memory; those of further files are read again when they are needed."""


@dataclass(slots=True)
class _Root:
    """What lies under one root."""

    series: dict[ArchiveKey, Series] = field(default_factory=dict)
    unreadable: tuple[tuple[str, str], ...] = ()


class FolderArchive(Archive):
    """Folders of DICOM files, each at any depth; a root may be a single file too.

    Instances are told apart by their path, never by their UIDs: a mask may carry those of its source. The files are
    read once, when they are first asked for.

    Parameters
    ----------
    roots
        Folders or files to read.
    out
        Where to store: a file where the name ends with `.dcm` or another suffix, else a folder. None to store nothing.

    Raises
    ------
    ConfigurationError
        A root does not exist.
    """

    def __init__(self, roots: Sequence[Path], out: Path | None = None) -> None:
        for root in roots:
            if not root.exists():
                raise ConfigurationError(f"{root} does not exist", hint="Give a folder of DICOM files, or one file.")
        self._paths = tuple(dict.fromkeys(Path(root) for root in roots))
        self._out = out
        self._one_file = self.one_file
        self._roots: dict[Path, _Root] = {}
        self._headers: dict[ArchiveKey, Dataset | None] = {}
        self._stored: set[ArchiveKey] = set()

    def series_under(self, root: Path) -> tuple[Series, ...]:
        """Every series under one of the roots."""
        return tuple(self._scanned(root).series.values())

    def unreadable(self, root: Path) -> tuple[tuple[str, str], ...]:
        """Files under a root that claim to be DICOM and cannot be read: (path below the root, why)."""
        return self._scanned(root).unreadable

    def all_series(self) -> Iterator[Series]:
        """Every series of every root, root by root."""
        for root in self._paths:
            yield from self.series_under(root)

    def series(self, key: ArchiveKey) -> Series:
        """The series with that key."""
        for series in self.all_series():
            if series.key == key:
                return series
        raise NotInArchive("There is no such series in these folders")

    def find_series(self, identifier: str) -> Series:
        """The series with that key or SeriesInstanceUID."""
        found = [s for s in self.all_series() if identifier in {s.key, s.series_instance_uid}]
        if not found:
            raise NotInArchive("There is no such series in these folders")
        if len(found) > 1:
            raise ArchiveRejected(
                "Several folders hold a series with this SeriesInstanceUID", hint="Give the folder that is meant."
            )
        return found[0]

    def series_of_study(self, study_instance_uid: Uid) -> tuple[Series, ...]:
        """Every series of a study, over all roots."""
        return tuple(s for s in self.all_series() if s.study_instance_uid == study_instance_uid)

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per file, without pixels, private and very long elements."""
        return tuple(self._header(key) for key in series.instance_keys)

    def calling_aet(self, series: Series) -> str:  # noqa: ARG002 - files do not say
        """Nothing: files do not say who sent them."""
        return ""

    def content(self, instance: ArchiveKey) -> bytes:
        """The bytes of a file."""
        if instance not in self._headers and instance not in self._stored:
            raise NotInArchive("There is no such file in these folders")
        with _translated("A DICOM file cannot be read"):
            return Path(instance).read_bytes()

    def contents(self, instances: tuple[ArchiveKey, ...]) -> Iterator[bytes]:
        """The bytes of several files, in order, one at a time."""
        return (self.content(instance) for instance in instances)

    def store(self, content: bytes) -> Receipt:
        """Write a file that is either whole or not there, and never over another one."""
        identity = identity_of(content)
        path = self._path_for(identity.sop_instance_uid, content)
        with _translated("The result cannot be written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            created = _write_new(path, content)
            if not created and path.read_bytes() != content:
                raise StoreMismatch(
                    f"{path} exists and holds something else", hint="Remove it, or give another output (-o)."
                )
        key = ArchiveKey(str(path))
        self._stored.add(key)
        return Receipt(
            key=key,
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            created=created,
            path=str(path),
        )

    def attach(self, stored: OutputReport, name: str, content: bytes) -> str | None:
        """Write a file beside a stored one, never over another one with other bytes."""
        if stored.path is None:
            return None
        first = Path(stored.path)
        path = first.with_name(f"{first.stem}.{name}")
        with _translated("The result cannot be written"):
            if not _write_new(path, content) and path.read_bytes() != content:
                raise StoreMismatch(
                    f"{path} exists and holds something else", hint="Remove it, or give another output (-o)."
                )
        return str(path)

    def delete_instance(self, instance: ArchiveKey) -> None:
        """Delete a file that this archive stored; nothing happens where it is gone already."""
        if instance not in self._stored:
            raise ArchiveRejected("Only files that were stored here are deleted")
        with _translated("The file cannot be deleted"):
            Path(instance).unlink(missing_ok=True)

    def _scanned(self, root: Path) -> _Root:
        if root not in self._paths:
            raise NotInArchive(f"{root} is not one of these folders")
        if root not in self._roots:
            self._roots[root] = self._grouped(root)
        return self._roots[root]

    def _grouped(self, root: Path) -> _Root:
        """Scan a root and group its files by SeriesInstanceUID."""
        result = scan(root)
        groups: dict[str, list[Found]] = {}
        unreadable = list(result.unreadable)
        for file in result.files:
            uid = text(file.header, "SeriesInstanceUID")
            if uid:
                groups.setdefault(uid, []).append(file)
            else:
                unreadable.append((file.name, "has no SeriesInstanceUID"))
        series = (self._series(root, uid, _distinct(files)) for uid, files in groups.items())
        return _Root(series={one.key: one for one in series}, unreadable=tuple(unreadable))

    def _series(self, root: Path, uid: str, files: Sequence[Found]) -> Series:
        for file in files:
            kept = len(self._headers) < HEADERS_KEPT
            self._headers.setdefault(file.key, file.header if kept else None)
        first = files[0].header
        series = series_of(
            first,
            key=ArchiveKey(f"{root}#{uid}"),
            study_key=ArchiveKey(text(first, "StudyInstanceUID")),
            instance_keys=[file.key for file in files],
            last_update=str(max(file.modified for file in files)),
        )
        return replace(series, folder_names=_folder_names(root, [file.path for file in files]))

    def _header(self, key: ArchiveKey) -> Dataset:
        if key not in self._headers:
            raise NotInArchive("There is no such file in these folders")
        header = self._headers[key]
        if header is not None:
            return header
        try:
            with _translated("A DICOM file cannot be read"):
                return read_file(Path(key))
        except UnreadableError as error:
            raise ArchiveRejected(f"A DICOM file {error}") from None

    @property
    def one_file(self) -> bool:
        """Whether the place for the result is a file, not a folder; what is made of it lies beside it."""
        return self._out is not None and not self._out.is_dir() and bool(self._out.suffix or self._out.exists())

    def _path_for(self, sop_instance_uid: Uid, content: bytes) -> Path:
        if self._out is None:
            raise ConfigurationError("There is no place to store the result", hint="Name one with -o.")
        if self._one_file:
            modality = str(dcmread(io.BytesIO(content), specific_tags=["Modality"]).get("Modality") or "")
            beside = self._out.with_name(f"{self._out.stem}.{modality.lower()}.dcm")
            return beside if modality in COMPANIONS else self._out
        if not sop_instance_uid.replace(".", "").isdigit():
            raise ArchiveRejected("The SOPInstanceUID is not a UID, and cannot be the name of a file")
        return self._out / f"{sop_instance_uid}.dcm"


def _distinct(files: Sequence[Found]) -> list[Found]:
    """Leave out byte-identical copies of a file. Only files of one size and one SOPInstanceUID are compared."""
    alike: dict[tuple[str, int], list[Found]] = {}
    for file in files:
        alike.setdefault((text(file.header, "SOPInstanceUID"), file.size), []).append(file)
    kept: list[Found] = []
    for group in alike.values():
        kept += group if len(group) == 1 else {digest_of(f.path.read_bytes()): f for f in reversed(group)}.values()
    return sorted(kept, key=lambda file: file.key)


def _write_new(path: Path, content: bytes) -> bool:
    """Write to a temporary name and link it to the final one, which fails where that exists; then it's False."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _rename_new(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems have no way to sync a folder
        _sync_folder(path.parent)
    return True


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename, but never over another file."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def _folder_names(root: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Names of the folders that hold all files of a series, from theirs up to the root, which a person named."""
    if root.is_file():
        return ()
    root = root.absolute()
    folder = Path(os.path.commonpath([file.absolute().parent for file in files]))
    return tuple(one.name for one in (folder, *folder.parents) if one.is_relative_to(root) and one.name)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn faults of the file system into ours."""
    try:
        yield
    except FileNotFoundError:
        raise NotInArchive(f"{what}: the file is gone") from None
    except PermissionError:
        raise ArchiveDenied(f"{what}: permission denied", hint="Check the permissions of the folder.") from None
    except OSError as error:
        kind: type[ArchiveError] = ArchiveBusy if error.errno in _FULL else ArchiveRejected
        raise kind(f"{what}: {os.strerror(error.errno or 0)}", hint="Check the disk and the folder.") from None
