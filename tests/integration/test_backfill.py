"""`mask2seg backfill` on a real Orthanc: a few dozen series that are there already, each converted once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from orthanc_server import OrthancServer
from postgres_server import PostgresServer

from tests.builders import study, to_bytes
from tests.integration.test_serve import PROGRAM, Pacs, Service, until

GOOD, LOST = 16, 3
"""Masks with their images, and masks without."""


@pytest.fixture
def service(tmp_path: Path, orthanc: OrthancServer) -> Service:
    return Service(tmp_path, orthanc, PartialRestSeconds=1.0)


@pytest.fixture
def pacs(orthanc: OrthancServer) -> Pacs:
    """A PACS with images, masks, and masks whose images are not there; half of the studies are of 2023."""
    found = Pacs(orthanc)
    for seed in range(GOOD + LOST):
        made = study(seed=seed)
        for data in (*made.image, *made.mask):
            data.StudyDate = "20230105" if seed % 2 else "20240105"
            if seed == 4:
                data.StudyDate = ""
        found.send(*(to_bytes(d) for d in (*(made.image if seed < GOOD else ()), *made.mask)))
    return found


def command(service: Service, *words: str) -> list[str | Path]:
    return [PROGRAM, "backfill", *words, "-c", service.configuration]


def run(service: Service, *words: str, code: int = 0) -> Any:
    done = subprocess.run(command(service, *words), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


def segs_per_study(pacs: Pacs) -> list[int]:
    studies = [s["ParentStudy"] for s in pacs.segs()]
    return sorted(studies.count(one) for one in set(studies))


def test_a_dry_run_stores_nothing_and_tells_what_would_become_of_each(service: Service, pacs: Pacs) -> None:
    before = pacs.digests()
    said = run(service, "--dry-run")
    assert said.startswith("19 candidates, 16 matched, 3 refused: no_source_in_study 3\n")
    assert "35 series of the PACS were looked through" in said
    document = run(service, "--dry-run", "--json", "--since", "2024-01-01")
    assert (document["candidates"], document["matched"], document["refused"]) == (9, 7, 2)
    assert document["reasons"]["refused"] == {"no_source_in_study": 2}
    assert len(document["examples"]["no_source_in_study"]) == 2
    assert (document["outside_dates"], document["without_date"]) == (17, 2)
    document = run(service, "--dry-run", "--json", "--until", "20231231")
    assert (document["candidates"], document["matched"]) == (9, 8)
    assert pacs.digests() == before
    assert not (service.folder / "state").exists()


def _heeds_sigint() -> None:
    """A shell's background job ignores it, and so does what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_it_goes_on_where_it_was_interrupted(service: Service, pacs: Pacs) -> None:
    """Stopped by Ctrl-C, killed, run to its end, run again, and then a service on the same state: one SEG each."""
    before = pacs.digests()
    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        some = len(pacs.segs()) + 2
        process = subprocess.Popen(
            command(service), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=_heeds_sigint,  # noqa: PLW1509 - one thread, and no more than a signal
        )  # fmt: skip
        until(lambda some=some: len(pacs.segs()) >= some, "some SEGs")
        process.send_signal(how)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == code
        assert ("interrupted" in said) == (code == 130)
        assert len(pacs.segs()) < GOOD
    document = run(service, "--json")
    assert (document["candidates"], document["matched"], document["refused"]) == (GOOD + LOST, GOOD, LOST)
    assert document["before"] >= 2
    assert segs_per_study(pacs) == [1] * GOOD
    again = run(service, "--json")
    assert (again["before"], again["matched"]) == (GOOD + LOST, GOOD)
    after, jobs = pacs.digests(), len(service.jobs())
    service.start()
    try:
        time.sleep(6)  # two scans
        assert len(service.jobs()) == jobs
    finally:
        assert service.end() == 0
    assert pacs.digests() == after
    assert {key: after[key] for key in before} == before


def test_beside_a_service_that_does_the_work(service: Service, pacs: Pacs) -> None:
    """Both find the same masks at the same time."""
    service.start()
    try:
        document = run(service, "--json")
    finally:
        assert service.end() == 0
    assert (document["matched"], document["refused"]) == (GOOD, LOST)
    assert segs_per_study(pacs) == [1] * GOOD


def test_on_a_postgresql_it_is_one_more_host(
    tmp_path: Path, orthanc: OrthancServer, pacs: Pacs, shared_postgres: PostgresServer
) -> None:
    """Beside a service that works on the same database."""
    secret = tmp_path / "database"
    secret.write_text(shared_postgres.create_database())
    service = Service(tmp_path, orthanc, PartialRestSeconds=1.0, DatabaseUrlFile=str(secret))
    service.start()
    try:
        document = run(service, "--json")
    finally:
        assert service.end() == 0
    assert (document["matched"], document["refused"]) == (GOOD, LOST)
    assert segs_per_study(pacs) == [1] * GOOD
    assert run(service, "--json")["before"] == GOOD + LOST


def test_what_cannot_be_is_said(service: Service, orthanc: OrthancServer) -> None:
    assert run(service, "--since", "2024-02-01", "--until", "2024-01-01", "--json", code=2)["reason"]
    assert "Invalid value" in str(
        subprocess.run(command(service, "--since", "soon"), capture_output=True, check=False).stderr
    )
    orthanc.stop()
    assert run(service, "--dry-run", "--json", code=4)["reason"] == "archive_unreachable"
    assert run(service, "--json", code=4)["reason"] == "archive_unreachable"
