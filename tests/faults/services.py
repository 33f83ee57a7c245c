"""The processes that the battery breaks: started, killed, started again, each with a proxy of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.faults.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
CANNOT_START = 2


class Service:
    """`mask2seg serve`, or another word, through `launch`, which can kill it from within.

    Parameters
    ----------
    state
        Folder of its state, which may be on a disk that is too small.
    words
        Commands of the program; each is a process of its own.
    bug
        Name of a bug that is built in (see `bugs`); '' for none.
    """

    def __init__(
        self, folder: Path, state: Path, proxy: Proxy, auth: tuple[str, str], settings: dict[str, Any], *,
        words: tuple[str, ...] = ("serve",), bug: str = "", preload: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.proxy, self._words, self._bug = folder, proxy, words, bug
        self.state = state
        self.steps = folder / "steps"
        self.log = folder / "service.log"
        self.configuration = folder / "mask2seg.json"
        self._preload = preload or {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self.recoveries: list[float] = []
        self.crashes: list[str] = []
        self.late_stops = 0
        self._started = 0.0
        for path in (self.state, self.steps):
            path.mkdir(parents=True, exist_ok=True)
        section = {
            "OrthancUrl": proxy.url, "OrthancUsername": auth[0], "OrthancPassword": auth[1], "State": str(state),
            "StatusPort": 0, **settings,
        }  # fmt: skip
        self.configuration.write_text(json.dumps({"Mask2Seg": section}))
        self._naive = [str(state), proxy.url, *auth]

    @property
    def name(self) -> str:
        return self.proxy.name

    def start(self) -> None:
        """Start what does not run."""
        self._note_crashes()
        if self._processes:
            return
        self.proxy.polled.clear()
        self._started = time.monotonic()
        for word in self._words:
            with self.log.open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        self._command(word),
                        stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
                        env=self._environment(),
                    )
                )  # fmt: skip

    def _note_crashes(self) -> None:
        """Whoever has ended without being told to; with 2 a program says that it cannot start without its database."""
        ended = [p for p in self._processes if p.poll() is not None]
        self.crashes += [f"{self.name} ended by itself: {p.returncode}" for p in ended if p.returncode != CANNOT_START]
        self._processes = [p for p in self._processes if p not in ended]

    def freeze(self, seconds: float) -> None:
        """Let all its processes stand still for a while, workers too."""
        for go_on in (False, True):
            for process in self._processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGCONT if go_on else signal.SIGSTOP)
            if not go_on:
                time.sleep(seconds)

    def _command(self, word: str) -> list[str]:
        if word == "naive":
            return [sys.executable, "-m", "tests.faults.naive", *self._naive]
        return [sys.executable, "-m", "tests.faults.launch", word, "-c", str(self.configuration)]

    def _environment(self) -> dict[str, str]:
        paths = os.pathsep.join([str(ROOT / "tests" / "faults" / "site"), str(ROOT)])
        return {
            **os.environ, **self._preload, "PYTHONPATH": paths, "FAULTS_STEPS": str(self.steps),
            "FAULTS_BUG": self._bug,
        }  # fmt: skip

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait until it polls, and note how long that took."""
        found = self.proxy.polled.wait(seconds)
        if found:
            self.recoveries.append(time.monotonic() - self._started)
        return found

    def kill(self) -> None:
        """As a power cut would."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes = []

    def stop(self) -> bool:
        """Ask it to end; False where that took more than ten seconds and it had to be killed."""
        begun = time.monotonic()
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(max(10.0 - (time.monotonic() - begun), 0.1))
            except subprocess.TimeoutExpired:
                self.kill()
                self.late_stops += 1
                return False
        self._processes = []
        return True

    @property
    def running(self) -> bool:
        return bool(self._processes) and all(p.poll() is None for p in self._processes)

    def arm(self, step: str) -> None:
        """Let it die at a step inside, the next time."""
        (self.steps / step).touch()

    def disarm(self) -> None:
        for path in self.steps.iterdir():
            path.unlink(missing_ok=True)

    def armed(self, step: str) -> bool:
        return (self.steps / step).exists()

    def history(self) -> dict[str, list[dict[str, Any]]]:
        """SeriesInstanceUID to its jobs, the newest first, by the command line."""
        done = subprocess.run(
            [sys.executable, "-m", "orthanc_mask2seg", "jobs", "list", "--limit", "10000", "--json", "-c",
             str(self.configuration)],
            capture_output=True, text=True, check=False, timeout=300, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        found: dict[str, list[dict[str, Any]]] = {}
        if done.returncode:
            return found
        for job in json.loads(done.stdout)["jobs"]:
            found.setdefault(job["request"]["series_instance_uid"], []).append(job)
        return found
