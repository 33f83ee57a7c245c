"""Hostile files through a real Orthanc with the service running.

    PYTHONPATH=tests:scripts python -m tests.hostile.through_orthanc [--files N] [--seed S] [--suite trixie]

Each file is one slice of a mask series whose study also has an image series. At the end every series that Orthanc took
has a job with an outcome and a reason, or was passed over; the service is the process that it was, answers, and has
not grown beyond a bound. The last line says how many files of how many kinds ended how.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import requests
from orthanc_server import OrthancServer, free_port
from pydicom.uid import generate_uid

from orthanc_mask2seg import config
from tests.builders import Grid, image_series, mask_series, to_bytes
from tests.hostile.files import hostile

PROGRAM = Path(sys.executable).parent / "mask2seg"
PER_STUDY = 1
MOST_MEGABYTES = 3000
"""Resident memory of the service, its workers apart: three times the largest single thing that it may read."""
WORKER_MEGABYTES = config.Settings().job_memory_mb
FAULTS = frozenset({"internal_error", "worker_died", "deadline_exceeded"})
"""No file may bring these about: what is in it has to be refused by what it says."""
QUIET_SECONDS = 20.0
PLANES = 3


@dataclasses.dataclass(slots=True)
class Report:
    """What became of the files."""

    files: int = 0
    refused_by_orthanc: int = 0
    killed_orthanc: int = 0
    endings: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    without_reason: list[str] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    peak_megabytes: int = 0
    worker_megabytes: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing was lost, hung, died or grew."""
        return (
            not self.without_reason
            and not self.faults
            and self.peak_megabytes < MOST_MEGABYTES
            and self.worker_megabytes <= WORKER_MEGABYTES
        )

    def __str__(self) -> str:
        endings = ", ".join(f"{count} {name}" for name, count in self.endings.most_common())
        return (
            f"files {self.files} refused by Orthanc {self.refused_by_orthanc} "
            f"killed Orthanc {self.killed_orthanc} endings: {endings}; "
            f"without reason {len(self.without_reason)} faults {len(self.faults)} "
            f"peak {self.peak_megabytes} MB, of a worker {self.worker_megabytes} MB, {self.seconds:.0f} s"
        )


def studies(files: int, seed: int) -> Iterator[tuple[list[bytes], list[tuple[str, list[bytes]]]]]:
    """Images of a study, and its hostile mask series: (kind, files)."""
    grid = Grid(rows=32, columns=32, planes=PLANES)
    labels = [[[int(8 < r < 20 and 9 < c < 25) for c in range(32)] for r in range(32)]] * PLANES
    stored = np.array(labels, np.uint16)
    for start in range(seed, seed + files, PER_STUDY):
        image = image_series(grid, seed=start)
        masks = []
        for number in range(start, min(start + PER_STUDY, seed + files)):
            mask = mask_series(image, stored, own_uids=True, description="tumour mask", number=number)
            for data in mask:
                data.SeriesInstanceUID = generate_uid(entropy_srcs=["hostile", str(number)])
            kind, file = hostile(mask[1], number)
            masks.append((kind, [to_bytes(mask[0]), file, to_bytes(mask[2])]))
        yield [to_bytes(data) for data in image], masks


class Run:
    """An Orthanc, the service, and the files."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.orthanc = OrthancServer(folder / "orthanc", suite=suite, settings={"OverwriteInstances": True})
        self.page = f"http://127.0.0.1:{(port := free_port())}"
        section = {
            "OrthancUrl": self.orthanc.url, "OrthancUsername": self.orthanc.username, "StatusPort": port,
            "OrthancPassword": self.orthanc.password, "State": "state", "SettleSeconds": 0.5,
            "PartialRestSeconds": 1.0, "ScanSeconds": 10.0,
        }  # fmt: skip
        (folder / "mask2seg.json").write_text(json.dumps({"Mask2Seg": section}))
        self.configuration, self.log = folder / "mask2seg.json", folder / "serve.log"
        self.report = Report()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.orthanc.start()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", "-c", self.configuration], stdout=log, stderr=log)
        while not self._health():
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.report.faults.append("the service did not stop")
        self.orthanc.kill()

    def send(self, files: int, seed: int) -> None:
        """Store all."""
        for images, masks in studies(files, seed):
            for content in images:
                self._post(content)
            for _, contents in masks:
                self.report.files += 1
                taken = [self._post(content) for content in contents]
                self.report.refused_by_orthanc += not taken[1]

    def _post(self, content: bytes) -> bool:
        try:
            answer = requests.post(f"{self.orthanc.url}/instances", content, auth=self.orthanc.auth, timeout=120)
        except requests.ConnectionError:  # some kill Orthanc itself; the service has to outlive that
            self.report.killed_orthanc += 1
            self.orthanc.restart()
            return False
        return answer.ok

    def settle(self, patience: float) -> None:
        """Wait until all series are known and no job waits."""
        end, since, last = time.monotonic() + patience, time.monotonic(), None
        while time.monotonic() < end:
            health = self._health()
            self._measure()
            if health is None:
                self.report.faults.append("the service does not answer")
                return
            watcher, queue = health["watcher"], health["queue"]
            now = (
                watcher["known"],
                watcher["pending"],
                queue["waiting"],
                queue["running"],
                sum(watcher["outcomes"].values()),
            )
            if now != last:
                last, since = now, time.monotonic()
            if now[1:4] == (0, 0, 0) and time.monotonic() - since > QUIET_SECONDS:
                return
            time.sleep(1)
        self.report.faults.append(f"not settled: {last}")

    def judge(self) -> Report:
        """What every series came to."""
        listed = subprocess.run(
            [PROGRAM, "jobs", "list", "--json", "--limit", "10000", "-c", self.configuration],
            capture_output=True, check=True, timeout=300,
        )  # fmt: skip
        newest: dict[str, dict[str, Any]] = {}
        for job in reversed(json.loads(listed.stdout)["jobs"]):
            newest[job["request"]["series_key"]] = job
        seen = self._seen()
        for series in self.orthanc.get("/series", expand="").json():
            if series["MainDicomTags"].get("Modality") == "SEG":
                continue
            job = newest.get(series["ID"])
            if job is None:
                verdict = seen.get(series["ID"], "nothing")
                self.report.endings[verdict.replace("_", " ")] += 1
                if verdict != "passed_over":
                    self.report.without_reason.append(f"{series['ID']}: the service knows {verdict} of it")
                continue
            answer = job["result"] or job["error"] or {}
            outcome, reason = answer.get("outcome", job["state"]), answer.get("reason")
            self.report.endings[f"{outcome} {reason or ''}".strip()] += 1
            if outcome != "converted" and not reason:
                self.report.without_reason.append(series["ID"])
            if reason in FAULTS or job["state"] in {"quarantined", "running", "waiting"}:
                self.report.faults.append(f"{job['state']} {reason}: {answer.get('detail')}")
        if self.process is None or self.process.poll() is not None:
            self.report.faults.append("the service has ended")
        if "internal_error" in self.log.read_text(errors="replace"):
            self.report.faults.append("internal_error in the log")
        return self.report

    def _seen(self) -> dict[str, str]:
        """What the service remembers of every series, from its database."""
        [path] = (self.configuration.parent / "state").glob("*.sqlite")
        with contextlib.closing(sqlite3.connect(path)) as database:
            return dict(database.execute("SELECT series_key, verdict FROM mask2seg_seen"))

    def _health(self) -> dict[str, Any] | None:
        try:
            document: dict[str, Any] = requests.get(f"{self.page}/healthz", timeout=60).json()
        except (requests.RequestException, ValueError):
            return None
        return document

    def _measure(self) -> None:
        assert self.process is not None
        self.report.peak_megabytes = max(self.report.peak_megabytes, _peak(self.process.pid))
        self.report.worker_megabytes = max([self.report.worker_megabytes, *map(_peak, _below(self.process.pid))])


def _peak(pid: int) -> int:
    """Largest resident memory of a process so far (MB); 0 where it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _below(pid: int) -> list[int]:
    """The processes that a process has begun, and those that they have."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return [each for child in found for each in (child, *_below(child))]


def run(folder: Path, *, files: int, seed: int, suite: str = "trixie", patience: float = 600.0) -> Report:
    """Send so many files and judge."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Run(folder, suite) as running:
            running.send(files, seed)
            running.settle(patience)
            report = running.judge()
    report.seconds = time.monotonic() - began
    return report


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", default="trixie")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        report = run(Path(folder), files=wanted.files, seed=wanted.seed, suite=wanted.suite, patience=7200)
    for line in [*report.faults, *report.without_reason][:40]:
        print(line)
    print(report)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
