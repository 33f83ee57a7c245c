"""The pages of a job and of the health, filters, metrics; and that a long history costs no more than a short one."""

import sqlite3
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from orthanc_mask2seg.jobs.alarms import Alarm
from orthanc_mask2seg.jobs.database import database_file
from orthanc_mask2seg.jobs.engine import Engine
from orthanc_mask2seg.jobs.port import JobRequest, JobState
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.orders import Orders, Steps
from orthanc_mask2seg.service.pictures import Gallery
from orthanc_mask2seg.service.status import Counters, ServiceState
from orthanc_mask2seg.web.page import SHOWN, create_app
from tests.faults.in_memory import MemoryLedger
from tests.unit.web.test_page import HOSTILE, client, draw, job, service

TOKEN = "a token of the site"
CONVERTED = {
    "outcome": "converted",
    "reason": None,
    "detail": f"1 segment {HOSTILE}",
    "hint": "",
    "source_series_uid": "1.2.3",
    "candidates": [
        {"series_uid": "1.2.3", "series_description": HOSTILE, "series_number": 2, "modality": "CT", "score": 0.98,
         "evidence": ["same positions (+0.50)", HOSTILE]},
        {"series_uid": "1.2.4", "series_description": "lung", "series_number": 3, "modality": "CT", "score": 0.2,
         "evidence": []},
    ],
    "evidence": ["values 0 and 1", HOSTILE],
    "segments": [{"number": 1, "label": HOSTILE, "voxels": 1200, "volume_mm3": 3600.0, "type_code": "T-D0050"}],
    "outputs": [{"kind": "SEG", "series_uid": "1.2.5", "sop_instance_uid": "1.2.5.1", "sha256": "ab" * 32}],
    "earlier": [{"kind": "SEG", "state": "deleted", "sop_instance_uid": "1.9", "series_uid": "1.8",
                 "source_series_uid": "1.2.3"}],
    "mask_sha256": ["cd" * 32],
    "seconds": {"match": 0.1, "store": 0.25},
}  # fmt: skip


def test_a_job_says_why_and_what():
    page = client(job(1, result=CONVERTED)).get(f"/jobs/{1:024x}.html")
    assert page.status_code == 200
    for text in ("converted", "3.60", "1200", "T-D0050", "0.98", "same positions (+0.50)", "chosen", "1.2.5",
                 "ab" * 32, "cd" * 32, "deleted", "0.250 s", "1.2.4"):  # fmt: skip
        assert text in page.text, text
    assert page.text.count("<script") == 1, "ours"
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    assert "Run it again" not in page.text, "nobody has logged in"
    assert client().get("/jobs/nothing.html").status_code == 404


def test_who_has_logged_in_may_run_it_again():
    state = service(job(1, result=CONVERTED), token=TOKEN)
    browser = TestClient(create_app(state), base_url="http://127.0.0.1")
    path, headers = f"/jobs/{1:024x}/retry", {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    assert browser.post(path, headers=headers, follow_redirects=False).status_code == 403
    assert "Run it again" not in browser.get(f"/jobs/{1:024x}.html").text
    browser.post("/login", data={"token": TOKEN}, headers=headers)
    assert "Run it again" in browser.get(f"/jobs/{1:024x}.html").text
    other = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert browser.post(path, headers=other, follow_redirects=False).status_code == 403
    answer = browser.post(path, headers={**headers, "accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"../{1:024x}.html")
    assert state.jobs.retried == f"{1:024x}"


def test_jobs_of_one_state_and_older_ones():
    jobs = [job(n, result={"outcome": "converted"}) for n in range(SHOWN + 5)]
    browser = client(*jobs, job(999, state=JobState.FAILED, error={"outcome": "failed", "reason": "too_large"}))
    first = browser.get("/").text
    assert f"?offset={SHOWN}" in first
    assert "newer" not in first
    second = browser.get(f"/?offset={SHOWN}").text
    assert second.count("<tr class") == 6
    assert "?offset=0" in second
    assert 'data-refresh="0"' in second, "who reads what is over is not disturbed"
    failed = browser.get("/?state=failed").text
    assert failed.count("<tr class") == 1
    assert "too_large" in failed
    assert "There are no jobs that are running" in browser.get("/?state=running").text
    for wrong in ("/?state=nothing", "/?offset=-1", "/?offset=x", f"/?offset={'9' * 30}"):
        assert browser.get(wrong).status_code == 400


def test_health_for_people_for_programs_and_for_prometheus():
    counters = Counters(reachable=True, error="")
    counters.passed_over["modality_sr"] = 3
    counters.outcomes["refused"] = 2
    state = service(job(1, result=CONVERTED), job(2, state=JobState.WAITING))
    state = ServiceState(**{**{f: getattr(state, f) for f in state.__dataclass_fields__},
                            "watcher": lambda: counters.status(5, 1)})  # fmt: skip
    browser = TestClient(create_app(state), base_url="http://127.0.0.1")
    page = browser.get("/health").text
    for text in ("reachable", "modality_sr", "refused", "GB", "the oldest since 2027-01-15"):
        assert text in page, text
    assert browser.get("/readyz").json() == {"ready": True, "status": "ok"}
    answer = browser.get("/metrics")
    families = {f.name: f for f in text_string_to_metric_families(answer.text)}
    values = {(s.name, *s.labels.values()): s.value for f in families.values() for s in f.samples}
    assert values["mask2seg_archive_reachable",] == 1
    assert values["mask2seg_jobs", "waiting"] == 1
    assert values["mask2seg_jobs_ended_total", "refused"] == 2
    assert values["mask2seg_series_passed_over_total", "modality_sr"] == 3
    assert all(f.documentation for f in families.values())
    assert "1.1" not in {value for f in families.values() for s in f.samples for value in s.labels.values()}


def test_not_ready_while_it_waits_for_a_person():
    state = service()
    alarm = Alarm("archive_full", "no space", "make room", 1.8e9)
    state = ServiceState(**{**{f: getattr(state, f) for f in state.__dataclass_fields__}, "alarm": lambda: alarm})
    browser = TestClient(create_app(state), base_url="http://127.0.0.1")
    assert (browser.get("/readyz").status_code, browser.get("/readyz").json()["status"]) == (503, "paused")
    assert "archive_full" in browser.get("/health").text


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path, workers=0)
    engine.start(lambda _request: {"outcome": "converted"})
    yield engine
    engine.stop(2.0)


def fill(engine, folder, jobs):
    """A history of so many jobs: a hundred that were asked for, and copies of them that have ended."""
    for number in range(100):
        engine.enqueue(
            JobRequest(series_key=f"k{number}", series_instance_uid=f"1.{number}", study_instance_uid="1", version="v")
        )
    with sqlite3.connect(database_file(folder)) as database:
        for table, changed in (("workflow_status", "status, created_at"), ("workflow_input", "")):
            named = {name for name in changed.split(", ") if name}
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            kept = [column for column in columns if column not in named | {"workflow_uuid"}]
            for copy in range(1, jobs // 100):
                values = f"'SUCCESS', created_at - {copy}, " if changed else ""
                database.execute(
                    f"INSERT INTO {table} (workflow_uuid, {changed + ', ' if changed else ''}{', '.join(kept)}) "
                    f"SELECT workflow_uuid || 'x{copy}', {values}{', '.join(kept)} FROM {table} "
                    "WHERE instr(workflow_uuid, 'x') = 0"
                )
    assert engine.count() == jobs


def seconds(browser, path):
    """The best of several, as a ratio is wanted and not the noise of the machine."""
    best = float("inf")
    for _ in range(7):
        begun = time.perf_counter()
        assert browser.get(path).status_code == 200
        best = min(best, time.perf_counter() - begun)
    return best


@pytest.mark.slow
def test_a_history_of_a_hundred_thousand_jobs_costs_as_much_as_one_of_a_hundred(engine, tmp_path):
    jobs, ledger = engine, MemoryLedger()
    orders = Orders(MemoryArchive(), ledger, jobs, lambda _series: None, Steps())
    state = ServiceState(version="1", archive="x", state=tmp_path, jobs=jobs,
                         watcher=lambda: Counters(reachable=True, error="").status(0, 0), orders=orders,
                         gallery=Gallery(draw))  # fmt: skip
    browser = TestClient(create_app(state), base_url="http://127.0.0.1")
    paths = ("/", "/?state=waiting", "/?state=failed", "/healthz", "/jobs?limit=100")
    fill(engine, tmp_path, 100)
    short = {path: seconds(browser, path) for path in paths}
    with sqlite3.connect(database_file(tmp_path)) as database:
        for table in ("workflow_status", "workflow_input"):
            database.execute(f"DELETE FROM {table}")
    fill(engine, tmp_path, 100_000)
    ratios = {path: seconds(browser, path) / short[path] for path in paths}
    print(ratios)
    assert max(ratios.values()) < 3, ratios
