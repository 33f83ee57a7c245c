"""Is this Orthanc set up right: pure, of what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orthanc_mask2seg.core.diagnosis import Check, Finding, Level, by_code
from orthanc_mask2seg.core.display_checks import LABEL_MAP_SEGMENTATION

OLDEST, NEWEST = (1, 10, 1), (1, 13)
"""Versions that mask2seg is tested with: from the first to any of the series of the second."""

OLDEST_DICOMWEB = (1, 8)
"""DICOMweb 1.7 answers 404 for instances that share a SOPInstanceUID, and 200 on a full disk."""

CRASHING: Mapping[tuple[int, ...], str] = {
    (1, 10, 1): "six parallel requests for compressed segmentations end Orthanc",
    (1, 12, 7): "the first JPEG 2000 image that is transcoded ends Orthanc",
}
"""Versions whose gdcm plug-in, as Debian ships it, takes Orthanc down."""

FIND_SAMPLE = 1000
"""Series that a search is asked for, to see whether its results are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an Orthanc says of itself; None where it does not, or was not asked.

    Attributes
    ----------
    system
        Its answer on `/system`.
    plugins
        Names of its plug-ins to their versions.
    dicomweb
        HTTP status of a DICOMweb search.
    series_metadata
        Number of elements in DICOMweb's metadata of (a series, its first instance, which is always complete).
    sop_classes
        UIDs of the SOP classes that it takes by C-STORE.
    found, series
        Series that a search for at most `FIND_SAMPLE` gave, and all that there are.
    store
        HTTP status of the answer to an empty upload.
    our_plugin
        HTTP status of our plug-in's list of jobs.
    """

    system: Mapping[str, Any]
    plugins: Mapping[str, str] = field(default_factory=dict)
    dicomweb: int | None = None
    dicomweb_root: str = ""
    series_metadata: tuple[int, int] | None = None
    unknown_sop_class_accepted: bool | None = None
    sop_classes: frozenset[str] | None = None
    found: int | None = None
    series: int | None = None
    store: int | None = None
    our_plugin: int | None = None


def _error(code: str, fine: str, fault: str, remedy: str) -> Check:
    return Check(code=code, level=Level.ERROR, fine=fine, fault=fault, remedy=remedy)


def _warning(code: str, fine: str, fault: str, remedy: str) -> Check:
    return Check(code=code, level=Level.WARNING, fine=fine, fault=fault, remedy=remedy)


PACS_CHECKS = (
    _error(
        "pacs_version_old",
        "This version of Orthanc is not too old.",
        "This version of Orthanc is older than any that mask2seg was tried with.",
        "Use Orthanc 1.10.1 or later.",
    ),
    _warning(
        "pacs_version_unknown",
        "mask2seg is tested with this version of Orthanc, or with ones before and after it.",
        "mask2seg was never tried with this version of Orthanc.",
        "Look for a newer mask2seg; try `mask2seg demo` before you rely on this one.",
    ),
    _error(
        "pacs_gdcm_crashes",
        "No plug-in is known to crash this version of Orthanc.",
        "The gdcm plug-in is known to crash this version of Orthanc.",
        "Remove it (Debian: apt remove orthanc-gdcm); mask2seg decodes compressed masks itself.",
    ),
    _error(
        "pacs_dicomweb_absent",
        "The DICOMweb plug-in is there.",
        "The DICOMweb plug-in is not there: OHIF and other web viewers see nothing.",
        'Install it (Debian: apt install orthanc-dicomweb) and name it in "Plugins".',
    ),
    _error(
        "pacs_dicomweb_off",
        "DICOMweb answers.",
        "The DICOMweb plug-in is there, and does not answer.",
        'Set "Enable": true in the "DicomWeb" section of orthanc.json, and let the user read /dicom-web.',
    ),
    _warning(
        "pacs_dicomweb_old",
        "The DICOMweb plug-in has no known defects that matter.",
        "This DICOMweb plug-in answers 404 where two instances share a SOPInstanceUID, and 200 on a full disk.",
        "Prefer version 1.8 or later; mask2seg itself uses Orthanc's own REST API.",
    ),
    _error(
        "pacs_series_metadata",
        "DICOMweb tells all elements of a series.",
        "DICOMweb tells only some elements of a series, and no sequences: web viewers cannot show segmentations.",
        'Set "SeriesMetadata": "Full" in the "DicomWeb" section of orthanc.json.',
    ),
    _warning(
        "pacs_series_metadata_unseen",
        "What DICOMweb tells of a series could be looked at.",
        "There is no series to see by whether DICOMweb tells all elements.",
        'Ask again when there is one. "SeriesMetadata" in the "DicomWeb" section has to be "Full".',
    ),
    _warning(
        "pacs_label_map_refused",
        "Label map segmentations are taken by C-STORE.",
        "Label map segmentations that others send by C-STORE are refused. Those of mask2seg are stored over REST.",
        'Set "UnknownSopClassAccepted": true where such segmentations come from elsewhere.',
    ),
    _warning(
        "pacs_overwrites",
        "An instance that is sent again does not replace the stored one.",
        "An instance that is sent again replaces the stored one, its metadata, labels and attachments.",
        'Set "OverwriteInstances": false.',
    ),
    _error(
        "pacs_transcodes",
        "Orthanc stores what arrives as it arrives.",
        "Orthanc transcodes what arrives, so what it holds is not what was proven; some segmentations it refuses.",
        'Remove "IngestTranscoding".',
    ),
    _warning(
        "pacs_no_digests",
        "Orthanc keeps an MD5 of what it stores.",
        "Orthanc keeps no MD5 of what it stores, so every segmentation is downloaded again to prove it.",
        'Set "StoreMD5ForAttachments": true.',
    ),
    _warning(
        "pacs_find_limited",
        "Searches are not cut short.",
        "Searches are cut short silently: viewers may not find every segmentation. mask2seg reads page by page.",
        'Set "LimitFindResults" and "LimitFindInstances" to 0, or higher.',
    ),
    _warning(
        "pacs_database_plugin",
        "The database is the built-in SQLite.",
        "The database is another than SQLite. On PostgreSQL, Orthanc's journal loses events when many write at once: "
        "mask2seg waits at gaps and scans all series, so nothing is lost to it, but other listeners may lose some.",
        "Leave ScanSeconds at a minute or so; nothing else has to be done.",
    ),
    _error(
        "pacs_read_only",
        "Orthanc takes new instances.",
        "Orthanc is read-only: nothing can be stored.",
        'Remove "ReadOnly", or point OrthancUrl to the one that writes.',
    ),
    _error(
        "pacs_recycles",
        "Orthanc deletes nothing to make room.",
        "Orthanc deletes the oldest patients when it is full, images and segmentations alike.",
        'Set "MaximumStorageSize" and "MaximumPatientCount" to 0, or "MaximumStorageMode": "Reject"; watch the disk.',
    ),
    _warning(
        "pacs_storage_limited",
        "Orthanc does not limit its storage.",
        "Orthanc refuses everything when it is full; segmentations then wait until there is room.",
        "Watch how full it is.",
    ),
    _error(
        "pacs_store_denied",
        "This user may store.",
        "This user may not store instances.",
        "Let the user of OrthancUsername use POST /instances.",
    ),
    _warning(
        "pacs_revisions",
        "Metadata can be written without revisions.",
        'Orthanc checks revisions ("CheckRevisions"): provenance that is there already is not written anew.',
        "Nothing has to be done.",
    ),
    _warning(
        "pacs_plugin_silent",
        "The mask2seg plug-in answers.",
        "The mask2seg plug-in is there and does not answer as it should: its button does nothing.",
        "See the log of Orthanc; the service goes on without it.",
    ),
    _warning(
        "service_silent",
        "The service runs.",
        "The service does not answer on its status page.",
        "Start it with `mask2seg serve`, or see why its log says that it stopped.",
    ),
    _error(
        "service_blind",
        "The service reaches the PACS.",
        "The service runs and cannot reach the PACS.",
        "See its status page for the reason; check OrthancUrl and the credentials that it was started with.",
    ),
)

BY_CODE = by_code(PACS_CHECKS)


def check(facts: Facts) -> tuple[Finding, ...]:
    """Check an Orthanc: one finding per check that could be asked."""
    system = facts.system
    version = _version(system.get("Version", ""))
    text = f"Orthanc {system.get('Version', '')}"
    found = [
        _finding("pacs_version_old", version is None or version >= OLDEST, text),
        _finding("pacs_version_unknown", version is not None and version[:2] <= NEWEST, text),
        _gdcm(facts, version),
        *_dicomweb(facts),
        *_limits(facts),
    ]
    database = system.get("DatabaseBackendPlugin")
    found.append(_finding("pacs_database_plugin", not database, str(database or "SQLite")))
    if "OverwriteInstances" in system:
        found.append(_finding("pacs_overwrites", not system["OverwriteInstances"]))
    if "IngestTranscoding" in system:
        syntax = str(system["IngestTranscoding"])
        found.append(_finding("pacs_transcodes", not syntax, *([syntax] if syntax else ())))
    if "StoreMD5ForAttachments" in system:
        found.append(_finding("pacs_no_digests", bool(system["StoreMD5ForAttachments"])))
    if "ReadOnly" in system:
        found.append(_finding("pacs_read_only", not system["ReadOnly"]))
    if "CheckRevisions" in system:
        found.append(_finding("pacs_revisions", not system["CheckRevisions"]))
    if facts.store is not None and not system.get("ReadOnly"):
        found.append(_finding("pacs_store_denied", facts.store not in {401, 403}, f"HTTP status {facts.store}"))
    if facts.our_plugin not in {None, 404}:  # it is a matter of taste whether it is there
        found.append(_finding("pacs_plugin_silent", facts.our_plugin == 200, f"HTTP status {facts.our_plugin}"))
    return tuple(found)


def check_service(health: Mapping[str, Any] | None) -> tuple[Finding, ...]:
    """Check what the service says of itself on its status page; None where it does not answer."""
    if health is None:
        return (_finding("service_silent", ok=False),)
    running = _finding("service_silent", True, f"version {health.get('version', '')}")
    archive = health.get("archive") or {}
    reason = str(archive.get("error") or "")
    return running, _finding("service_blind", bool(archive.get("reachable")), *([reason] if reason else ()))


def _finding(code: str, ok: bool, *evidence: str) -> Finding:
    return Finding(check=BY_CODE[code], ok=ok, evidence=evidence)


def _version(text: str) -> tuple[int, ...] | None:
    """Numbers of a version; None for what is none, as `mainline`."""
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        return None


def _gdcm(facts: Facts, version: tuple[int, ...] | None) -> Finding:
    crash = CRASHING.get(version or ()) if "gdcm" in facts.plugins else None
    return _finding("pacs_gdcm_crashes", crash is None, *([crash] if crash else ()))


def _dicomweb(facts: Facts) -> list[Finding]:
    version = facts.plugins.get("dicom-web")
    found = [_finding("pacs_dicomweb_absent", version is not None, *([f"version {version}"] if version else ()))]
    if version is None:
        return found
    number = _version(version)
    found.append(_finding("pacs_dicomweb_old", number is None or number >= OLDEST_DICOMWEB, f"version {version}"))
    answers = facts.dicomweb == 200
    found.append(_finding("pacs_dicomweb_off", answers, f"{facts.dicomweb_root}: HTTP status {facts.dicomweb}"))
    if answers:
        found.append(_finding("pacs_series_metadata_unseen", facts.series_metadata is not None))
    if facts.series_metadata is not None:
        series, instance = facts.series_metadata
        evidence = f"{series} elements told for a series, {instance} for its first instance"
        found.append(_finding("pacs_series_metadata", series >= instance, evidence))
    return found


def _limits(facts: Facts) -> list[Finding]:
    system, found = facts.system, []
    if facts.sop_classes is not None or facts.unknown_sop_class_accepted is not None:
        known = LABEL_MAP_SEGMENTATION in (facts.sop_classes or ())
        found.append(_finding("pacs_label_map_refused", known or bool(facts.unknown_sop_class_accepted)))
    if facts.found is not None and facts.series is not None:
        expected = min(facts.series, FIND_SAMPLE)
        evidence = f"{facts.found} of {expected} series found"
        found.append(_finding("pacs_find_limited", facts.found >= expected, evidence))
    if "MaximumStorageSize" in system:
        limit = f"MaximumStorageSize {system['MaximumStorageSize']} MB, MaximumPatientCount "
        limit += f"{system.get('MaximumPatientCount', 0)}, {system.get('MaximumStorageMode', 'Recycle')}"
        limited = bool(system["MaximumStorageSize"] or system.get("MaximumPatientCount"))
        rejects = system.get("MaximumStorageMode") == "Reject"
        found.append(_finding("pacs_recycles", not limited or rejects, limit))
        found.append(_finding("pacs_storage_limited", not (limited and rejects), limit))
    return found
