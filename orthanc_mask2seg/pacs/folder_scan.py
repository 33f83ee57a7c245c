"""Which files under a folder are DICOM, and which only claim to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.pacs.part10 import UnreadableError, read_file, text

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
"""A file with such a name is DICOM, or broken."""

CLUTTER = frozenset({"dicomdir", "thumbs.db", "desktop.ini", "readme", "license", "makefile"})
"""Names of files that lie beside images on every disc."""

_PREAMBLE = 128
_MAGIC = b"DICM"
_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A DICOM file.

    Attributes
    ----------
    name
        Path below the root, for people.
    modified
        Time of the last change, in nanoseconds.
    """

    path: Path
    name: str
    header: Dataset
    size: int
    modified: int

    @property
    def key(self) -> ArchiveKey:
        """The archive's address of the file."""
        return ArchiveKey(str(self.path))


@dataclass(slots=True)
class Scan:
    """What a scan found.

    Attributes
    ----------
    unreadable
        (Path below the root, why) of what claims to be DICOM and cannot be read, and of folders that cannot be
        looked into.
    """

    files: list[Found] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def scan(root: Path) -> Scan:
    """Read the header of every DICOM file under a folder, in the order of their names."""
    result = Scan()
    for path in _files_under(root, result):
        name = str(path.relative_to(root)) if path != root else path.name
        try:
            found = _looked_at(path, name, named=path == root)
        except UnreadableError as error:
            result.unreadable.append((name, str(error)))
        except OSError as error:
            result.unreadable.append((name, os.strerror(error.errno or 0)))
        else:
            if found is not None:
                result.files.append(found)
    return result


def _files_under(root: Path, result: Scan) -> Iterator[Path]:
    """Walk over a folder, through symbolic links, each folder once."""
    if not root.is_dir():
        yield root
        return

    def refused(error: OSError) -> None:
        below = os.path.relpath(error.filename or root, root)
        result.unreadable.append((below, os.strerror(error.errno or 0)))

    visited: set[tuple[int, int]] = set()
    for folder, names, files in os.walk(root, onerror=refused, followlinks=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in visited:
            names.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        names.sort()
        yield from (Path(folder, name) for name in sorted(files))


def _looked_at(path: Path, name: str, *, named: bool) -> Found | None:
    """Read a file; None where it is no DICOM and does not claim to be.

    Raises
    ------
    UnreadableError
        It claims to be DICOM: by its magic word, its suffix, or because the user named it.
    OSError
        The same, but the system does not let it be read.
    """
    if not named and (path.name.startswith(".") or path.name.lower() in CLUTTER):
        return None
    claims = named or path.suffix.lower() in DICOM_SUFFIXES
    try:
        if not path.is_file() and not path.is_symlink():
            return None  # a pipe or a device
        claims = claims or _has_magic(path)
        if not claims and not _has_no_suffix(path):
            return None
        header = read_file(path)
        state = path.stat()
    except UnreadableError:
        if claims:
            raise
        return None
    except OSError:
        if claims or _has_no_suffix(path):
            raise
        return None
    return _judged(Found(path=path, name=name, header=header, size=state.st_size, modified=state.st_mtime_ns), claims)


def _judged(file: Found, claims: bool) -> Found | None:
    sop_class = text(file.header, "SOPClassUID")
    if sop_class == _DIRECTORY or text(file.header.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY:
        return None
    if text(file.header, "SeriesInstanceUID") or sop_class:
        return file
    if claims:
        raise UnreadableError("is not DICOM: it has neither SOPClassUID nor SeriesInstanceUID")
    return None


def _has_magic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC


def _has_no_suffix(path: Path) -> bool:
    """Tell whether a name has no suffix; the end of a UID or a number is none."""
    return not path.suffix or path.suffix[1:].isdigit()
