"""Gathers what the checks of `mask2seg doctor` look at."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.bounds import read_dicom
from orthanc_mask2seg.core.diagnosis import Finding, Level, Verdict, worst
from orthanc_mask2seg.core.display import Seen, diagnose, verdicts
from orthanc_mask2seg.core.pixels import READING_ERRORS
from orthanc_mask2seg.errors import ArchiveRejected, NotInArchive
from orthanc_mask2seg.model import Series, Uid
from orthanc_mask2seg.pacs.orthanc_checks import Facts, check, check_service
from orthanc_mask2seg.pacs.orthanc_probe import OrthancProbe
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.pacs.port import Archive

MOST_SEG_ITEMS = 1 << 21
"""Items of sequences in a segmentation: ten for each of its frames."""

HEALTH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the doctor found.

    Attributes
    ----------
    series
        Findings of the segmentation that was named, and `viewers` the verdicts that follow; None where none was named.
    """

    orthanc: str
    pacs: tuple[Finding, ...]
    series: tuple[Finding, ...] | None = None
    viewers: tuple[Verdict, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of all findings."""
        return worst((*self.pacs, *(self.series or ())))

    def document(self) -> dict[str, Any]:
        """JSON document of the public interface (docs/doctor.md)."""
        return {
            "outcome": str(self.level),
            "orthanc": self.orthanc,
            "pacs": [finding.document() for finding in self.pacs],
            "series": None if self.series is None else [finding.document() for finding in self.series],
            "viewers": {str(verdict.viewer): verdict.document() for verdict in self.viewers},
        }


def examine(archive: OrthancArchive, settings: Settings, series: str | None = None) -> Report:
    """Check the PACS and, where one is named, a segmentation in it.

    Parameters
    ----------
    series
        Orthanc identifier or SeriesInstanceUID of a segmentation.

    Raises
    ------
    ArchiveError
        The PACS cannot be asked, or does not hold the series.
    """
    probe = OrthancProbe(archive.http)
    facts = probe.facts()
    service = check_service(_health(settings)) if settings.status_port else ()
    pacs = (*check(facts), *service)
    if series is None:
        return Report(orthanc=_version(facts), pacs=pacs)
    findings, seen = examine_series(archive, probe, archive.find_series(series))
    viewers = verdicts(findings, seen)
    return Report(orthanc=_version(facts), pacs=pacs, series=findings, viewers=viewers)


def examine_series(archive: Archive, probe: OrthancProbe | None, series: Series) -> tuple[tuple[Finding, ...], Seen]:
    """Check a segmentation; without a probe, DICOMweb is not asked."""
    if not series.instance_keys:
        raise NotInArchive("The series has no instances")
    content = archive.content(series.instance_keys[-1])
    try:
        seg = read_dicom(content, most_items=MOST_SEG_ITEMS)
    except (InvalidDicomError, *READING_ERRORS) as error:
        raise ArchiveRejected(f"The instance cannot be read as DICOM ({type(error).__name__})") from None
    seen = Seen(instances=len(series.instance_keys))
    if probe is not None:
        seen = probe.seen(series, Uid(str(seg.get("SOPInstanceUID", ""))), content)
    return diagnose(seg, _sources(archive, seg), seen), seen


def _sources(archive: Archive, seg: Dataset) -> tuple[Dataset, ...] | None:
    """Headers of the series that the segmentation names first, wherever the archive holds it."""
    references = seg.get("ReferencedSeriesSequence") or ()
    uid = str(references[0].get("SeriesInstanceUID", "")) if references else ""
    if not uid:
        return None
    siblings = archive.series_of_study(Uid(str(seg.get("StudyInstanceUID", ""))))
    held = [series for series in siblings if series.series_instance_uid == uid]
    try:
        source = held[0] if held else archive.find_series(uid)
    except (NotInArchive, ArchiveRejected):
        return None
    return archive.headers(source)


def _version(facts: Facts) -> str:
    return str(facts.system.get("Version", ""))


def _connection(settings: Settings) -> http.client.HTTPConnection:
    """To the status page; with TLS only to who has the very certificate of the settings, whatever its name."""
    host, port = settings.status_host, settings.status_port
    if not settings.status_certificate_file:
        return http.client.HTTPConnection(host, port, timeout=HEALTH_SECONDS)
    context = ssl.create_default_context(cafile=settings.status_certificate_file)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return http.client.HTTPSConnection(host, port, timeout=HEALTH_SECONDS, context=context)


def _health(settings: Settings) -> dict[str, Any] | None:
    """What the service's status page says; None where nobody answers, or somebody else."""
    try:
        connection = _connection(settings)
    except OSError:
        return None  # the certificate is not readable here
    try:
        connection.request("GET", "/healthz")
        document = json.loads(connection.getresponse().read(1 << 20))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return document if isinstance(document, dict) and "archive" in document else None
