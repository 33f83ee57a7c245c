"""Asks an Orthanc what `mask2seg doctor` wants to know.

No instance is stored, changed or sent on. (DICOMweb keeps what it tells of a series beside it, as for any viewer.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import keyword_for_tag

from orthanc_mask2seg.core.display import Seen
from orthanc_mask2seg.errors import ArchiveError
from orthanc_mask2seg.model import Series, Uid
from orthanc_mask2seg.pacs.orthanc_checks import FIND_SAMPLE, Facts
from orthanc_mask2seg.pacs.orthanc_http import OrthancHttp
from orthanc_mask2seg.pacs.orthanc_json import UID

DICOMWEB_ROOT = "/dicom-web/"
"""Where the DICOMweb plugin answers unless it says something else."""

_JSON = "application/dicom+json"
_WHOLE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_FOUND = 200


class OrthancProbe:
    """Questions to one Orthanc whose answer may be no."""

    def __init__(self, http: OrthancHttp) -> None:
        self._http = http
        self._root: str | None = None

    def facts(self) -> Facts:
        """What it says of itself.

        Raises
        ------
        ArchiveError
            It cannot be reached, or does not let this user in.
        """
        system = self._http.index("its system", lambda client: client.get_system())
        plugins = self._plugins()
        root = self._dicomweb_root()
        has_dicomweb = "dicom-web" in plugins
        status = self._http.ask("GET", f"{root}studies?limit=1", accept=_JSON)[0] if has_dicomweb else None
        accepted = self._http.ask("GET", "/tools/unknown-sop-class-accepted")
        return Facts(
            system=system if isinstance(system, dict) else {},
            plugins=plugins,
            dicomweb=status,
            dicomweb_root=root,
            series_metadata=self._series_metadata() if status == _FOUND else None,
            unknown_sop_class_accepted=accepted[1].strip() == b"1" if accepted[0] == _FOUND else None,
            sop_classes=self._sop_classes(),
            found=self._count(self._json("POST", "/tools/find", _search("Series", {}, FIND_SAMPLE))),
            series=(self._json("GET", "/statistics") or {}).get("CountSeries"),
            store=self._http.ask("POST", "/instances")[0],
            our_plugin=self._http.ask("GET", "/mask2seg/jobs")[0],
        )

    def seen(self, series: Series, sop_instance_uid: Uid, content: bytes) -> Seen:
        """Walk through DICOMweb to one instance, as viewers do."""
        instances = len(series.instance_keys)
        uids = (series.study_instance_uid, series.series_instance_uid, sop_instance_uid)
        if "dicom-web" not in self._plugins() or not all(UID.fullmatch(uid) for uid in uids):
            return Seen(instances=instances)
        study = f"{self._dicomweb_root()}studies/{series.study_instance_uid}"
        one = f"{study}/series/{series.series_instance_uid}"
        instance = f"{one}/instances/{sop_instance_uid}"
        found = self._json("GET", f"{study}/series?SeriesInstanceUID={series.series_instance_uid}", accept=_JSON)
        metadata = self._json("GET", f"{one}/metadata", accept=_JSON)
        status, whole = self._http.ask("GET", instance, accept=_WHOLE)
        return Seen(
            instances=instances,
            found=bool(found),
            sequences=_sequences(metadata),
            retrieved=status == _FOUND and content in whole,
            frames=self._http.ask("GET", f"{instance}/frames/1", accept=_FRAME)[0],
        )

    def _plugins(self) -> dict[str, str]:
        names = self._json("GET", "/plugins") or []
        return {name: self._plugin(name).get("Version", "") for name in names if name != "explorer.js"}

    def _plugin(self, name: str) -> Mapping[str, Any]:
        found = self._json("GET", f"/plugins/{name}")
        return found if isinstance(found, dict) else {}

    def _dicomweb_root(self) -> str:
        """Path of DICOMweb, read off the address of the plug-in's own page."""
        if self._root is None:
            page = str(self._plugin("dicom-web").get("RootUri", ""))
            root, mark, _ = page.removeprefix("..").partition("app/client/")
            self._root = root if mark and root.startswith("/") else DICOMWEB_ROOT
        return self._root

    def _sop_classes(self) -> frozenset[str] | None:
        found = self._json("GET", "/tools/accepted-sop-classes")
        return frozenset(str(uid) for uid in found) if isinstance(found, list) else None

    def _series_metadata(self) -> tuple[int, int] | None:
        """Elements told of a series and of its first instance, for a segmentation if there is one."""
        for query in ({"Modality": "SEG"}, {}):
            keys = self._json("POST", "/tools/find", _search("Series", query, 1))
            if keys:
                return self._elements_told(str(keys[0]))
        return None

    def _elements_told(self, key: str) -> tuple[int, int] | None:
        series = self._json("GET", f"/series/{key}") or {}
        study = self._json("GET", f"/series/{key}/study") or {}
        instance = self._json("GET", f"/instances/{(series.get('Instances') or [''])[0]}") or {}
        try:
            path = (
                f"{self._dicomweb_root()}studies/{study['MainDicomTags']['StudyInstanceUID']}"
                f"/series/{series['MainDicomTags']['SeriesInstanceUID']}"
            )
            uid = instance["MainDicomTags"]["SOPInstanceUID"]
        except KeyError:
            return None
        whole = self._json("GET", f"{path}/metadata", accept=_JSON)
        one = self._json("GET", f"{path}/instances/{uid}/metadata", accept=_JSON)
        if not whole or not one:
            return None
        same = next((item for item in whole if _uid(item) == uid), whole[0])
        return len(same), len(one[0])

    def _count(self, found: Any) -> int | None:
        return len(found) if isinstance(found, list) else None

    def _json(self, method: str, path: str, content: bytes = b"", accept: str = "application/json") -> Any:
        """Read an answer; None where it is a refusal, or no JSON."""
        try:
            status, body = self._http.ask(method, path, content=content, accept=accept)
            return json.loads(body) if status == _FOUND else None
        except (ArchiveError, ValueError):
            return None


def _search(level: str, query: Mapping[str, str], limit: int) -> bytes:
    return json.dumps({"Level": level, "Query": query, "Limit": limit}).encode()


def _uid(item: Mapping[str, Any]) -> str:
    return str((item.get("00080018", {}).get("Value") or [""])[0])


def _sequences(metadata: Any) -> frozenset[str]:
    """Keywords of the sequences of the first instance in DICOM JSON."""
    if not isinstance(metadata, list) or not metadata:
        return frozenset()
    return frozenset(keyword_for_tag(int(tag, 16)) for tag, e in metadata[0].items() if e.get("vr") == "SQ")
