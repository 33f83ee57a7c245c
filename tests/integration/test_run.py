"""`make run`, but for the making of .venv: scripts/run.py with ports and a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orthanc_server
import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]


def _heed_ctrl_c() -> None:
    """Else the tests fail where they run behind `&`: a shell lets such programs ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """A running scripts/run.py."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.port, self.status_port = port or orthanc_server.free_port(), orthanc_server.free_port()
        text = (ROOT / "orthanc.json").read_text(encoding="utf-8")
        text = text.replace('"HttpPort": 8042,', f'"HttpPort": {self.port},')
        text = text.replace('    // "StatusPort": 8043,', f'    , "StatusPort": {self.status_port}')
        self.configuration = folder / "orthanc.json"
        self.configuration.write_text(text, encoding="utf-8")
        self._output = folder / "printed"
        words = [sys.executable, ROOT / "scripts" / "run.py", "-c", self.configuration]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                words,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - no thread of ours holds a lock here
            )

    @property
    def printed(self) -> str:
        """What it has said."""
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, text: str, seconds: float) -> None:
        """Wait until it says something."""
        deadline = time.monotonic() + seconds
        while text not in self.printed:
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.1)

    def child(self, word: str) -> int:
        """Process id of the child whose command holds a word."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in task.read_text(encoding="ascii").split():
            if any(
                said.endswith(word) for said in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
            ):
                return int(pid)
        raise AssertionError(f"no child has {word}")

    def end(self, seconds: float = 40) -> int:
        """Wait until it has ended; its exit status."""
        return self.process.wait(seconds)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    running = Run(tmp_path)
    try:
        yield running
    finally:
        running.process.terminate()
        running.end()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_nobody_listens(run: Run) -> None:
    for port in (run.port, run.status_port):
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/", timeout=5)


def test_demonstrates_and_stops_cleanly(run: Run) -> None:
    run.wait_for("Orthanc and the service keep running; Ctrl-C stops them.", 200)
    median = re.search(r"found by QIDO-RS: median (\S+) s", run.printed)
    assert median
    assert float(median[1]) < 60
    assert f"http://127.0.0.1:{run.port}/app/explorer.html#study?uuid=" in run.printed
    assert requests.get(f"http://127.0.0.1:{run.status_port}/", timeout=10).ok
    series = re.findall(r"its segmentation, series (\S+),", run.printed)
    found = requests.get(f"http://127.0.0.1:{run.port}/dicom-web/series?Modality=SEG", timeout=10).json()
    assert {one["0020000E"]["Value"][0] for one in found} == set(series)

    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert run.printed.endswith("Stopped.\n")
    assert "Orthanc has stopped" in (run.configuration.parent / ".state/run/orthanc.log").read_text(encoding="utf-8")
    assert_nobody_listens(run)


def test_says_which_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", orthanc_server.free_port())) as other:
        taken = other.getsockname()[1]
        run = Run(tmp_path, port=taken)
        assert run.end() == 1
    assert run.printed.startswith(f"Failed: port {taken} of 127.0.0.1 cannot be used (Address already in use).")
    assert "HttpPort" in run.printed


def test_says_that_orthanc_died_and_leaves_no_service(run: Run) -> None:
    run.wait_for("The service is ready", 60)
    os.kill(run.child("usr/sbin/Orthanc"), signal.SIGKILL)
    assert run.end() == 1
    assert "Failed: Orthanc ended (status -9). Its log" in run.printed
    deadline = time.monotonic() + 15
    while listens(run.status_port):
        assert time.monotonic() < deadline, "the service goes on without Orthanc"
        time.sleep(0.1)
    assert_nobody_listens(run)
