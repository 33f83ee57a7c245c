"""The JSON of a real service before a real Orthanc is what its OpenAPI document says, whatever is asked of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from orthanc_server import OrthancServer, free_port
from schemathesis import GenerationMode

from orthanc_mask2seg.web.openapi import document_of
from tests.builders import study, to_bytes

PROGRAM = Path(sys.executable).parent / "mask2seg"
TOKEN = "a token of sixteen or more"
PATIENCE_S = 60
pytestmark = pytest.mark.timeout(300)


class Served:
    """A service with a token that has converted one mask."""

    def __init__(self, url: str, job: str, series: str, study_key: str, source: str) -> None:
        self.url, self.job, self.series, self.study, self.source = url, job, series, study_key, source


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("openapi")
    server = OrthancServer(folder / "orthanc").start()
    port = free_port()
    section = {
        "OrthancUrl": server.url, "OrthancUsername": server.username, "OrthancPassword": server.password,
        "State": "state", "StatusPort": port, "ServiceToken": TOKEN, "SettleSeconds": 0.5,
    }  # fmt: skip
    (folder / "mask2seg.json").write_text(json.dumps({"Mask2Seg": section}))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", "-c", folder / "mask2seg.json"], stdout=log, stderr=log)
    try:
        made = study()
        for data in (*made.image, *made.mask):
            server.post("/instances", to_bytes(data))
        url = f"http://127.0.0.1:{port}"
        job = _first_job(url)
        found = server.post("/tools/lookup", str(made.mask[0].SeriesInstanceUID).encode()).json()
        series = next(entry["ID"] for entry in found if entry["Type"] == "Series")
        parent = requests.get(f"{server.url}/series/{series}", auth=server.auth, timeout=30).json()["ParentStudy"]
        yield Served(url, job, series, parent, str(made.image[0].SeriesInstanceUID))
    finally:
        process.terminate()
        process.wait(15)
        server.kill()


def _first_job(url: str) -> str:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            jobs = requests.get(f"{url}/jobs?state=done", headers=_login(), timeout=30).json()["jobs"]
        except requests.ConnectionError:
            jobs = []
        if jobs:
            return str(jobs[0]["id"])
        time.sleep(0.2)
    raise AssertionError("nothing was converted")


def _login() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def api(served: Served) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


OPERATIONS = [(path, method) for path, item in document_of("")["paths"].items() for method in item]
EXAMPLES = settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [*((*one, GenerationMode.POSITIVE) for one in OPERATIONS), ("/jobs", "get", GenerationMode.NEGATIVE)],
)
def test_whatever_is_asked_is_answered_as_described(
    api: schemathesis.schemas.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    """Every check of schemathesis: no server error, the statuses, types and schemas that the document names.

    What is wrong for sure can be made for `/jobs` alone: elsewhere any text is one that might be there.
    """

    @EXAMPLES
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=_login())

    answered()


@pytest.mark.parametrize(("path", "method"), [o for o in OPERATIONS if "{" in o[0]])
def test_what_is_there_is_given(api: schemathesis.schemas.BaseSchema, served: Served, path: str, method: str) -> None:
    keys = {
        "job_id": served.job,
        "key": served.study if "/studies/" in path else served.series,
        "kind": "SEG",
        "name": "sheet",
        "series": served.source,
    }
    asked = {name: value for name, value in keys.items() if f"{{{name}}}" in path}
    _first_job(served.url)  # what was asked for before is done
    answer = api[path][method].Case(path_parameters=asked).call(headers=_login())
    assert answer.status_code == (202 if method == "post" else 200)
    api[path][method].validate_response(answer)


def test_a_program_that_does_not_know_the_token_is_told_so(served: Served) -> None:
    answer = requests.post(f"{served.url}/series/{served.series}/convert", timeout=30)
    assert answer.status_code == 403
    assert requests.get(f"{served.url}/openapi.json", timeout=30).json()["openapi"].startswith("3.1")
