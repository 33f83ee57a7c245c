"""Soak: many small masks through one `mask2seg serve` on a real Orthanc, and what memory that takes.

    python tests/soak.py [--masks 5000] [--settled 500]

Prints numbers as it goes, and ends with 1 where the service grew by more than 20 MB after the first `--settled` masks,
is larger than 200 MB, or has not made exactly one SEG of every mask.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "scripts")]

from builders import Grid, blob, study, to_bytes  # noqa: E402 - a program beside its tests
from orthanc_server import OrthancServer, free_port  # noqa: E402

GROWTH_MB, LARGEST_MB = 20, 200
OUTSTANDING = 60
PATIENCE_S = 300


class Soak:
    """One Orthanc, one service, and what was sent."""

    def __init__(self, folder: Path) -> None:
        self.server = OrthancServer(folder / "orthanc", plugins=()).start()
        self.port = free_port()
        section = {
            "OrthancUrl": self.server.url, "OrthancUsername": self.server.username, "State": "state",
            "OrthancPassword": self.server.password, "StatusPort": self.port, "LogLevel": "WARNING",
        }  # fmt: skip
        configuration = folder / "mask2seg.json"
        configuration.write_text(json.dumps({"Mask2Seg": section}))
        self.log = (folder / "serve.log").open("wb")
        words = [sys.executable, "-m", "orthanc_mask2seg", "serve", "-c", str(configuration)]
        self.service = subprocess.Popen(words, stdout=self.log, stderr=self.log)
        self.pool = ThreadPoolExecutor(4)
        self.session = requests.Session()
        self.session.auth = self.server.auth
        self.sent = 0

    def close(self) -> None:
        self.service.terminate()
        self.service.wait(15)
        self.server.kill()
        self.log.close()

    def send(self) -> None:
        grid = Grid(planes=3, rows=16, columns=16)
        made = study(grid, labels=blob(grid), seed=1000 + self.sent)
        list(self.pool.map(self._post, map(to_bytes, (*made.image, *made.mask))))
        self.sent += 1

    def _post(self, content: bytes) -> None:
        requests.post(
            f"{self.server.url}/instances", data=content, auth=self.server.auth, timeout=60
        ).raise_for_status()

    def outcomes(self) -> dict[str, int]:
        try:
            health = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=10).json()
        except requests.ConnectionError:
            return {}
        found: dict[str, int] = health["watcher"]["outcomes"]
        return found

    def done(self) -> int:
        return sum(self.outcomes().values())

    def memory_mb(self) -> float:
        return _resident_mb(self.service.pid)

    def workers_mb(self) -> list[float]:
        found = Path(f"/proc/{self.service.pid}/task").glob("*/children")
        return [round(_resident_mb(int(pid)), 1) for file in found for pid in file.read_text().split()]

    def segs(self) -> int:
        query = {"Level": "Series", "Query": {"Modality": "SEG"}}
        found: list[Any] = self.session.post(f"{self.server.url}/tools/find", json=query, timeout=120).json()
        return len(found)


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def run(masks: int, settled: int, folder: Path) -> bool:
    soak, began, first = Soak(folder), time.monotonic(), 0.0
    try:
        done, shown, moved = 0, 0, time.monotonic()
        while done < masks:
            before, done = done, soak.done()
            moved = time.monotonic() if done > before else moved
            if time.monotonic() - moved > PATIENCE_S:
                print(f"no mask was dealt with for {PATIENCE_S} s", flush=True)
                return False
            if done >= settled and not first:
                first = soak.memory_mb()
            if done - shown >= max(masks // 20, 1):
                shown = done
                minutes = (time.monotonic() - began) / 60
                print(
                    f"{done} masks, {minutes:.1f} min: service {soak.memory_mb():.1f} MB, workers {soak.workers_mb()}",
                    flush=True,
                )
            if soak.sent < masks and soak.sent - done < OUTSTANDING:
                for _ in range(min(10, masks - soak.sent)):
                    soak.send()
            else:
                time.sleep(0.2)
        # A mask that came slowly is converted twice, so there are outcomes for all before all have their SEG.
        end = time.monotonic() + PATIENCE_S
        while (segs := soak.segs()) < masks and time.monotonic() < end:
            time.sleep(2)
        last, outcomes = soak.memory_mb(), soak.outcomes()
        print(f"masks {masks} outcomes {outcomes} segs {segs}")
        print(f"service after {settled}: {first:.1f} MB, at the end: {last:.1f} MB, grown by {last - first:+.1f} MB")
        return outcomes.keys() == {"converted"} and segs == masks and last - first <= GROWTH_MB and last <= LARGEST_MB
    finally:
        soak.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=5000)
    parser.add_argument("--settled", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        good = run(arguments.masks, arguments.settled, Path(folder))
    print("passed" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
