"""Which archive the settings mean. Only `daemon` and the command line ask."""

from __future__ import annotations

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.pacs.dicomweb import DicomwebArchive
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.service.watcher import Source


def open_archive(settings: Settings) -> Source:
    """The DICOMweb archive, if there is one in the settings; else Orthanc by its REST API."""
    if settings.dicomweb is not None:
        return DicomwebArchive(settings.dicomweb, settings.timeout_seconds)
    return OrthancArchive(
        settings.orthanc_url,
        settings.orthanc_username,
        settings.orthanc_password,
        settings.timeout_seconds,
        authorization=settings.orthanc_authorization,
        tls=settings.orthanc_tls,
    )


def archive_url(settings: Settings) -> str:
    """Its address, for people."""
    return settings.dicomweb_url or settings.orthanc_url
