"""An archive in memory, for tests and simulations: it behaves as Orthanc does, journal included."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from orthanc_mask2seg.errors import ArchiveRejected, NotInArchive, StoreMismatch
from orthanc_mask2seg.model import ArchiveKey, Change, Receipt, Series, Uid
from orthanc_mask2seg.pacs.part10 import Identity, header_of, identity_of, series_of
from orthanc_mask2seg.pacs.port import Archive, ChangesPage, Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instance:
    """A stored instance; `arrival` counts up over the whole archive."""

    identity: Identity
    content: bytes
    arrival: int


class MemoryArchive(Archive, Journal):
    """An archive in memory that gives keys and journal entries as Orthanc does. Safe to use from several threads."""

    def __init__(self) -> None:
        self._instances: dict[ArchiveKey, _Instance] = {}
        self._journal: list[Change] = []
        self._sequence = 0
        self._arrivals = 0
        self._lock = threading.RLock()

    def add(self, content: bytes) -> ArchiveKey:
        """Take in a DICOM file as if a modality had sent it, over one with the same identifiers if need be."""
        identity = identity_of(content)
        key = identity.instance_key
        with self._lock:
            new_series = not self._instances_of(identity.series_key)
            new_study = all(known.identity.study_key != identity.study_key for known in self._instances.values())
            self._arrivals += 1
            self._instances[key] = _Instance(identity=identity, content=content, arrival=self._arrivals)
            self._note("NewInstance", key)
            if new_series:
                self._note("NewSeries", identity.series_key)
            if new_study:
                self._note("NewStudy", identity.study_key)
        return key

    def delete(self, key: ArchiveKey) -> None:
        """Delete an instance or a whole series; their entries vanish from the journal, as Orthanc's do."""
        with self._lock:
            gone = {key, *self._instances_of(key)}
            for instance in gone:
                self._instances.pop(instance, None)
            self._journal = [change for change in self._journal if change.key not in gone]

    def all_series(self) -> Iterator[Series]:
        """Every series, in the order of their first arrival."""
        with self._lock:
            keys = dict.fromkeys(instance.identity.series_key for instance in self._instances.values())
            found = [self.series(key) for key in keys]
        return iter(found)

    def series(self, key: ArchiveKey) -> Series:
        """The series with that key."""
        with self._lock:
            instances = self._instances_of(key)
        if not instances:
            raise NotInArchive("There is no such series in memory")
        first = next(iter(instances.values()))
        return series_of(
            header_of(first.content),
            key=key,
            study_key=first.identity.study_key,
            instance_keys=tuple(instances),
            last_update=str(max(instance.arrival for instance in instances.values())),
        )

    def find_series(self, identifier: str) -> Series:
        """The series with that key or SeriesInstanceUID."""
        found = [s for s in self.all_series() if identifier in {s.key, s.series_instance_uid}]
        if not found:
            raise NotInArchive("There is no such series in memory")
        if len(found) > 1:
            raise ArchiveRejected("Several series have this SeriesInstanceUID")
        return found[0]

    def series_of_study(self, study_instance_uid: Uid) -> tuple[Series, ...]:
        """Every series of a study."""
        with self._lock:
            identities = [one.identity for one in self._instances.values()]
            keys = dict.fromkeys(i.series_key for i in identities if i.study_instance_uid == study_instance_uid)
            return tuple(self.series(key) for key in keys)

    def find_study(self, identifier: str) -> tuple[Series, ...]:
        """All series of the study with that key or StudyInstanceUID."""
        return tuple(s for s in self.all_series() if identifier in {s.study_key, s.study_instance_uid})

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per instance, without pixels, private and very long elements."""
        return tuple(header_of(self.content(key)) for key in series.instance_keys)

    def calling_aet(self, series: Series) -> str:  # noqa: ARG002 - memory is told by nobody
        """Nothing: no modality sends to memory."""
        return ""

    def content(self, instance: ArchiveKey) -> bytes:
        """The DICOM file of an instance."""
        with self._lock:
            known = self._instances.get(instance)
        if known is None:
            raise NotInArchive("There is no such instance in memory")
        return known.content

    def contents(self, instances: tuple[ArchiveKey, ...]) -> Iterator[bytes]:
        """The DICOM files of several instances, in order."""
        return (self.content(instance) for instance in instances)

    def store(self, content: bytes) -> Receipt:
        """Store a DICOM file, never over other bytes."""
        identity = identity_of(content)
        with self._lock:
            known = self._instances.get(identity.instance_key)
            if known is not None and known.content != content:
                raise StoreMismatch("The archive holds this instance with other bytes")
            if known is None:
                self.add(content)
        return Receipt(
            key=identity.instance_key,
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            created=known is None,
        )

    def address_of(self, content: bytes) -> ArchiveKey:
        """The key that Orthanc gives: it follows from the identifiers."""
        return identity_of(content).instance_key

    def delete_instance(self, instance: ArchiveKey) -> None:
        """Delete one instance; nothing happens where it is gone already."""
        with self._lock:
            if instance in self._instances:
                self.delete(instance)

    def changes(self, since: int, limit: int) -> ChangesPage:
        """A page of the journal; `limit` is at least 1."""
        with self._lock:
            newer = [change for change in self._journal if change.sequence > since]
            page = tuple(newer[: max(limit, 1)])
            done = len(page) == len(newer)
            return ChangesPage(changes=page, last=page[-1].sequence if page else self._sequence, done=done)

    def last_change(self) -> int:
        """The newest sequence number, also where that entry is gone."""
        with self._lock:
            return self._sequence

    def _instances_of(self, series: ArchiveKey) -> dict[ArchiveKey, _Instance]:
        return {key: one for key, one in self._instances.items() if one.identity.series_key == series}

    def _note(self, kind: str, key: ArchiveKey) -> None:
        self._sequence += 1
        self._journal.append(Change(sequence=self._sequence, kind=kind, key=key))
