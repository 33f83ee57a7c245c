"""A real Orthanc with the plugin of mask2seg, and what a person can do with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orthanc_server
import requests
from orthanc_server import OrthancServer

ROOT = Path(__file__).resolve().parents[1]
ENTRY = ROOT / "orthanc_mask2seg" / "plugin" / "entry.py"
SUITES = ("bookworm", "trixie", "sid")
PLUGINS = ("libOrthancDicomWeb.so", "libOrthancPython.so")
PATIENCE_S = 60


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.1)
    return found


class PluginOrthanc(OrthancServer):
    """Orthanc with a password for people, and nothing else configured but what a test needs to be fast."""

    def __init__(
        self, folder: Path, suite: str, entry: Path = ENTRY, settings: dict[str, Any] | None = None, **section: Any
    ) -> None:
        self.status_port = orthanc_server.free_port()
        fast = {"StatusPort": self.status_port, "SettleSeconds": 0.5, "PartialRestSeconds": 2.0, "ScanSeconds": 3.0}
        super().__init__(
            folder,
            suite=suite,
            plugins=PLUGINS,
            settings={
                "PythonScript": str(entry),
                "Mask2Seg": {"Enable": True, **fast, **section},
                **(settings or {}),
            },
        )

    @property
    def state(self) -> Path:
        """Folder of the state of the service."""
        return self.storage / "mask2seg"

    @property
    def pid(self) -> int:
        """Process id of Orthanc."""
        assert self._child is not None
        return self._child.pid

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Whatever the plugin answers."""
        options = {"auth": self.auth, "timeout": 60, "allow_redirects": False} | more
        return requests.request(method, f"{self.url}/mask2seg{path}", **options)

    def is_ready(self) -> bool:
        """Whether the service follows Orthanc."""
        return self.ask("GET", "/healthz").status_code == 200

    def ready(self) -> PluginOrthanc:
        """Start it and wait for the service."""
        self.start()
        until(self.is_ready, "the service")
        return self

    def service_pids(self) -> list[int]:
        """Process ids of the children of Orthanc."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sorted(int(pid) for file in children for pid in file.read_text(encoding="ascii").split())

    def send(self, *contents: bytes) -> None:
        """Store instances."""
        for content in contents:
            self.post("/instances", content)

    def series(self, modality: str = "", description: str = "") -> list[str]:
        """Orthanc identifiers of series."""
        found = self.get("/series", expand="").json()
        return [
            s["ID"]
            for s in found
            if modality in {"", s["MainDicomTags"]["Modality"]}
            and description in s["MainDicomTags"].get("SeriesDescription", "")
        ]

    def segs(self) -> list[str]:
        """Orthanc identifiers of the segmentations."""
        return self.series("SEG")

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait for a job."""

        def job() -> dict[str, Any] | None:
            document: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}").json()
            return document if document.get("state") in {"done", "failed", "quarantined"} else None

        found: dict[str, Any] = until(job, f"job {job_id}")
        return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def end(pid: int, how: int) -> None:
    """Send a signal to a process that we started."""
    os.kill(pid, how)
