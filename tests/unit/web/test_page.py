"""The status page: what it shows, and that nothing which a file holds does anything there."""

import dataclasses
import io
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.jobs.port import Job, JobRequest, JobState, Seen, Verdict
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.orders import Orders, Steps
from orthanc_mask2seg.service.pictures import Gallery, PictureKind
from orthanc_mask2seg.service.status import Counters, ServiceState
from orthanc_mask2seg.web.page import create_app, start
from orthanc_mask2seg.web.views import inert
from tests.builders import study
from tests.faults.in_memory import MemoryLedger
from tests.unit.outputs.made import converted

HOSTILE = "<script>alert(1)</script>\x1b[31m\r\n\u202egnp.\"'&"


def job(number, state=JobState.DONE, **more):
    request = JobRequest(
        series_key=f"k{number}", series_instance_uid=f"1.{number}", study_instance_uid="1", version="v"
    )
    return Job(id=f"{number:024x}", request=request, state=state, created_at=1.8e9, updated_at=1.8e9, **more)


class Jobs:
    def __init__(self, *jobs):
        self.jobs = jobs

    def list(self, limit=50, offset=0, states=(), since=0.0, until=1e11):
        jobs = (j for j in self.jobs if since <= j.created_at < until)
        return tuple(j for j in jobs if not states or j.state in states)[offset : offset + limit]

    def get(self, job_id):
        return next((j for j in self.jobs if j.id == job_id), None)

    def count(self, *states):
        return len(self.list(10_000, states=states))

    def oldest(self, *states):
        return min((one.created_at for one in self.list(10_000, states=states)), default=None)

    def retry(self, job_id):
        self.retried = job_id
        return job_id


def waits(*jobs):
    """A memory in which these are the newest of their series, and refused."""
    ledger = MemoryLedger()
    for one in jobs:
        asked = one.request
        ledger.remember(
            Seen(
                series_key=asked.series_key,
                series_instance_uid=asked.series_instance_uid,
                study_instance_uid=asked.study_instance_uid,
                version=asked.version,
                verdict=Verdict.REFUSED,
                reason=one.result["reason"],
                job_id=one.id,
            )
        )
    return ledger


def draw(series_uid, kind):
    """Three pictures of one pixel, or one."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return (buffer.getvalue(),) * (3 if kind is PictureKind.SLICES else 1)


def service(*jobs, reachable=True, error="", token="", ledger=None, archive=None):
    counters = Counters(reachable=reachable, error=error)
    counters.passed_over["modality_sr"] = 3
    return ServiceState(
        version="1",
        archive="http://127.0.0.1:8042",
        state=Path(),
        jobs=Jobs(*jobs),
        watcher=lambda: counters.status(5, 1),
        orders=Orders(archive or MemoryArchive(), ledger or MemoryLedger(), Jobs(*jobs), lambda _series: None, Steps()),
        gallery=Gallery(draw),
        token=token,
    )


def client(*jobs, **options):
    return TestClient(create_app(service(*jobs, **options)), base_url="http://127.0.0.1")


REFUSED = job(2, result={"outcome": "refused", "reason": "no_source_in_study", "detail": HOSTILE})


def test_health():
    good = client(job(1, JobState.RUNNING), job(2, JobState.WAITING), REFUSED).get("/healthz")
    assert good.status_code == 200
    assert good.json()["queue"] == {"waiting": 1, "running": 1, "for_images": 0}
    bad = client(reachable=False, error="archive_unreachable").get("/healthz")
    assert bad.status_code == 503
    assert bad.json()["archive"] == {"reachable": False, "error": "archive_unreachable"}


def test_a_mask_that_waits_for_its_images_is_said_to_wait():
    """Only the job that its series was dealt with last: an older one was refused, and that is over."""
    older = job(7, result=REFUSED.result)
    other = job(8, result={"outcome": "refused", "reason": "geometry_mismatch", "detail": "x"})
    web = client(REFUSED, older, other, ledger=waits(REFUSED, other))
    page = web.get("/").text
    assert page.count('class="waiting"') == page.count(">waiting for images</a></td>") == 1
    assert page.count(">refused</a></td>") == 2
    assert "<span>1 waiting for images</span>" in page
    assert web.get("/healthz").json()["queue"]["for_images"] == 1


def with_outputs():
    made = study()
    archive, content = converted(made)
    [seg] = [s for s in archive.all_series() if s.modality == "SEG"]
    output = {"kind": "SEG", "series_uid": seg.series_instance_uid, "orthanc_id": seg.instance_keys[0]}
    gone = {"kind": "CSV", "series_uid": seg.series_instance_uid, "attachment": "/series/../../etc/passwd"}
    done = job(6, result={"outcome": "converted", "reason": None, "detail": "x", "outputs": [output, gone]})
    return archive, content, done


def test_outputs_are_for_those_who_have_logged_in():
    archive, content, done = with_outputs()
    nobody = client(done, archive=archive)
    assert nobody.get(f"/jobs/{done.id}/outputs/SEG").status_code == 403
    assert "outputs/SEG" not in nobody.get("/").text
    someone = client(done, archive=archive, token="secret")
    assert someone.get("/").status_code == 200, "who is on this machine may read the page"
    assert someone.get(f"/jobs/{done.id}/outputs/SEG").status_code == 403
    led = someone.get(f"/jobs/{done.id}/outputs/SEG", headers={"accept": "text/html"}, follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, "/login")
    someone.headers["authorization"] = "Bearer wrong"
    assert someone.get(f"/jobs/{done.id}/outputs/SEG").status_code == 403
    someone.headers["authorization"] = "Bearer secret"
    assert f'href="jobs/{done.id}/outputs/SEG"' in someone.get("/").text
    answer = someone.get(f"/jobs/{done.id}/outputs/seg")
    assert answer.content == content
    assert answer.headers["content-disposition"] == f'attachment; filename="{done.id}.seg.dcm"'
    for missing in (f"/jobs/{done.id}/outputs/CSV", f"/jobs/{done.id}/outputs/SR", "/jobs/nothing/outputs/SEG"):
        assert someone.get(missing).status_code == 404


def test_pictures_are_for_those_who_have_logged_in():
    archive, _, done = with_outputs()
    nobody = client(done, archive=archive)
    assert nobody.get(f"/jobs/{done.id}/pictures").status_code == 403
    someone = client(done, archive=archive, token="secret")
    for path in ("", "/thumb.png", "/sheet.png", "/0.png"):
        assert someone.get(f"/jobs/{done.id}/pictures{path}").status_code == 403
    assert "pictures/" not in someone.get("/").text + someone.get(f"/jobs/{done.id}.html").text
    for path in ("%0A", "/thumb.png%0A", "/sheet.png%0A", "/0.png%0A", "/0.png%0D"):
        assert someone.get(f"/jobs/{done.id}/pictures{path}").status_code in {400, 403, 404}, path
        assert someone.get(f"/jobs/{done.id}/outputs{path}").status_code in {400, 403, 404}, path
    someone.headers["authorization"] = "Bearer secret"
    assert f'src="jobs/{done.id}/pictures/thumb.png"' in someone.get("/").text
    assert someone.get(f"/jobs/{done.id}/pictures").json() == {"slices": 3}
    for name in ("thumb", "sheet", "0", "2"):
        answer = someone.get(f"/jobs/{done.id}/pictures/{name}.png")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.headers["cache-control"] == "no-store"
    for missing in ("3", "x", "-1", "00000", "..%2fsheet"):
        assert someone.get(f"/jobs/{done.id}/pictures/{missing}.png").status_code == 404
    assert someone.get("/jobs/nothing/pictures/sheet.png").status_code == 404


def test_jobs_as_json():
    web = client(job(1, JobState.RUNNING), REFUSED)
    assert [j["state"] for j in web.get("/jobs").json()["jobs"]] == ["running", "done"]
    assert len(web.get("/jobs?limit=1&offset=1").json()["jobs"]) == 1
    assert [j["state"] for j in web.get("/jobs?state=done").json()["jobs"]] == ["done"]
    assert web.get("/jobs?state=nonsense").status_code == 400
    assert web.get("/jobs?limit=x").status_code == 400
    assert web.get(f"/jobs/{REFUSED.id}").json()["result"]["reason"] == "no_source_in_study"
    assert web.get("/jobs/nothing").status_code == 404


def test_the_page_shows_jobs_and_keeps_hostile_text_inert():
    failed = job(3, JobState.FAILED, error={"outcome": "failed", "reason": "internal_error", "detail": "x"})
    waiting = job(4, JobState.WAITING, error={"reason": "incomplete_series", "detail": "3 slices"})
    hostile = dataclasses.replace(
        job(5), request=dataclasses.replace(job(5).request, series_instance_uid=HOSTILE), result={"outcome": HOSTILE}
    )
    response = client(REFUSED, failed, waiting, hostile).get("/")
    page = response.text.replace('<script src="live.js" defer></script>', "")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    for word in ("refused", "no_source_in_study", "internal_error", "incomplete_series", "3 modality_sr", "following"):
        assert word in page
    for harm in ("<script", "\x1b", "\u202e"):
        assert harm not in page


def test_an_empty_page_says_what_to_do():
    assert "mask2seg demo" in client().get("/").text
    assert "waiting for" in client(reachable=False, error="archive_denied").get("/").text


def test_style_and_strange_hosts():
    assert client().get("/style.css").headers["content-type"].startswith("text/css")
    assert client().get("/", headers={"host": "evil.example"}).status_code == 400
    assert client().post("/jobs").status_code == 405


def test_elsewhere_needs_a_token():
    app = TestClient(
        create_app(service(REFUSED, token="secret"), loopback=False, names=["pacs.example"]),
        base_url="http://pacs.example",
    )
    assert app.get("/healthz").status_code == 200
    assert app.get("/jobs").status_code == 403
    assert app.get("/jobs", headers={"authorization": "Bearer secret"}).status_code == 200


def test_work_is_not_for_web_pages_of_others():
    path = "/series/nowhere/convert"
    open_to_programs = client()
    assert open_to_programs.post(path).status_code == 404
    for header in ("origin", "referer", "sec-fetch-site"):
        assert open_to_programs.post(path, headers={header: "http://127.0.0.1"}).status_code == 403
    with_token = client(token="secret")
    assert with_token.post(path).status_code == 403
    assert with_token.post(path, headers={"authorization": "Bearer secreT"}).status_code == 403
    assert with_token.post(path, headers={"authorization": "Bearer secret"}).status_code == 404
    assert with_token.get("/jobs").status_code == 200


def test_inert():
    assert inert("Leber größer") == "Leber größer"
    assert inert("a\x00b\u200fc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_it_listens_on_this_machine_alone(unused_port):
    running = start(service(), "127.0.0.1", unused_port)
    assert running.port == unused_port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/healthz") as response:
            assert response.status == 200
        with pytest.raises(ConfigurationError, match="cannot listen"):
            start(service(), "127.0.0.1", unused_port)
    finally:
        running.stop()
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        with pytest.raises(ConfigurationError, match="this machine alone"):
            start(service(), host, unused_port)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
