"""The plugin's routes, without Orthanc: a request in, a response out."""

from __future__ import annotations

import json

import pytest

from orthanc_mask2seg.plugin.backend import Reply, Unavailable
from orthanc_mask2seg.plugin.routes import FAULT, Request, handle

KEY = "5f1f6116-313440ac-a1ca265f-e6b5b398-53ca4846"
JOB = "ae649beaac7f497efa0c1a20"
CONVERT = f"/mask2seg/series/{KEY}/convert"
HOSTILE = "<script>alert(1)</script>\"'&"


class Service:
    """Answers by path, and remembers what it was asked."""

    def __init__(self, answers=None, status=200):
        self.answers, self.status, self.asked = answers or {}, status, []

    def ask(self, method, path):
        self.asked.append((method, path))
        if self.answers is Unavailable:
            raise Unavailable("It is down.")
        document = self.answers.get(path.partition("?")[0], {})
        return Reply(self.status, "application/json", json.dumps(document).encode())


def post(path=CONVERT, service=None, **headers):
    service = service or Service({f"/series/{KEY}/convert": {"id": JOB, "url": f"jobs/{JOB}"}}, status=202)
    given = {name.replace("_", "-"): value for name, value in {"host": "pacs.example:8042", **headers}.items()}
    return handle(Request(method="POST", path=path, headers=given), service), service


def get(path, answers=None, status=200, **query):
    service = Service(answers, status)
    return handle(Request(method="GET", path=path, query=query), service), service


def test_a_program_gets_json():
    response, service = post()
    assert (response.status, json.loads(response.body)) == (202, {"id": JOB, "url": f"jobs/{JOB}"})
    assert service.asked == [("POST", f"/series/{KEY}/convert")]


def test_a_form_is_led_to_a_page():
    response, _ = post(accept="text/html,application/xhtml+xml,*/*;q=0.8", origin="http://pacs.example:8042")
    assert (response.status, response.headers["Location"]) == (303, f"../../jobs/{JOB}.html")
    service = Service({f"/studies/{KEY}/convert": {"jobs": []}}, status=202)
    response, _ = post(f"/mask2seg/studies/{KEY}/convert", service, accept="text/html")
    assert response.headers["Location"] == f"../../studies/{KEY}.html"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://pacs.example"},
        {"origin": "http://pacs.example:8042.evil.example"},
        {"origin": "http://evil.example/pacs.example:8042"},
        {"origin": ""},
        {"referer": "http://evil.example/pacs.example:8042"},
        {"origin": "http://pacs.example:8042", "referer": "http://evil.example/"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://pacs.example:8042"},
        {"origin": "http://pacs.example:8042", "host": ""},
    ],
)
def test_other_sites_are_refused(headers):
    response, service = post(**headers)
    assert response.status == 403
    assert service.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://pacs.example:8042", "sec_fetch_site": "same-origin"},
        {"origin": "https://PACS.example:8042", "referer": "https://pacs.example:8042/app/explorer.html"},
        {"origin": "https://front.example", "x_forwarded_host": "front.example"},
        {"sec_fetch_site": "none"},
    ],
)
def test_this_orthanc_and_programs_are_served(headers):
    assert post(**headers)[0].status == 202


@pytest.mark.parametrize(
    "path",
    [
        "/mask2seg/series/../convert",
        f"/mask2seg/series/{KEY}/../convert",
        f"/mask2seg/series/{KEY}?x/convert",
        f"/mask2seg/series/{KEY.upper()}/convert",
        f"/mask2seg/series/{KEY}\n/convert",
        f"/mask2seg/patients/{KEY}/convert",
        f"/mask2seg/series/{KEY[:-1]}/convert",
        "/mask2seg/series//convert",
    ],
)
def test_strange_identifiers_go_nowhere(path):
    response, service = post(path)
    assert response.status == 404
    assert service.asked == []


@pytest.mark.parametrize("path", ["/mask2seg/jobs/x", "/mask2seg/jobs/../healthz", f"/mask2seg/jobs/{JOB}/x"])
def test_strange_jobs_go_nowhere(path):
    response, service = get(path)
    assert response.status == 404
    assert service.asked == []


def test_methods_and_bodies():
    assert handle(Request(method="GET", path=CONVERT), Service()).status == 405
    assert handle(Request(method="POST", path="/mask2seg/jobs"), Service()).status == 405
    large = Request(method="POST", path=CONVERT, headers={"host": "x"}, body_length=1 << 20)
    assert handle(large, Service()).status == 413


def test_a_service_that_is_down_is_said():
    response, _ = post(service=Service(Unavailable))
    assert (response.status, json.loads(response.body)) == (503, {"error": "It is down."})
    page = handle(Request(method="GET", path="/mask2seg", headers={"accept": "text/html"}), Service(Unavailable))
    assert (page.status, page.body, page.content_type) == (503, b"It is down.", "text/plain")
    assert b"log" in FAULT.body


def test_the_query_is_checked():
    _, service = get("/mask2seg/jobs", limit="5", offset="x", state="done", more="&")
    assert service.asked == [("GET", "/jobs?limit=5&state=done")]


def test_an_output_is_a_download():
    path = f"/jobs/{JOB}/outputs/NIFTI"
    response, service = get(f"/mask2seg{path}", {path: {"any": "thing"}})
    assert (response.status, response.content_type) == (200, "application/octet-stream")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{JOB}.nii.gz"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for strange in (f"/mask2seg/jobs/{JOB}/outputs/..", f"/mask2seg/jobs/{JOB}/outputs/seg", f"/mask2seg{path}/x"):
        response, service = get(strange)
        assert (response.status, service.asked) == (404, [])


def test_errors_are_ascii():
    response, _ = get(f"/mask2seg/jobs/{JOB}", {f"/jobs/{JOB}": {"error": "größer"}}, status=404)
    assert response.body.isascii()
    assert json.loads(response.body) == {"error": "größer"}


def shown(**job):
    document = {"id": JOB, "state": "done", "links": {"mask": KEY, "outputs": []}, **job}
    response, _ = get(f"/mask2seg/jobs/{JOB}.html", {f"/jobs/{JOB}": document})
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return response.body.decode()


def test_the_page_of_a_job_goes_on_until_it_ends():
    assert 'http-equiv="refresh"' in shown(state="waiting")
    assert "Converting" in shown(state="running", step="convert")
    table = f"/series/{KEY}/attachments/4210/data"
    made = [
        {"kind": "SEG", "series": KEY, "file": None},
        {"kind": "CSV", "series": KEY, "file": table},
        {"kind": HOSTILE, "series": KEY, "file": f"//evil.example{table}"},
    ]
    page = shown(result={"outcome": "converted", "detail": "1 segment"}, links={"mask": KEY, "made": made})
    assert "refresh" not in page
    assert f'<a href="../../app/explorer.html#series?uuid={KEY}">The segmentation</a>' in page
    assert f'<a href="../..{table}">The features (CSV)</a>' in page
    assert "<script" not in page
    assert "evil" not in page
    assert '<h1 class="converted">' in page
    assert '<h1 class="failed">' in shown(state="failed", error={"outcome": HOSTILE, "detail": "x"})
    refused = shown(result={"outcome": "refused", "reason": "no_geometry", "detail": HOSTILE, "hint": HOSTILE})
    assert "Refused (no_geometry)" in refused
    assert "<script" not in refused
    assert refused.count("&lt;script&gt;") == 2


def test_pages_have_a_style_of_their_own_that_needs_no_service():
    assert '<link rel="stylesheet" href="../job.css">' in shown(state="waiting")
    style = handle(Request(method="GET", path="/mask2seg/job.css"), Service(Unavailable))
    assert (style.status, style.content_type) == (200, "text/css; charset=utf-8")
    assert b"main {" in style.body


def test_the_page_of_a_study():
    document = {"jobs": [{"id": JOB, "state": "done", "result": {"outcome": "skipped"}, "links": {}}]}
    response, _ = get(f"/mask2seg/studies/{KEY}.html", {f"/studies/{KEY}": document})
    assert b"Skipped" in response.body
    response, _ = get(f"/mask2seg/studies/{KEY}.html", {f"/studies/{KEY}": {"jobs": []}})
    assert b"No series of this study looks like a mask" in response.body
