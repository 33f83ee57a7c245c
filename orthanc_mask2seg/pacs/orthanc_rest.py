"""Orthanc behind the port, through its REST API. Tried on 1.10.1 and 1.12.7."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from pydicom import Dataset

from orthanc_mask2seg.addresses import DestinationKind, TlsFiles
from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveRejected,
    NotInArchive,
)
from orthanc_mask2seg.model import ArchiveKey, Change, OutputReport, Receipt, Series, Uid
from orthanc_mask2seg.pacs.orthanc_headers import OrthancHeaders
from orthanc_mask2seg.pacs.orthanc_http import CONNECTIONS, NO_TLS_FILES, OrthancHttp
from orthanc_mask2seg.pacs.orthanc_json import ORTHANC_ID, UID, checked_id, series_from, understood
from orthanc_mask2seg.pacs.orthanc_store import OrthancStore
from orthanc_mask2seg.pacs.part10 import identity_of
from orthanc_mask2seg.pacs.port import Archive, ChangesPage, Journal
from orthanc_mask2seg.pacs.transfer import MAX_INSTANCE_BYTES, fetched

PAGE = 200
"""Series asked for at a time by a scan."""

OVERLAP = 20
"""Series that two pages of a scan share: so many may be deleted meanwhile without making a hole."""

MAX_STUDIES_KEPT = 20_000
"""Studies whose StudyInstanceUID is remembered. Orthanc's key is a hash of it, so it never goes stale."""

DICOMWEB_ROOT = "/dicom-web"
"""Where Orthanc's DICOMweb plugin answers by default."""

NOTE = 4321
"""Number of the metadata that holds our note on a series: every Orthanc takes numbers from 1024 on as they are."""
ATTACHMENTS = {"features.csv": 4210, "features.json": 4211, "mask.seg.nrrd": 4212, "mask.nii.gz": 4213,
               "preview.png": 4214}  # fmt: skip
"""Numbers of the attachments of a series; every Orthanc takes numbers from 1024 on as they are."""
_ATTACHED = re.compile(r"/series/[0-9a-f]{8}(-[0-9a-f]{8}){4}/attachments/\d{4,5}/data")
_COLLECTIONS = {DestinationKind.PEER: "peers", DestinationKind.MODALITY: "modalities"}


class OrthancArchive(Archive, Journal):
    """An Orthanc server.

    Safe to use from several threads. Close it, or use it in a `with` statement.

    Parameters
    ----------
    url
        Address of the REST API, without credentials.
    username, password
        HTTP basic authentication; none where the name is empty.
    timeout
        Longest silence inside one answer, in seconds.
    authorization
        Whole Authorization header, in place of a user and a password.
    tls
        What is trusted and shown where the address begins with https.
    verify_downloads
        Compare what was downloaded with the MD5 that Orthanc computed on arrival, which comes with it.
    max_bytes
        Largest DICOM file that is taken.
    """

    def __init__(
        self,
        url: str,
        username: str = "",
        password: str = "",
        timeout: float = 60.0,
        *,
        authorization: str = "",
        tls: TlsFiles = NO_TLS_FILES,
        verify_downloads: bool = True,
        max_bytes: int = MAX_INSTANCE_BYTES,
    ) -> None:
        self._http = OrthancHttp(
            url, username, password, timeout, authorization=authorization, tls=tls, max_bytes=max_bytes
        )
        self._headers = OrthancHeaders(self._http, lambda: str(self.system().get("Version")))
        self._store = OrthancStore(self._http, verify_downloads=verify_downloads)
        self._study_uids: dict[str, Uid] = {}
        self._labels: bool | None = None
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

    @property
    def http(self) -> OrthancHttp:
        """The connections, for what asks more than this port does."""
        return self._http

    def system(self) -> dict[str, Any]:
        """What Orthanc says of itself, its `Version` among it."""
        document = self._http.index("its system", lambda client: client.get_system())
        if not isinstance(document, dict):
            raise ArchiveRejected("Orthanc's answer on its system is not understood")
        return document

    def qido_finds(self, series_instance_uid: Uid) -> bool:
        """Tell whether a QIDO-RS search for series (PS3.18 section 10.6) finds this one."""
        url = f"{self._http.url}{DICOMWEB_ROOT}/series"
        params = {"SeriesInstanceUID": series_instance_uid}
        headers = {"Accept": "application/dicom+json"}
        found = self._http.index("a QIDO-RS search", lambda client: client.get(url, params=params, headers=headers))
        return bool(found)

    def all_series(self) -> Iterator[Series]:
        """Every series, read page by page.

        Series that arrive meanwhile come last. Pages overlap, so that deletions meanwhile make no hole; only more
        than `OVERLAP` deletions within one page do, and a scan is repeated anyway.
        """
        seen: set[str] = set()
        since = 0
        while page := self._page(since):
            for record in page:
                with understood("its series"):
                    key = record["ID"]
                if key not in seen:
                    seen.add(key)
                    yield from self._series_if_there(record)
            if len(page) < PAGE:
                return
            since += PAGE - OVERLAP

    def count_series(self) -> int | None:
        """How many series it holds."""
        document = self._http.index("its statistics", lambda client: client.get_statistics())
        with understood("its statistics"):
            return int(document["CountSeries"])

    def study_date(self, series: Series) -> str | None:
        """StudyDate of the study of a series."""
        key = checked_id(series.study_key)
        record = self._http.index("a study", lambda client: client.get_studies_id(key))
        with understood("a study"):
            return str(record["MainDicomTags"].get("StudyDate") or "")

    def series(self, key: ArchiveKey) -> Series:
        """The series with that Orthanc identifier."""
        checked_id(key)
        record = self._http.index("a series", lambda client: client.get_series_id(key, _with_study_uid()))
        return self._series(record)

    def find_series(self, identifier: str) -> Series:
        """The series with that Orthanc identifier or SeriesInstanceUID."""
        if ORTHANC_ID.fullmatch(identifier):
            return self.series(ArchiveKey(identifier))
        keys = self._looked_up("Series", identifier)
        if not keys:
            raise NotInArchive("Orthanc holds no series with this SeriesInstanceUID or Orthanc identifier")
        if len(keys) > 1:
            raise ArchiveRejected(
                "Orthanc holds several series with this SeriesInstanceUID",
                hint="Give the Orthanc identifier of the one that is meant.",
            )
        return self.series(keys[0])

    def series_of_study(self, study_instance_uid: Uid) -> tuple[Series, ...]:
        """Every series of a study, also where Orthanc holds the study for several PatientIDs."""
        found: list[Series] = []
        for key in self._looked_up("Study", study_instance_uid):
            records = self._children(key)
            with understood("a study"):
                found.extend(series_from(record, study_instance_uid) for record in records)
        return tuple(found)

    def find_study(self, identifier: str) -> tuple[Series, ...]:
        """All series of the study with that Orthanc identifier or StudyInstanceUID."""
        if not ORTHANC_ID.fullmatch(identifier):
            return self.series_of_study(Uid(identifier))
        records = self._children(ArchiveKey(identifier))
        if not records:
            return ()
        uid = self._study_uid(identifier)
        with understood("a study"):
            return tuple(series_from(record, uid) for record in records)

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per instance: from the first bytes of its file, or from Orthanc's index.

        Private elements are missing. From the index, which answers for all instances at once, but opens each file for
        it, binary elements are missing as well, values longer than 256 characters are empty, and all text is UTF-8.
        """
        return self._headers.of(series)

    def calling_aet(self, series: Series) -> str:
        """Application entity title that sent the first instance; '' where it came by HTTP."""
        key = checked_id(series.instance_keys[0])
        try:
            found = self._http.index(
                "who sent a series", lambda client: client.get_instances_id_metadata_name(key, "RemoteAET")
            )
        except NotInArchive:
            return ""
        return str(found)

    def content(self, instance: ArchiveKey) -> bytes:
        """The DICOM file of an instance, compared with the MD5 that Orthanc keeps."""
        return self._store.content(instance)

    def contents(self, instances: tuple[ArchiveKey, ...]) -> Iterator[bytes]:
        """The DICOM files of several instances, in order, fetched over several connections."""
        return fetched(self.content, instances, CONNECTIONS)

    def store(self, content: bytes) -> Receipt:
        """Store a DICOM file and prove that it is there, byte for byte.

        Nothing is sent where Orthanc holds the instance already and whole, and an instance with other bytes is never
        overwritten, whatever Orthanc's OverwriteInstances says.
        """
        return self._store.store(content)

    def address_of(self, content: bytes) -> ArchiveKey:
        """The key that Orthanc gives: it follows from the identifiers."""
        return identity_of(content).instance_key

    def delete_instance(self, instance: ArchiveKey) -> None:
        """Delete one instance; nothing happens where it is gone already."""
        self._store.delete(instance)

    def label(self, series: ArchiveKey, labels: frozenset[str], among: frozenset[str]) -> bool:
        """Give a series exactly these labels among those that are ours. Orthanc has labels from 1.12.0 on.

        What is as it should be is not written again. Neither labels nor notes change what `Series.version` says.
        """
        if not self._knows_labels():
            return False
        path = f"/series/{checked_id(series)}/labels"
        with understood("the labels of a series"):
            present = among.intersection(json.loads(self._http.fetch("the labels of a series", path)))
        for label in sorted(labels - present):
            self._http.send("a label", "PUT", f"{path}/{label}")
        for label in sorted(present - labels):
            self._http.send("a label", "DELETE", f"{path}/{label}")
        return True

    def keep_note(self, series: ArchiveKey, note: str) -> bool:
        """Keep a text as the metadata `NOTE` of a series."""
        path = f"/series/{checked_id(series)}/metadata/{NOTE}"
        self._http.send("a note", "PUT", path, note.encode())
        return True

    def attach(self, stored: OutputReport, name: str, content: bytes) -> str | None:
        """Keep a file as an attachment of the series of an instance."""
        if name not in ATTACHMENTS or stored.key is None:
            return None
        with understood("an instance"):
            instance = json.loads(self._http.fetch("an instance", f"/instances/{checked_id(stored.key)}"))
        path = f"/series/{checked_id(ArchiveKey(str(instance['ParentSeries'])))}/attachments/{ATTACHMENTS[name]}"
        self._http.send("an attachment", "PUT", path, content)
        return f"{path}/data"

    def attached(self, place: str) -> bytes:
        """The file that `attach` has kept at that path."""
        if not _ATTACHED.fullmatch(place):
            raise NotInArchive("This is no path of an attachment")
        return self._http.fetch("an attachment", place)

    def note(self, series: ArchiveKey) -> str | None:
        """The metadata `NOTE` of a series."""
        try:
            found = self._http.fetch("a note", f"/series/{checked_id(series)}/metadata/{NOTE}")
        except NotInArchive:
            return None
        return found.decode("utf-8", "replace")

    def forward(self, kind: DestinationKind, name: str, instance: ArchiveKey) -> None:
        """Let Orthanc send an instance to one of its peers or modalities, and wait until that took it.

        Raises
        ------
        NotInArchive
            There is no such instance, or Orthanc knows no such peer or modality.
        """
        url = f"{self._http.url}/{_COLLECTIONS[kind]}/{quote(name, safe='')}/store"
        body = json.dumps({"Resources": [checked_id(instance)], "Synchronous": True})
        reply = self._http.index("a delivery", lambda client: client.post(url, content=body))
        with understood("a delivery"):
            sent, failed = int(reply["InstancesCount"]), int(reply["FailedInstancesCount"])
        if failed or not sent:
            raise ArchiveBusy(f"The {kind} did not take the instance from Orthanc")

    def knows_destination(self, kind: DestinationKind, name: str) -> bool:
        """Whether Orthanc has a peer or modality of that name."""
        url = f"{self._http.url}/{_COLLECTIONS[kind]}"
        return name in self._http.index("its destinations", lambda client: client.get(url))

    def changes(self, since: int, limit: int) -> ChangesPage:
        """A page of `/changes`.

        `last` is lower than `since` where the journal was reset. `limit` is at least 1: with 0, Orthanc would tell
        the end of the journal as the place to go on from.
        """
        params = {"since": since, "limit": max(limit, 1)}
        document = self._http.index("its changes", lambda client: client.get_changes(params))
        with understood("its changes"):
            changes = tuple(
                Change(sequence=int(entry["Seq"]), kind=entry["ChangeType"], key=ArchiveKey(entry["ID"]))
                for entry in document["Changes"]
            )
            return ChangesPage(changes=changes, last=int(document["Last"]), done=bool(document["Done"]))

    def last_change(self) -> int:
        """The newest sequence number that Orthanc gave, also where that entry is gone."""
        document = self._http.index("its changes", lambda client: client.get_changes({"since": 0, "limit": 0}))
        with understood("its changes"):
            return int(document["Last"])

    def _knows_labels(self) -> bool:
        if self._labels is None:
            self._labels = bool(self.system().get("HasLabels"))
        return self._labels

    def _page(self, since: int) -> list[dict[str, Any]]:
        params = {"expand": "", "since": since, "limit": PAGE, **_with_study_uid()}
        page = self._http.index("its series", lambda client: client.get_series(params))
        if not isinstance(page, list):
            raise ArchiveRejected("Orthanc's answer on its series is not understood")
        return page

    def _series_if_there(self, record: dict[str, Any]) -> Iterator[Series]:
        """Read a record whose study may have been deleted since."""
        try:
            series = self._series(record)
        except NotInArchive:
            return
        yield series

    def _series(self, record: dict[str, Any]) -> Series:
        with understood("a series"):
            uid = record.get("RequestedTags", {}).get("StudyInstanceUID") or self._study_uid(record["ParentStudy"])
            return series_from(record, Uid(uid))

    def _children(self, study: ArchiveKey) -> list[dict[str, Any]]:
        """Records of a study's series; none where the study is gone."""
        try:
            records: list[dict[str, Any]] = self._http.index(
                "a study", lambda client: client.get_studies_id_series(study)
            )
        except NotInArchive:
            return []
        return records

    def _study_uid(self, study_key: str) -> Uid:
        """StudyInstanceUID of a study: Orthanc 1.10 doesn't tell it with the series."""
        with self._lock:
            known = self._study_uids.get(study_key)
        if known is not None:
            return known
        record = self._http.index("a study", lambda client: client.get_studies_id(checked_id(study_key)))
        with understood("a study"):
            uid = Uid(record["MainDicomTags"]["StudyInstanceUID"])
        with self._lock:
            if len(self._study_uids) >= MAX_STUDIES_KEPT:
                self._study_uids.clear()
            self._study_uids[study_key] = uid
        return uid

    def _looked_up(self, level: str, uid: str) -> list[ArchiveKey]:
        """Orthanc identifiers of what has that UID."""
        if not UID.fullmatch(uid):
            return []
        url = f"{self._http.url}/tools/lookup"
        found = self._http.index("a look-up", lambda client: client.post(url, content=uid))
        with understood("a look-up"):
            return [ArchiveKey(checked_id(entry["ID"])) for entry in found if entry["Type"] == level]


def _with_study_uid() -> dict[str, str]:
    """Parameters that make Orthanc 1.11 and later tell the StudyInstanceUID with a series."""
    return {"requestedTags": "StudyInstanceUID"}
