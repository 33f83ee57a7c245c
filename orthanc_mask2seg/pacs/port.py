"""The port that every archive fulfils: what the rest of the house may ask of a PACS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pydicom import Dataset

from orthanc_mask2seg.errors import NotInArchive, NotSupported
from orthanc_mask2seg.model import ArchiveKey, Change, OutputReport, Receipt, Series, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesPage:
    """A page of the journal.

    Attributes
    ----------
    last
        Sequence number to ask from next time, as the archive gave it.
    done
        Nothing newer is known to the archive.
    """

    changes: tuple[Change, ...]
    last: int
    done: bool


class Archive(Protocol):
    """A place that holds DICOM series.

    Every method raises the `ArchiveError` tree of `errors` and nothing else: foreign exceptions stop at this door.
    """

    def all_series(self) -> Iterator[Series]:
        """Every series, read page by page."""

    def series(self, key: ArchiveKey) -> Series:
        """The series at an address; raises `NotInArchive`."""

    def find_series(self, identifier: str) -> Series:
        """The series with that archive key or SeriesInstanceUID; raises `NotInArchive`."""

    def series_of_study(self, study_instance_uid: Uid) -> tuple[Series, ...]:
        """Every series of a study; empty where there is none."""

    def find_study(self, identifier: str) -> tuple[Series, ...]:
        """All series of a study, by the archive's key of it or its StudyInstanceUID."""
        return self.series_of_study(Uid(identifier))

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per instance, in the order of `instance_keys`, without pixel data.

        Text is decoded; long or private values may be missing.
        """

    def calling_aet(self, series: Series) -> str:
        """Application entity title that sent the series; '' where the archive does not know."""

    def content(self, instance: ArchiveKey) -> bytes:
        """The DICOM file (PS3.10) of an instance, byte for byte as it was stored."""

    def contents(self, instances: tuple[ArchiveKey, ...]) -> Iterator[bytes]:
        """The DICOM files of several instances, in the order asked for, fetched some at a time."""

    def store(self, content: bytes) -> Receipt:
        """Store a DICOM file and prove that it is there, byte for byte.

        Raises
        ------
        StoreMismatch
            The archive said yes and holds something else, or nothing.
        """

    def address_of(self, content: bytes) -> ArchiveKey:
        """Where the archive holds an instance, or would: known before it is stored."""
        raise NotSupported(f"this archive gives {len(content)} bytes an address when they are stored")

    def delete_instance(self, instance: ArchiveKey) -> None:
        """Delete one instance that this service stored; nothing happens where it is gone already."""

    # What follows is a courtesy: an archive that cannot do it does nothing.

    def count_series(self) -> int | None:
        """How many series it holds; None where it cannot tell without looking through them."""
        return None

    def study_date(self, series: Series) -> str | None:  # noqa: ARG002
        """StudyDate of the study of a series as its index has it, '' for none; None where the files have to say."""
        return None

    def label(self, series: ArchiveKey, labels: frozenset[str], among: frozenset[str]) -> bool:  # noqa: ARG002
        """Give a series exactly these labels among those that are ours; False where the archive has no labels."""
        return False

    def keep_note(self, series: ArchiveKey, note: str) -> bool:  # noqa: ARG002
        """Keep a text beside a series, instead of an earlier one; False where the archive keeps none."""
        return False

    def attach(self, stored: OutputReport, name: str, content: bytes) -> str | None:  # noqa: ARG002
        """Keep a file beside something stored, instead of an earlier one; where it is, None where none is kept."""
        return None

    def attached(self, place: str) -> bytes:  # noqa: ARG002
        """The file that `attach` has kept at that place; raises NotInArchive where there is none."""
        raise NotInArchive

    def note(self, series: ArchiveKey) -> str | None:  # noqa: ARG002
        """The text that is kept beside a series; None where there is none."""
        return None


class Journal(Protocol):
    """An archive that also tells what happened to it."""

    def changes(self, since: int, limit: int) -> ChangesPage:
        """A page of the journal after the sequence number `since`."""

    def last_change(self) -> int:
        """The newest sequence number."""


Progress = Callable[[str, int, int], None]
"""Called as (step, done, total)."""
