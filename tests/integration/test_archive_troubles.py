"""A real Orthanc whose disk is full or read-only, whose password has changed, or whose database is another one."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from orthanc_server import OrthancServer, free_port

from orthanc_mask2seg.errors import ArchiveFull
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from tests.builders import Grid, study, to_bytes
from tests.integration.test_serve import Pacs, Service, until


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, if we may mount one."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("this test mounts a small disk, which needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Take all that is left of a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return ballast


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[tuple[OrthancServer, Path]]:
    with small_disk(tmp_path / "orthanc" / "storage", 24) as disk:
        server = OrthancServer(tmp_path / "orthanc").start()
        try:
            yield server, disk
        finally:
            server.kill()


def alarm(port: int) -> dict[str, str] | None:
    health = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).json()
    assert (health["status"] == "paused") == bool(health["alarm"])
    found: dict[str, str] | None = health["alarm"]
    return found


def send_study(pacs: Pacs, seed: int = 0) -> None:
    made = study(seed=seed)
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))


def test_the_service_pauses_while_the_disk_is_full_and_goes_on_by_itself(
    on_small_disk: tuple[OrthancServer, Path], tmp_path: Path
) -> None:
    """Two masks meet it: an alarm, one job that keeps its place, no attempt spent, and both SEGs afterwards."""
    server, disk = on_small_disk
    pacs, port = Pacs(server), free_port()
    service = Service(tmp_path, server, StatusPort=port, SettleSeconds=3.0)
    service.start()
    try:
        for seed in (1, 2):
            send_study(pacs, seed)
        ballast = fill(disk)
        until(lambda: alarm(port), "an alarm")
        told = alarm(port)
        assert told is not None
        assert told["code"] == "archive_full"
        assert "Paused: archive_full." in requests.get(f"http://127.0.0.1:{port}/", timeout=10).text
        time.sleep(8)  # at least one more try
        assert sorted(j["state"] for j in service.jobs()) in (["running"], ["running", "waiting"])
        assert all(j["attempts"] <= 1 for j in service.jobs())
        ballast.unlink()
        until(lambda: len(pacs.segs()) == 2, "both SEGs")
        until(lambda: alarm(port) is None, "the end of the alarm")
        assert service.said().count("PAUSED: archive_full") == 1
        assert "going on" in service.said()
        assert all(j["attempts"] <= 1 for j in service.jobs())
    finally:
        service.end()


@pytest.mark.parametrize("settings", [{"ReadOnly": True}, {"MaximumStorageSize": 1, "MaximumStorageMode": "Reject"}])
def test_orthanc_that_may_not_take_in_is_full(tmp_path: Path, settings: dict[str, object]) -> None:
    server = OrthancServer(tmp_path / "orthanc", settings=settings).start()
    contents = [to_bytes(instance) for instance in study(Grid(planes=12, rows=256, columns=256), seed=3).image]

    def store_all() -> None:
        with OrthancArchive(server.url, server.username, server.password) as archive:
            for content in contents:
                archive.store(content)

    try:
        with pytest.raises(ArchiveFull):
            store_all()
    finally:
        server.kill()


def test_another_password_is_waited_out(orthanc: OrthancServer, tmp_path: Path) -> None:
    """401 costs nothing: what came meanwhile is converted when the credentials are right again."""
    pacs, port, right = Pacs(orthanc), free_port(), orthanc.configuration.read_text()
    service = Service(tmp_path, orthanc, StatusPort=port)
    service.start()
    try:
        orthanc.stop()
        orthanc.configuration.write_text(right.replace(orthanc.password, "another one"))
        orthanc.password = "another one"
        orthanc.start()
        send_study(Pacs(orthanc))
        health = f"http://127.0.0.1:{port}/healthz"
        until(
            lambda: requests.get(health, timeout=10).json()["archive"]["error"] == "archive_denied", "a word about it"
        )
        orthanc.stop()
        orthanc.configuration.write_text(right)
        del orthanc.password
        orthanc.start()
        until(lambda: len(pacs.segs()) == 1, "the SEG")
        assert [job["attempts"] for job in service.jobs()] == [1]
    finally:
        service.end()


def test_another_database_on_the_same_port_is_noticed_and_looked_through(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    """The journal starts anew below where it was read to: everything is looked at again, and converted again."""
    pacs = Pacs(orthanc)
    service = Service(tmp_path, orthanc, ScanSeconds=3600.0)
    service.start()
    try:
        for seed in (1, 2, 3):
            send_study(pacs, seed)
        until(lambda: len(pacs.segs()) == 3, "three SEGs")
        orthanc.stop()
        shutil.rmtree(orthanc.storage)
        orthanc.storage.mkdir()
        orthanc.start()
        until(lambda: "another database" in service.said(), "a word about it")
        send_study(pacs, 2)
        until(lambda: len(pacs.segs()) == 1, "the SEG of the mask that is there")
        send_study(pacs, 5)
        until(lambda: len(pacs.segs()) == 2, "the SEG of a new mask")
    finally:
        service.end()
