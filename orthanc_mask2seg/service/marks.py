"""What people and searches find in the archive itself: labels on the mask, provenance with the SEG.

Nothing of ours depends on them.
"""

from __future__ import annotations

import json
import logging

from orthanc_mask2seg import __version__
from orthanc_mask2seg.errors import ArchiveError
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.port import Archive

MASK, CONVERTED, REFUSED = "mask2seg-mask", "mask2seg-converted", "mask2seg-refused"

_log = logging.getLogger(__name__)


def show(archive: Archive, request: JobRequest, result: Result, job_id: str) -> None:
    """Label the mask by how the work on it ended, and say with the SEG where it comes from.

    An archive that cannot, or will not, is no reason to do the work again.
    """
    labels = labels_of(request, result)
    try:
        if labels:
            archive.mark(request.series_key, labels)
        for output in result.outputs:
            if output.orthanc_id:
                key = archive.find_series(output.series_uid).key
                archive.annotate(key, json.dumps(provenance(request, result, job_id)))
    except ArchiveError as error:
        _log.warning("series %s: it cannot be labelled (%s)", request.series_instance_uid, error.code)


def labels_of(request: JobRequest, result: Result) -> frozenset[str]:
    """The labels of a mask series; none where the work says nothing about it."""
    if result.outcome is Outcome.CONVERTED:
        return frozenset({MASK, CONVERTED})
    if result.outcome is Outcome.REFUSED:
        return frozenset({REFUSED} if request.named_as_mask else {MASK, REFUSED})
    return frozenset()


def provenance(request: JobRequest, result: Result, job_id: str) -> dict[str, object]:
    """Where a SEG comes from: identifiers, versions and evidence, nothing of the patient."""
    return {
        "software": f"mask2seg {__version__}",
        "job": job_id,
        "mask_series_uids": list(result.mask_series_uids),
        "mask_version": request.version,
        "source_series_uid": result.source_series_uid,
        "sop_instance_uids": [output.sop_instance_uid for output in result.outputs],
        "evidence": list(result.evidence),
    }
