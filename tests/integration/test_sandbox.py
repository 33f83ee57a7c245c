"""The processes that do the work, on a real Orthanc: what ends them ends no service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orthanc_server import OrthancServer

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveUnreachable, OutOfMemory
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobRequest, RunAgain
from orthanc_mask2seg.model import Series
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.service.orders import Steps
from orthanc_mask2seg.service.sandbox import DEATHS_BEFORE_QUARANTINE, Sandbox
from tests.builders import Grid, Study, image_series, mask_series, study, to_bytes
from tests.integration.test_serve import Pacs, Service

PATIENCE_S = 60
WARM_PAGES = 35_000
"""Resident memory of a worker that has imported highdicom and encoded once."""


class Bench:
    """A sandbox and what it works for."""

    def __init__(self, server: OrthancServer, folder: Path, jobs_per_worker: int = 100, **settings: Any) -> None:
        self.archive = OrthancArchive(server.url, server.username, server.password)
        self.server, self.ledger, self.said = server, SqlLedger(folder), []
        self.settings = Settings(
            orthanc_url=server.url, orthanc_username=server.username, orthanc_password=server.password, **settings
        )
        self.sandbox = Sandbox(self.settings, 1, jobs_per_worker=jobs_per_worker)
        steps = Steps()
        steps.begin = lambda _key, step: self.said.append(step)  # type: ignore[method-assign]
        self.run = self.sandbox.runner(self.ledger, steps)
        self.sandbox.start()
        until(self.sandbox.pids, "a worker")

    def close(self) -> None:
        self.sandbox.close()
        self.archive.close()
        self.ledger.close()

    def send(self, made: Any) -> Series:
        for instance in (*made.image, *made.mask):
            self.server.post("/instances", to_bytes(instance))
        return self.archive.find_series(made.mask[0].SeriesInstanceUID)


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def request(series: Series, **more: Any) -> JobRequest:
    return JobRequest(
        series_key=series.key,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        version=series.version,
        **more,
    )


@pytest.fixture
def bench(shared_orthanc: OrthancServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(shared_orthanc, tmp_path)
    yield made
    made.close()


def segs(bench: Bench, series: Series) -> list[Series]:
    return [s for s in bench.archive.series_of_study(series.study_instance_uid) if s.modality == "SEG"]


def test_a_worker_converts_tells_its_steps_and_is_used_again(bench: Bench) -> None:
    """The ledger is the service's, the conversion the worker's; the second job finds it warm."""
    series = bench.send(study())
    [pid] = bench.sandbox.pids()
    assert bench.run(request(series))["outcome"] == "converted"
    assert bench.said[:2] == ["match", "read"]
    assert bench.said[-1] == "store"
    [stored] = bench.ledger.stored(series.key)
    assert [stored.orthanc_id] == [key for s in segs(bench, series) for key in s.instance_keys]
    assert bench.run(request(bench.send(study(seed=5))))["outcome"] == "converted"
    assert bench.sandbox.pids() == (pid,)


def test_secrets_are_in_no_argument_and_no_environment(bench: Bench) -> None:
    [pid] = bench.sandbox.pids()
    for file in ("cmdline", "environ"):
        assert bench.server.password.encode() not in Path(f"/proc/{pid}/{file}").read_bytes()
        assert b"orthanc_mask2seg.service.child" in Path(f"/proc/{pid}/cmdline").read_bytes()


def in_the_middle(bench: Bench, asked: JobRequest, signals: tuple[int, ...]) -> Any:
    """Let a worker run a job and send it signals when it has it: it is stopped before, so that it cannot be faster."""
    [pid] = bench.sandbox.pids()
    os.kill(pid, signal.SIGSTOP)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(bench.run(asked)))
    thread.start()
    time.sleep(0.3)
    for number in signals:
        os.kill(pid, number)
    thread.join(PATIENCE_S)
    until(lambda: bench.sandbox.pids() not in ((), (pid,)), "another worker")
    return answers[0]


@pytest.mark.parametrize("deadly", [signal.SIGSEGV, signal.SIGKILL])
def test_a_worker_that_dies_is_replaced_and_the_job_tried_again_until_it_is_put_aside(
    bench: Bench, deadly: signal.Signals
) -> None:
    asked = request(bench.send(study()))
    for death in range(1, DEATHS_BEFORE_QUARANTINE):
        again = in_the_middle(bench, asked, (deadly, signal.SIGCONT))
        assert isinstance(again, RunAgain)
        assert again.request is not None
        assert (again.why["reason"], again.request.deaths) == ("worker_died", death)
        assert deadly.name in again.why["detail"]
        assert again.request.key == asked.key
        asked = JobRequest.of(again.request.document())
    document = in_the_middle(bench, asked, (deadly, signal.SIGCONT))
    assert (document["outcome"], document["reason"]) == ("failed", "worker_died")
    assert "Quarantined" in document["detail"]
    assert bench.run(request(bench.send(study(seed=6))))["outcome"] == "converted"


def test_a_worker_that_hangs_is_ended_at_its_deadline(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    bench = Bench(shared_orthanc, tmp_path, deadline_seconds=0.5)
    try:
        again = in_the_middle(bench, request(bench.send(study())), ())
        assert isinstance(again, RunAgain)
        assert again.why["reason"] == "deadline_exceeded"
    finally:
        bench.close()


def test_too_much_memory_is_a_reason_at_once(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    """A mask of 75 MB where the worker has 256 MB, of which 150 are taken: it is told so, and the service goes on."""
    bench = Bench(shared_orthanc, tmp_path, job_memory_mb=256)
    grid = Grid(planes=6, rows=2500, columns=2500)
    labels = np.zeros((6, 2500, 2500), np.uint16)
    labels[:, 5:90, 5:80] = 1
    image = image_series(grid, seed=77, values=np.indices(labels.shape, np.uint16).sum(0))
    large = Study(grid=grid, image=image, mask=mask_series(image, labels), labels=labels)
    try:
        series = bench.send(large)
        [pid] = bench.sandbox.pids()
        with pytest.raises(OutOfMemory) as caught:
            bench.run(request(series))
        assert (caught.value.code, caught.value.retryable) == ("too_large", False)
        assert bench.run(request(bench.send(study())))["outcome"] == "converted"
        assert bench.sandbox.pids() != (pid,)
    finally:
        bench.close()


def test_a_worker_that_died_idle_costs_no_job_a_thing(bench: Bench) -> None:
    [pid] = bench.sandbox.pids()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    assert bench.run(request(bench.send(study())))["outcome"] == "converted"


def test_workers_are_replaced_after_some_jobs(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    bench = Bench(shared_orthanc, tmp_path, jobs_per_worker=2)
    try:
        [first] = bench.sandbox.pids()
        series = bench.send(study())
        for _ in range(2):
            assert bench.run(request(series))["outcome"] == "converted"
        until(lambda: bench.sandbox.pids() != (first,) and len(bench.sandbox.pids()) == 1, "its successor")
        assert bench.run(request(series))["outcome"] == "converted"
    finally:
        bench.close()


def test_faults_of_the_archive_come_through(bench: Bench, orthanc: OrthancServer) -> None:
    series = bench.send(study())
    elsewhere = Bench(orthanc, Path(orthanc.folder))
    orthanc.stop()
    try:
        with pytest.raises(ArchiveUnreachable) as caught:
            elsewhere.run(request(series))
        assert caught.value.retryable
    finally:
        elsewhere.close()


def test_a_look_tells_masks_from_images(bench: Bench) -> None:
    mask = bench.send(study(seed=9))
    [image] = [s for s in bench.archive.series_of_study(mask.study_instance_uid) if s.key != mask.key]
    sandbox = Sandbox(bench.settings, 1, warm=False)
    try:
        assert sandbox.look(mask) is None
        assert sandbox.look(image) == "not_a_mask"
        [pid] = sandbox.pids()
        assert not any("highdicom" in line for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    finally:
        sandbox.close()


PARENT = """
import sys, time
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.service.sandbox import Sandbox
sandbox = Sandbox(Settings(), 1)
sandbox.start()
while not sandbox.pids():
    time.sleep(0.05)
print(*sandbox.pids(), flush=True)
time.sleep(600)
"""


def test_workers_die_with_the_service() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        parent.wait()
    until(lambda: not alive(pid), "the end of the worker")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_a_service_with_a_hanging_job_ends_and_does_the_job_after_its_next_start(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    """SIGTERM gives the job back and leaves no process behind."""
    service, pacs = Service(tmp_path, orthanc), Pacs(orthanc)
    service.start()
    assert service.process is not None
    pid = service.process.pid
    [converting] = until(lambda: [w for w in workers_of(pid) if pages(w) > WARM_PAGES], "a warm worker")
    workers = workers_of(pid)
    os.kill(converting, signal.SIGSTOP)
    made = study()
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    until(lambda: [job["state"] for job in service.jobs()] == ["running"], "the job to begin")
    assert service.end() == 0
    until(lambda: not any(map(alive, workers)), "the end of the workers")
    service.start()
    try:
        until(lambda: len(pacs.segs()) == 1, "the SEG")
    finally:
        service.end()


def workers_of(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


def pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
