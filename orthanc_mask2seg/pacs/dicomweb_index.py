"""Searches of a DICOMweb archive (QIDO-RS, PS3.18 section 10.6) and the keys that we make of what they find.

Archives cap `limit`, ignore `limit` or `offset`, ignore filters. So a page is judged by what it holds: reading ends
where pages bring nothing new, and every record is compared with what was asked for.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator

from orthanc_mask2seg.errors import ArchiveBusy, ArchiveRejected, NotInArchive
from orthanc_mask2seg.model import ArchiveKey, Series, Uid
from orthanc_mask2seg.pacs.dicomweb_http import DicomwebHttp, Record
from orthanc_mask2seg.pacs.dicomweb_json import first, number

PAGE = 200
"""Records asked for at a time."""

OVERLAP = 20
"""Records that two pages share: so many may be deleted meanwhile without making a hole."""

STALE_PAGES = 3
"""Pages in a row that bring nothing new, after which nothing new is expected: a series of two patients fills some."""

LISTED = 128
"""Series whose instances are remembered, as long as their number stays the same."""

TRIES = 3
"""How often a series is listed anew that is just arriving."""

TWICE_HINT = "Correct the PatientID, or delete the wrong series."

_UID = r"[0-9][0-9.]{0,63}"
UID = re.compile(_UID)
SERIES_KEY = re.compile(f"studies/({_UID})/series/({_UID})")
INSTANCE_KEY = re.compile(f"(studies/{_UID}/series/{_UID})/instances/({_UID})")

STUDY_UID = "0020000D"
SERIES_UID = "0020000E"
SOP_UID = "00080018"
COUNT = "00201209"
_FIELDS = (
    "StudyInstanceUID",
    "Modality",
    "SeriesDescription",
    "SeriesNumber",
    "Manufacturer",
    "StationName",
    "NumberOfSeriesRelatedInstances",
)

_log = logging.getLogger(__name__)


def series_key(study: str, series: str) -> ArchiveKey:
    """Path of a series below the root of the service: DICOMweb needs the study, too."""
    return ArchiveKey(f"studies/{study}/series/{series}")


def instance_key(series: str, instance: str) -> ArchiveKey:
    """Path of an instance."""
    return ArchiveKey(f"{series}/instances/{instance}")


def uids_of(key: str) -> tuple[str, str]:
    """Study and series of a series' key; raises `NotInArchive` for what is none."""
    found = SERIES_KEY.fullmatch(key)
    if found is None:
        raise NotInArchive("This is not a series of a DICOMweb archive: studies/UID/series/UID is expected")
    return found[1], found[2]


def checked(key: str) -> str:
    """Let a key into a URL only if it is the path of an instance."""
    if INSTANCE_KEY.fullmatch(key) is None:
        raise NotInArchive("This is not an instance of a DICOMweb archive")
    return key


class Index:
    """What an archive says of its series without opening an instance."""

    def __init__(self, http: DicomwebHttp) -> None:
        self._http = http
        self._listed: OrderedDict[tuple[ArchiveKey, int], tuple[ArchiveKey, ...]] = OrderedDict()

    def pages(self) -> Iterator[list[Record]]:
        """Every series of the archive, page by page."""
        return self._paged("its series", self._search, SERIES_UID)

    def records(self, study: str, series: str = "") -> list[Record]:
        """Every series of a study, or the one that is named.

        Raises
        ------
        ArchiveRejected
            A series is there twice, as for two patients: no path tells them apart, so neither is taken.
        """
        found: list[Record] = []
        pages = self._paged("a study", lambda limit, offset: self._search(limit, offset, study, series), SERIES_UID)
        for page in pages:
            of_study = [r for r in page if first(r, STUDY_UID) in {study, ""}]
            wanted = [r for r in of_study if not series or first(r, SERIES_UID) == series]
            if len({first(r, SERIES_UID) for r in wanted}) < len(wanted):
                raise ArchiveRejected("The archive holds a series twice, perhaps for two patients", hint=TWICE_HINT)
            found += [{**r, STUDY_UID: {"Value": [study]}} for r in wanted]
            if series and found:
                break
        return found

    def studies_of(self, series: str) -> list[str]:
        """Studies that hold a series of this SeriesInstanceUID."""
        found = self._search(PAGE, 0, "", series)
        return sorted({first(r, STUDY_UID) for r in found if first(r, SERIES_UID) == series})

    def series(self, record: Record, *, listed: bool = True) -> Series:
        """Read a record of a series, with its instances.

        Parameters
        ----------
        listed
            A list of the instances that was read before will do, as long as their number is the same.
        """
        key, count = key_of(record), number(record, COUNT)
        known = self._listed.get((key, count)) if listed and count is not None else None
        keys = known or self._instances(key, count)
        if count is not None and len(keys) == count:
            self._listed[key, count] = keys
            while len(self._listed) > LISTED:
                self._listed.popitem(last=False)
        return series_of(record, keys, len(keys) if count is None else count)

    def forget(self, key: ArchiveKey) -> None:
        """Do not trust the list of a series' instances any more."""
        for known in [known for known in list(self._listed) if known[0] == key]:
            self._listed.pop(known, None)

    def _instances(self, key: ArchiveKey, count: int | None) -> tuple[ArchiveKey, ...]:
        study, series = uids_of(key)

        def search(limit: int, offset: int) -> list[Record]:
            return self._http.records(
                "a search for instances",
                lambda client: client.search_for_instances(study, series, limit=limit, offset=offset),
            )

        found: dict[str, None] = {}
        for page in self._paged("the instances of a series", search, SOP_UID):
            found.update(dict.fromkeys(first(r, SOP_UID) for r in page if first(r, SERIES_UID) in {series, ""}))
            if count is not None and len(found) == count:
                break
        return tuple(instance_key(key, uid) for uid in found if UID.fullmatch(uid))

    def _search(self, limit: int, offset: int, study: str = "", series: str = "") -> list[Record]:
        return self._http.records(
            "a search for series",
            lambda client: client.search_for_series(
                study or None,
                limit=limit,
                offset=offset,
                fields=_FIELDS,
                search_filters={"SeriesInstanceUID": series} if series else None,
            ),
        )

    def _paged(self, what: str, search: Callable[[int, int], list[Record]], tag: str) -> Iterator[list[Record]]:
        """Pages of records that were not in a page before."""
        seen: set[tuple[str, str]] = set()
        before: list[tuple[str, str]] = []
        offset = stale = 0
        while page := search(PAGE, offset):
            names = [(first(record, STUDY_UID), first(record, tag)) for record in page]
            fresh = [record for record, name in zip(page, names, strict=True) if name not in seen]
            if names == before and len(page) > 1:
                if len(page) >= PAGE:
                    _log.warning("the archive ignores 'offset' in searches: only the first of %s are seen", what)
                return
            stale = 0 if fresh else stale + 1
            if stale == STALE_PAGES:
                return
            seen.update(names)
            if fresh:
                yield fresh
            before = names
            offset += len(page) - min(OVERLAP, len(page) // 2)


def key_of(record: Record) -> ArchiveKey:
    """Key of the series that a record describes; raises `ArchiveRejected` where it has none."""
    study, series = first(record, STUDY_UID), first(record, SERIES_UID)
    if not UID.fullmatch(study) or not UID.fullmatch(series):
        raise ArchiveRejected("The archive lists a series without the UIDs of study and series")
    return series_key(study, series)


def series_of(record: Record, keys: tuple[ArchiveKey, ...], count: int) -> Series:
    """Read a record of a series, whose instances may be known or not."""
    study = first(record, STUDY_UID)
    return Series(
        key=key_of(record),
        series_instance_uid=Uid(first(record, SERIES_UID)),
        study_instance_uid=Uid(study),
        study_key=ArchiveKey(f"studies/{study}"),
        modality=first(record, "00080060"),
        series_description=first(record, "0008103E"),
        series_number=first(record, "00200011"),
        manufacturer=first(record, "00080070"),
        station_name=first(record, "00081010"),
        instance_keys=keys,
        instance_count=count,
    )


def whole(read: Callable[[], Series]) -> Series:
    """Read a series until as many instances are listed as are counted: it may just be arriving.

    Raises
    ------
    ArchiveBusy
        They never agree. A list that is cut off would make a segmentation with holes.
    """
    for _ in range(TRIES):
        series = read()
        if len(series.instance_keys) == series.instance_count:
            return series
    raise ArchiveBusy(
        "The archive lists another number of instances than it counts in a series",
        hint="The series may be arriving. If this stays: does the archive limit the length of its answers?",
    )
