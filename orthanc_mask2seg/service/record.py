"""What is written beside a series when the work on it has ended: labels, and where a segmentation comes from.

Nothing depends on either: where the archive cannot take them, or fails, the work is done all the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orthanc_mask2seg import __version__
from orthanc_mask2seg.config import BUILT_IN_TABLE, Settings
from orthanc_mask2seg.errors import ArchiveDenied, ArchiveFull, ArchiveUnreachable, Mask2SegError
from orthanc_mask2seg.model import ArchiveKey, Outcome, Reason, Result, Series, Uid
from orthanc_mask2seg.pacs.port import Archive

MASK, CONVERTED, REFUSED = "mask2seg-mask", "mask2seg-converted", "mask2seg-refused"
LABELS = frozenset({MASK, CONVERTED, REFUSED})
"""The labels that are ours to give and to take."""

RECORDED_SETTINGS = (
    "position_tolerance_mm",
    "threshold",
    "fractional",
    "fractional_maximum",
    "resample",
    "maximum_volume_change",
    "trust_order",
    "merge",
    "label_table",
    "algorithm_type",
    "algorithm_name",
    "name_from_patient_name",
    "series_number_offset",
)
"""Settings that what a segmentation holds depends on."""

_LIBRARIES = ("highdicom", "pydicom", "numpy")
_log = logging.getLogger(__name__)


class _Keys:
    """The archive's addresses of series, each asked for once."""

    def __init__(self, archive: Archive, known: Sequence[Series]) -> None:
        self._archive = archive
        self._known = {series.series_instance_uid: series.key for series in known}

    def of(self, uid: Uid) -> ArchiveKey:
        if uid not in self._known:
            self._known[uid] = self._archive.find_series(uid).key
        return self._known[uid]


def labels_of(result: Result) -> frozenset[str] | None:
    """Labels that a mask series has after this result; None where the result says nothing about it."""
    if result.outcome is Outcome.CONVERTED:
        return frozenset({MASK, CONVERTED})
    if result.reason == Reason.NOT_DISCRETE:
        return frozenset({REFUSED})  # somebody called it a mask, and it does not look like one
    if result.outcome is Outcome.REFUSED:
        return frozenset({MASK, REFUSED, *([CONVERTED] if result.earlier else [])})
    if result.reason == Reason.EMPTY_MASK:
        return frozenset({MASK})
    return frozenset() if result.reason == Reason.NOT_A_MASK else None


def record(
    archive: Archive, settings: Settings, results: Sequence[Result], masks: Sequence[Series] = (), *, job_id: str = ""
) -> None:
    """Label the mask series of ended work, and keep the provenance of what was stored.

    Parameters
    ----------
    masks
        Series that are known already; others are looked up by their UIDs.
    """
    keys = _Keys(archive, masks)
    for result in results:
        try:
            if settings.labels:
                _label(archive, result, keys)
            _keep_provenance(archive, settings, result, keys, job_id)
        except Mask2SegError as error:
            if job_id and isinstance(error, ArchiveUnreachable | ArchiveFull | ArchiveDenied):
                raise  # the job runs again, and finds its segmentation there
            _log.warning("a job is done, and its labels or provenance could not be written: %s", error.code)


def _label(archive: Archive, result: Result, keys: _Keys) -> None:
    wanted = labels_of(result)
    if wanted is None:
        return
    for uid in result.mask_series_uids:
        archive.label(keys.of(uid), wanted, LABELS)


def _keep_provenance(archive: Archive, settings: Settings, result: Result, keys: _Keys, job_id: str) -> None:
    if result.outcome is not Outcome.CONVERTED:
        return
    stored = [output for output in result.outputs if output.orthanc_id and output.kind == "SEG"]
    for output in stored:
        document = _provenance(settings, result, keys, job_id)
        document["segmentation"] = {
            "series_uid": output.series_uid,
            "sop_instance_uid": output.sop_instance_uid,
            "sha256": output.sha256,
        }
        archive.keep_note(keys.of(output.series_uid), json.dumps(document, ensure_ascii=True))


def _provenance(settings: Settings, result: Result, keys: _Keys, job_id: str) -> dict[str, Any]:
    """Where a result comes from: identifiers, versions and reasons, and nothing of the patient."""
    source = result.source_series_uid
    hashes = result.mask_sha256 or ("",) * len(result.mask_series_uids)
    return {
        "mask2seg": __version__,
        "libraries": _versions(),
        "job": job_id or None,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "masks": [
            {"series_uid": uid, "orthanc_id": keys.of(uid), "sha256": digest}
            for uid, digest in zip(result.mask_series_uids, hashes, strict=True)
        ],
        "source": {"series_uid": source, "orthanc_id": keys.of(source)} if source else None,
        "segments": len(result.segments),
        "evidence": list(result.evidence),
        "settings": {name: _shown(name, getattr(settings, name)) for name in RECORDED_SETTINGS},
    }


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}


def _shown(name: str, value: Any) -> Any:
    """A setting; of a path only the name of the file."""
    return Path(value).name if name == "label_table" and value not in {"", BUILT_IN_TABLE} else value
