"""Any DICOMweb archive behind the port: QIDO-RS finds, WADO-RS retrieves, STOW-RS stores (PS3.18 section 10).

Tried with Orthanc's DICOMweb 1.7, 1.20 and 1.24. A key is the path below the root of the service.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pydicom import Dataset

from orthanc_mask2seg.addresses import DicomwebAddress
from orthanc_mask2seg.errors import (
    ArchiveRejected,
    ArchiveUnreachable,
    NotInArchive,
    NotSupported,
    StoreMismatch,
)
from orthanc_mask2seg.model import ArchiveKey, Receipt, Series, Uid
from orthanc_mask2seg.pacs.dicomweb_http import CONNECTIONS, DicomwebHttp
from orthanc_mask2seg.pacs.dicomweb_index import (
    COUNT,
    INSTANCE_KEY,
    SERIES_KEY,
    SERIES_UID,
    SOP_UID,
    UID,
    Index,
    checked,
    instance_key,
    key_of,
    series_key,
    series_of,
    uids_of,
    whole,
)
from orthanc_mask2seg.pacs.dicomweb_json import first, headers_from, number
from orthanc_mask2seg.pacs.dicomweb_poll import Counts, SweptJournal
from orthanc_mask2seg.pacs.dicomweb_store import judge, same_instance
from orthanc_mask2seg.pacs.part10 import identity_of
from orthanc_mask2seg.pacs.port import Archive, ChangesPage, Journal
from orthanc_mask2seg.pacs.transfer import MAX_INSTANCE_BYTES, ConnectionDropped, fetched

APPEARS_AFTER_SECONDS = (0.0, 0.25, 1.0)
"""An instance that was accepted is looked for so often, after such a rest each: not every archive shows it at once."""

OK = range(200, 300)


class DicomwebArchive(Archive, Journal):
    """A DICOMweb archive. Safe to use from several threads. Close it, or use it in a `with` statement.

    Parameters
    ----------
    timeout
        Longest silence inside one answer, in seconds.
    max_bytes
        Largest DICOM file that is taken.
    """

    def __init__(self, address: DicomwebAddress, timeout: float = 60.0, *, max_bytes: int = MAX_INSTANCE_BYTES) -> None:
        self._http = DicomwebHttp(address, timeout, max_bytes=max_bytes)
        self._index = Index(self._http)
        self._journal = SweptJournal(self._counts)
        self._whole_series: tuple[str, dict[str, bytes]] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def all_series(self) -> Iterator[Series]:
        """Every series, read page by page; without `instance_keys` where the archive counts them."""
        for page in self._index.pages():
            for record in page:
                count = number(record, COUNT)
                yield self._index.series(record) if count is None else series_of(record, (), count)

    def series(self, key: ArchiveKey) -> Series:
        """The series at a path. Its instances are listed anew when their number has changed."""
        return self._series(key, listed=True)

    def find_series(self, identifier: str) -> Series:
        """The series at that path or with that SeriesInstanceUID."""
        if SERIES_KEY.fullmatch(identifier):
            return self.series(ArchiveKey(identifier))
        studies = self._index.studies_of(identifier) if UID.fullmatch(identifier) else []
        if not studies:
            raise NotInArchive("The archive holds no series with this SeriesInstanceUID")
        if len(studies) > 1:
            raise ArchiveRejected(
                "The archive holds this SeriesInstanceUID in several studies",
                hint="Give the one that is meant as studies/UID/series/UID.",
            )
        return self.series(series_key(studies[0], identifier))

    def series_of_study(self, study_instance_uid: Uid) -> tuple[Series, ...]:
        """Every series of a study."""
        if not UID.fullmatch(study_instance_uid):
            return ()
        found = [self._index.series(record) for record in self._index.records(study_instance_uid)]
        return tuple(s if len(s.instance_keys) == s.instance_count else self.series(s.key) for s in found)

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per instance, in one request, as text in UTF-8."""
        study, uid = uids_of(series.key)
        records = self._http.records(
            "the headers of a series", lambda client: client.retrieve_series_metadata(study, uid)
        )
        found = {first(r, SOP_UID): r for r in records if first(r, SERIES_UID) in {uid, ""}}
        wanted = [key.rpartition("/")[2] for key in series.instance_keys]
        if any(name not in found for name in wanted):
            self._index.forget(series.key)
            raise NotInArchive("Some instances of the series have gone from the archive meanwhile")
        return headers_from(found[name] for name in wanted)

    def calling_aet(self, series: Series) -> str:  # noqa: ARG002
        """Nothing: DICOMweb does not tell who sent a series."""
        return ""

    def content(self, instance: ArchiveKey) -> bytes:
        """The DICOM file of an instance, as it was stored."""
        return next(self.contents((instance,)))

    def contents(self, instances: tuple[ArchiveKey, ...]) -> Iterator[bytes]:
        """The DICOM files of several instances, in order, fetched over several connections."""
        try:
            yield from fetched(self._fetched, instances, CONNECTIONS // 2)
        finally:
            self._whole_series = None

    def store(self, content: bytes) -> Receipt:
        """Store a DICOM file, retrieve it again, and compare.

        The data set has to be the same, element by element; the file meta information (group 2) and the encoding may
        differ. Nothing is sent where the archive holds the instance already.
        """
        identity = identity_of(content)
        key = instance_key(
            series_key(identity.study_instance_uid, identity.series_instance_uid), identity.sop_instance_uid
        )
        if INSTANCE_KEY.fullmatch(key) is None:
            raise ArchiveRejected("A UID of the instance is none")
        held = self._held(key)
        created = held is None
        if held is None:
            held = self._sent(key, content)
        if held is None:
            raise StoreMismatch("The archive said that the instance is stored, and does not hold it")
        if not same_instance(held, content):
            raise StoreMismatch("The archive holds this instance with other content than was sent")
        return Receipt(
            key=key,
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            created=created,
            resource=key,
        )

    def address_of(self, content: bytes) -> ArchiveKey:
        """The path of an instance."""
        return _key_of_file(content)

    def delete_instance(self, instance: ArchiveKey) -> None:
        """Delete one instance where the archive can: the standard has no such transaction.

        Raises
        ------
        NotSupported
            It is still there afterwards.
        """
        status = self._http.delete(f"/{checked(instance)}")
        if status in OK:
            return
        if not self._lists(instance):
            return
        raise NotSupported(f"The archive answered {status} to a deletion", hint="Delete it by the archive's own means.")

    def changes(self, since: int, limit: int) -> ChangesPage:
        """A page of what repeated searches have found."""
        return self._journal.changes(since, limit)

    def last_change(self) -> int:
        """The newest sequence number."""
        return self._journal.last_change()

    def _series(self, key: ArchiveKey, *, listed: bool) -> Series:
        study, series = uids_of(key)

        def read() -> Series:
            found = self._index.records(study, series)
            if not found:
                raise NotInArchive("The archive holds no such series")
            return self._index.series(found[0], listed=listed)

        return whole(read)

    def _counts(self) -> Iterator[Counts]:
        for page in self._index.pages():
            yield [(key_of(record), number(record, COUNT)) for record in page]

    def _fetched(self, instance: ArchiveKey) -> bytes:
        try:
            return self._one(instance, self._http.files("an instance", f"/{checked(instance)}"))
        except NotInArchive:
            return self._from_series(instance)

    def _one(self, instance: ArchiveKey, files: list[bytes]) -> bytes:
        """The file that was asked for, and no other one."""
        if len(files) != 1:
            raise ArchiveUnreachable(f"The archive sent {len(files)} files for one instance")
        if _key_of_file(files[0]) != instance:
            raise ArchiveRejected("The archive sent another instance than was asked for")
        return files[0]

    def _from_series(self, instance: ArchiveKey) -> bytes:
        """The file of an instance that the archive denies to have, out of its whole series.

        Orthanc's DICOMweb before 1.8 finds no instance whose SOPInstanceUID occurs in two series, as with masks that
        keep those of their images; it does hand out the series.
        """
        series = instance.rpartition("/instances/")[0]
        with self._lock:
            kept = self._whole_series
            if kept is None or kept[0] != series:
                if not self._lists(instance):
                    self._index.forget(ArchiveKey(series))
                    raise NotInArchive("The archive does not hold this instance")
                files = self._http.files("a series", f"/{series}")
                kept = self._whole_series = (series, {_key_of_file(file): file for file in files})
        if instance not in kept[1]:
            raise ArchiveRejected("The archive lists an instance and does not hand it out")
        return kept[1][instance]

    def _lists(self, instance: ArchiveKey) -> bool:
        try:
            series = self._series(ArchiveKey(instance.rpartition("/instances/")[0]), listed=False)
        except NotInArchive:
            return False
        return instance in series.instance_keys

    def _held(self, key: ArchiveKey) -> bytes | None:
        try:
            return self.content(key)
        except NotInArchive:
            return None

    def _sent(self, key: ArchiveKey, content: bytes) -> bytes | None:
        """Post, and once more where the reply is lost and the instance is not there; what is held then."""
        try:
            status, reply = self._http.store(content)
        except ArchiveUnreachable as error:
            held = self._held(key)
            if held is not None:
                return held
            if not isinstance(error, ConnectionDropped):
                raise
            status, reply = self._http.store(content)
        fault = judge(status, reply, key.rpartition("/")[2])
        for seconds in APPEARS_AFTER_SECONDS if fault is None else (0.0,):
            time.sleep(seconds)
            held = self._held(key)
            if held is not None:
                return held  # whatever the reply said: this is the proof
        if fault is not None:
            raise fault
        return None


def _key_of_file(content: bytes) -> ArchiveKey:
    identity = identity_of(content)
    series = series_key(identity.study_instance_uid, identity.series_instance_uid)
    return instance_key(series, identity.sop_instance_uid)
