"""Where jobs are done: in processes of their own, or, on an archive that only lives in this one, here."""

from __future__ import annotations

import threading
from base64 import b64decode
from typing import Any, Protocol

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.jobs.port import Ledger, Run
from orthanc_mask2seg.model import Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.orders import Steps
from orthanc_mask2seg.service.pictures import PictureKind, Pictures, drawn
from orthanc_mask2seg.service.sandbox import Sandbox


class Workshop(Protocol):
    """Does the work of jobs, and looks at series before there is a job."""

    def open(self) -> None:
        """Get ready, in the background."""

    def runner(self, ledger: Ledger, steps: Steps) -> Run:
        """The work of a job."""

    def look(self, series: Series) -> str | None:
        """Why a series certainly is no mask; None if it could be one."""

    def draw(self, series_instance_uid: Uid, kind: PictureKind) -> Pictures:
        """Pictures of a segmentation."""

    def explain(self, series: str, source: str) -> list[dict[str, Any]]:
        """What would become of a series, on a source that is named or ''; nothing is stored."""

    def close(self) -> None:
        """Stop at once."""


class Apart:
    """Processes: as many as `Workers` for jobs, one that looks at series, and one that draws for the page.

    Those of a part that is elsewhere are not started, and the last one not before it is needed.
    """

    def __init__(self, settings: Settings, *, works: bool = True, looks: bool = True) -> None:
        self._works, self._looks_too = works, looks
        self._jobs = Sandbox(settings, settings.workers)
        self._looks = Sandbox(settings, 1, warm=False)
        self._pictures = Sandbox(settings, 1, warm=False)

    def open(self) -> None:
        """Start a process of each kind."""
        if self._works:
            self._jobs.start()
        if self._looks_too:
            self._looks.start()

    def runner(self, ledger: Ledger, steps: Steps) -> Run:
        """The work of a job."""
        return self._jobs.runner(ledger, steps)

    def look(self, series: Series) -> str | None:
        """Why a series certainly is no mask."""
        return self._looks.look(series)

    def draw(self, series_instance_uid: Uid, kind: PictureKind) -> Pictures:
        """Pictures of a segmentation, by a process that is started for the first one."""
        return self._pictures.draw(series_instance_uid, kind)

    def explain(self, series: str, source: str) -> list[dict[str, Any]]:
        """What would become of a series, said by the process that draws."""
        return self._pictures.explain(series, source)

    def close(self) -> None:
        """End all processes."""
        for sandbox in (self._jobs, self._looks, self._pictures):
            sandbox.close()


class Here:
    """The work in this process, for an archive in memory."""

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self._archive, self._settings = archive, settings

    def open(self) -> None:
        """Let highdicom read its tables."""
        from orthanc_mask2seg.core.encode import warm_up  # noqa: PLC0415 - a service with processes stays small

        threading.Thread(target=warm_up, name="warm-up", daemon=True).start()

    def runner(self, ledger: Ledger, steps: Steps) -> Run:
        """The work of a job."""
        from orthanc_mask2seg.service.worker import make_runner  # noqa: PLC0415 - likewise

        return make_runner(self._archive, ledger, self._settings, steps=steps)

    def look(self, series: Series) -> str | None:
        """Why a series certainly is no mask."""
        from orthanc_mask2seg.service.sieve import passes_over  # noqa: PLC0415 - likewise

        return passes_over(self._archive, series, self._settings)

    def draw(self, series_instance_uid: Uid, kind: PictureKind) -> Pictures:
        """Pictures of a segmentation."""
        return tuple(map(b64decode, drawn(self._archive, series_instance_uid, kind, self._settings)))

    def explain(self, series: str, source: str) -> list[dict[str, Any]]:
        """What would become of a series."""
        from orthanc_mask2seg.service.explaining import explained  # noqa: PLC0415 - likewise

        return explained(self._archive, series, source, self._settings)

    def close(self) -> None:
        """Nothing to end."""
