"""The service apart on several hosts, over one PostgreSQL and a real Orthanc, whose index is in PostgreSQL too."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from integration.test_serve import Pacs, until
from orthanc_server import OrthancServer, free_port
from postgres_server import PostgresServer

from tests.builders import study, to_bytes

PROGRAM = Path(sys.executable).parent / "mask2seg"


class Hosts:
    """Processes of `mask2seg`, each as on a host of its own."""

    def __init__(self, folder: Path, server: OrthancServer, url: str) -> None:
        self.folder, self.processes, self.url = folder, {}, url
        secret = folder / "database_url"
        secret.write_text(url)
        self.section = {
            "OrthancUrl": server.url, "OrthancUsername": server.username, "OrthancPassword": server.password,
            "DatabaseUrlFile": str(secret), "StatusPort": 0, "PartialRestSeconds": 4.0, "ScanSeconds": 3.0,
            "SettleSeconds": 0.5,
        }  # fmt: skip

    def start(self, name: str, command: str, **more: Any) -> None:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        configuration = folder / "mask2seg.json"
        configuration.write_text(json.dumps({"Mask2Seg": self.section | {"State": str(folder / "state")} | more}))
        with (folder / "log").open("ab") as log:
            words = [PROGRAM, command, "-c", configuration]
            self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log)
        until(lambda: "PostgreSQL" in self.said(name), f"{name} to start")

    def said(self, name: str) -> str:
        return (self.folder / name / "log").read_text()

    def end(self, name: str, how: int = signal.SIGTERM) -> int:
        process = self.processes[name]
        process.send_signal(how)
        return process.wait(10)

    def jobs(self, name: str) -> list[dict[str, Any]]:
        words = [PROGRAM, "jobs", "list", "--json", "-c", self.folder / name / "mask2seg.json"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        found: list[dict[str, Any]] = json.loads(done.stdout)["jobs"]
        return found


@pytest.fixture
def server(tmp_path: Path, shared_postgres: PostgresServer) -> Iterator[OrthancServer]:
    made = OrthancServer(tmp_path / "orthanc", index=shared_postgres.create_database())
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture
def hosts(tmp_path: Path, server: OrthancServer, shared_postgres: PostgresServer) -> Iterator[Hosts]:
    made = Hosts(tmp_path, server, shared_postgres.create_database())
    try:
        yield made
    finally:
        for process in made.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)


def send(pacs: Pacs, *seeds: int) -> None:
    for seed in seeds:
        made = study(seed=seed)
        pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))


def test_parts_die_and_every_mask_has_one_seg(hosts: Hosts, server: OrthancServer) -> None:
    """A watcher and two workers; a worker and then the watcher die for ever, and others go on without help."""
    pacs = Pacs(server)
    hosts.start("watch", "watch")
    hosts.start("one", "work")
    hosts.start("two", "work")
    send(pacs, 1, 2, 3)
    until(lambda: len(pacs.segs()) == 3, "the first SEGs")
    send(pacs, *range(4, 8))
    until(lambda: any(job["state"] == "running" for job in hosts.jobs("watch")) or len(pacs.segs()) > 4, "work")
    hosts.end("one", signal.SIGKILL)
    hosts.start("standby", "watch")
    until(lambda: len(pacs.segs()) == 7, "all SEGs, by the other worker")
    until(lambda: all(job["state"] == "done" for job in hosts.jobs("watch")), "all jobs done")
    hosts.end("watch", signal.SIGKILL)
    send(pacs, 8)
    until(lambda: len(pacs.segs()) == 8, "a SEG of what only the second watcher saw")
    before = sorted(series["ID"] for series in pacs.segs())
    time.sleep(7)
    assert sorted(series["ID"] for series in pacs.segs()) == before
    assert len(hosts.jobs("standby")) == 8
    began = time.monotonic()
    assert [hosts.end(name) for name in ("two", "standby")] == [0, 0]
    assert time.monotonic() - began < 20
    said = "".join(hosts.said(name) for name in ("watch", "standby", "one", "two"))
    assert "staple" not in said
    assert "tester" not in said


def test_two_services_on_one_orthanc_are_harmless(hosts: Hosts, server: OrthancServer) -> None:
    """Two of `serve` on one database: one watches, both work. One killed and started again changes nothing."""
    pacs = Pacs(server)
    hosts.start("one", "serve")
    hosts.start("two", "serve")
    for seed in range(1, 7):
        send(pacs, seed)
        if seed == 3:
            hosts.end("one", signal.SIGKILL)
            hosts.start("one", "serve")
    until(lambda: len(pacs.segs()) == 6, "a SEG for every mask")
    until(lambda: all(job["state"] == "done" for job in hosts.jobs("two")), "all jobs done")
    time.sleep(7)
    assert len(pacs.segs()) == 6
    assert len(hosts.jobs("two")) == 6


def test_who_watches_shows_what_those_who_work_wait_for(hosts: Hosts, server: OrthancServer) -> None:
    """The password of a worker is wrong: the alarm is where an administrator looks, and ends when that is mended."""
    pacs, port = Pacs(server), free_port()

    def health() -> dict[str, Any]:
        found: dict[str, Any] = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).json()
        return found

    hosts.start("watch", "watch", StatusPort=port)
    hosts.start("one", "work", OrthancPassword="wrong")
    send(pacs, 1)
    until(lambda: health()["status"] == "paused", "the alarm")
    assert health()["alarm"]["code"] == "archive_denied"
    hosts.end("one")
    hosts.start("one", "work")
    until(lambda: len(pacs.segs()) == 1, "the SEG")
    until(lambda: health()["status"] == "ok", "the end of the alarm")


def test_a_part_alone_needs_a_database(tmp_path: Path) -> None:
    for command in ("watch", "work"):
        done = subprocess.run([PROGRAM, command], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
        assert done.returncode == 2
        assert "DatabaseUrlFile" in done.stdout + done.stderr
