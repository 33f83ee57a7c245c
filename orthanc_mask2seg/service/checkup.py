"""The doctor's findings for the page: asked of the PACS when somebody looks, and not again for some minutes."""

from __future__ import annotations

import threading
import time
from typing import Any

from orthanc_mask2seg.errors import ArchiveError
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.pacs.port import Archive

GOOD_FOR_SECONDS = 300.0


class Checkup:
    """What `mask2seg doctor` says of the PACS; nothing of an archive that is no Orthanc."""

    def __init__(self, archive: Archive, good_for_seconds: float = GOOD_FOR_SECONDS) -> None:
        self._archive, self._good_for = archive, good_for_seconds
        self._lock = threading.Lock()
        self._found: tuple[dict[str, Any], ...] = ()
        self._until = float("-inf")

    def findings(self) -> tuple[dict[str, Any], ...]:
        """Documents of the findings, the worst first; those of before where the PACS cannot be asked now."""
        if not isinstance(self._archive, OrthancArchive):
            return ()
        with self._lock:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + self._good_for
                try:
                    self._found = _asked(self._archive)
                except ArchiveError:
                    self._until = float("-inf")
            return self._found


def _asked(archive: OrthancArchive) -> tuple[dict[str, Any], ...]:
    from orthanc_mask2seg.pacs.orthanc_checks import check  # noqa: PLC0415 - a service that nobody looks at stays small
    from orthanc_mask2seg.pacs.orthanc_probe import OrthancProbe  # noqa: PLC0415

    found = [finding.document() for finding in check(OrthancProbe(archive.http).facts())]
    return tuple(sorted(found, key=lambda one: ("error", "warning", "ok").index(one["level"])))
