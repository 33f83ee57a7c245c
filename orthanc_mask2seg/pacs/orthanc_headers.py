"""Headers of a series in the cheapest way that the Orthanc at hand offers."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydicom import Dataset

from orthanc_mask2seg.errors import ArchiveDamaged, ArchiveRejected, NotInArchive
from orthanc_mask2seg.model import ArchiveKey, Series
from orthanc_mask2seg.pacs.beginnings import FIRST_LOOKS, SPARE, NotReadableError, header_length, headers
from orthanc_mask2seg.pacs.orthanc_http import CONNECTIONS, OrthancHttp
from orthanc_mask2seg.pacs.orthanc_json import checked_id, headers_from, understood
from orthanc_mask2seg.pacs.transfer import fetched

FIRST_WITH_PARTS = (1, 12, 5)
"""The Orthanc that began to understand HTTP's Range."""


class OrthancHeaders:
    """Reads headers from the first bytes of files, or from Orthanc's index.

    Parameters
    ----------
    version
        Tells the version of Orthanc.
    """

    def __init__(self, http: OrthancHttp, version: Callable[[], str]) -> None:
        self._http = http
        self._version = version
        self._parts: bool | None = None

    def of(self, series: Series) -> tuple[Dataset, ...]:
        """One data set per instance."""
        if series.instance_keys and self._sends_parts():
            try:
                return self._from_files(series)
            except (NotReadableError, ArchiveRejected):
                pass  # a header that is longer or written otherwise, or a file that is shorter than what was asked for
        return self._from_index(series)

    def _sends_parts(self) -> bool:
        """Whether Orthanc sends parts of files; what names no number is a "mainline" of later."""
        if self._parts is None:
            numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", self._version())
            self._parts = numbers is None or tuple(map(int, numbers.groups())) >= FIRST_WITH_PARTS
        return self._parts

    def _from_files(self, series: Series) -> tuple[Dataset, ...]:
        first, *others = series.instance_keys
        beginning, length = self._first_look(first)
        beginnings = fetched(lambda key: self._beginning(key, length), others, CONNECTIONS)
        return tuple(headers((beginning, *beginnings)))

    def _first_look(self, instance: ArchiveKey) -> tuple[bytes, int]:
        """The beginning of a file, and how much of others like it is needed."""
        for look in FIRST_LOOKS:
            beginning = self._beginning(instance, look)
            try:
                return beginning, header_length(beginning) + SPARE
            except NotReadableError:
                continue
        raise NotReadableError

    def _beginning(self, instance: ArchiveKey, length: int) -> bytes:
        path = f"/instances/{checked_id(instance)}/attachments/dicom/data"
        return self._http.fetch_tagged("the beginning of an instance", path, first=length)[0]

    def _from_index(self, series: Series) -> tuple[Dataset, ...]:
        key = checked_id(series.key)
        try:
            answer = self._http.index(
                "the headers of a series", lambda client: client.get_series_id_instances_tags(key, {"short": ""})
            )
        except ArchiveRejected as error:
            raise ArchiveDamaged(f"Orthanc cannot read the file of an instance: {error}") from None
        with understood("the headers of a series"):
            found = {name: tags for name, tags in answer.items() if tags}
            if any(name not in found for name in series.instance_keys):
                raise NotInArchive("Some instances of the series have gone from Orthanc meanwhile")
            return headers_from(found[name] for name in series.instance_keys)
