"""The routes under /mask2seg/, behind Orthanc's own login: a request in, a response out.

Identifiers are checked before anything is done with them. A POST is taken only from pages of this very Orthanc (or
from a program, which sends no origin): a page elsewhere cannot use the login that the browser holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from . import pages
from .backend import Reply, Unavailable

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}"
JOB = r"[0-9a-f]{24}"
ENDS = {"CSV": "csv", "JSON": "json", "NRRD": "seg.nrrd", "NIFTI": "nii.gz", "PREVIEW": "png"}
LARGEST_BODY = 64 << 10
STATES = frozenset({"waiting", "running", "done", "failed", "quarantined"})
FILTERS = ("outcome", "reason", "study", "since", "until")
HTML, CSS, SCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
JSON, TEXT, PNG = "application/json", "text/plain", "image/png"

_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_LIVE = {
    **_SAFE,
    "Content-Security-Policy": f"{_SAFE['Content-Security-Policy']}; script-src 'self'; connect-src 'self'",
}
"""Of the pages of the service, which a script of ours keeps up to date."""


@dataclass(frozen=True)
class Request:
    """A request as Orthanc hands it over; names of headers are in lower case, `path` is without the query."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body_length: int = 0


@dataclass(frozen=True)
class Response:
    """What Orthanc is to answer; `body` is ASCII where the status is not 200. With 405 goes what is allowed."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=lambda: _SAFE)
    allowed: str = ""


class Service(Protocol):
    """The service, see `backend`."""

    def ask(self, method: str, path: str) -> Reply:
        """Its reply, or `Unavailable`."""


_PASSED_ON = frozenset({202, 400, 403, 404, 409, 429, 503})

FAULT = Response(500, b"The mask2seg plugin has failed. Orthanc's log says where.")


def handle(request: Request, service: Service) -> Response:
    """Answer a request."""
    path = request.path.removeprefix("/mask2seg") or "/"  # Orthanc takes the last slash away
    for method, pattern, answer in _ROUTES:
        found = re.fullmatch(pattern, path)
        if found is None:
            continue
        if request.method != method:
            return Response(405, allowed=method)
        if method == "POST" and (why := _not_ours(request.headers)):
            return _refusal(request, 403, why)
        if request.body_length > LARGEST_BODY:
            return _refusal(request, 413, "This takes no content.")
        try:
            return answer(request, service, found)
        except Unavailable as error:
            return _refusal(request, 503, str(error))
    return _refusal(request, 404, "There is nothing here: an Orthanc identifier or a job is expected.")


def _not_ours(headers: Mapping[str, str]) -> str:
    """Why a POST does not come from a page of this Orthanc; '' where it does, or comes from a program."""
    hosts = {headers.get(name, "").lower() for name in ("host", "x-forwarded-host")} - {""}
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return "This was asked by a page of another site."
    for name in ("origin", "referer"):
        if name in headers and urlsplit(headers[name]).netloc.lower() not in hosts:
            return "This was asked by a page of another site (or a proxy changes the Host header)."
    return ""


def _status_page(request: Request, service: Service, _found: re.Match[str]) -> Response:
    query = _filter(request.query, ("offset",))
    return _forwarded(service.ask("GET", "/" + ("?" + urlencode(query) if query else "")))


def _filter(asked: Mapping[str, str], numbers: Sequence[str]) -> dict[str, str]:
    """What of a query the service is asked, as it came: it says what is wrong."""
    query = {name: asked[name] for name in numbers if asked.get(name, "").isdecimal()}
    if asked.get("state") in STATES:
        query["state"] = asked["state"]
    return query | {name: asked[name] for name in FILTERS if re.fullmatch(r"[\w.-]{1,64}", asked.get(name, ""))}


def _asset(_request: Request, service: Service, found: re.Match[str]) -> Response:
    return _forwarded(service.ask("GET", found[0]))


def _style_of_pages(_request: Request, _service: Service, _found: re.Match[str]) -> Response:
    return Response(200, pages.STYLE.encode(), CSS)


def _health(_request: Request, service: Service, found: re.Match[str]) -> Response:
    return _forwarded(service.ask("GET", found[0]))


def _jobs(request: Request, service: Service, _found: re.Match[str]) -> Response:
    query = _filter(request.query, ("limit", "offset"))
    return _forwarded(service.ask("GET", "/jobs" + ("?" + urlencode(query) if query else "")))


def _state(_request: Request, service: Service, found: re.Match[str]) -> Response:
    return _forwarded(service.ask("GET", f"/{found[1]}/{found[2]}"))


def _output(_request: Request, service: Service, found: re.Match[str]) -> Response:
    """A file that a job made, as a download: no browser shows it as a page of ours."""
    reply = service.ask("GET", f"/jobs/{found[1]}/outputs/{found[2]}")
    if reply.status != 200:
        return _forwarded(reply)
    headers = {**_SAFE, "Content-Disposition": f'attachment; filename="{found[1]}.{ENDS.get(found[2], "dcm")}"'}
    return Response(200, reply.body, "application/octet-stream", headers)


def _picture(_request: Request, service: Service, found: re.Match[str]) -> Response:
    reply = service.ask("GET", found[0])
    if reply.status != 200 or reply.content_type != PNG:
        return _forwarded(reply)
    return Response(200, reply.body, PNG)


def _page(_request: Request, service: Service, found: re.Match[str]) -> Response:
    """Show one job, or those of a study, to people."""
    reply = service.ask("GET", f"/{found[1]}/{found[2]}")
    if reply.status != 200:
        return _forwarded(reply)
    document = json.loads(reply.body)
    jobs: Sequence[Mapping[str, Any]] = document["jobs"] if found[1] == "studies" else [document]
    return Response(200, pages.jobs(jobs).encode(), HTML)


def _convert(request: Request, service: Service, found: re.Match[str]) -> Response:
    level, key = found[1], found[2]
    reply = service.ask("POST", f"/{level}/{key}/convert")
    if reply.status != 202 or _wants_json(request.headers):
        return _forwarded(reply)
    document = json.loads(reply.body)
    page = f"studies/{key}" if level == "studies" else f"jobs/{document['id']}"
    return Response(303, headers={**_SAFE, "Location": f"../../{page}.html"})


_ROUTES = (
    ("GET", "/", _status_page),
    ("GET", "/style.css", _asset),
    ("GET", "/live.js", _asset),
    ("GET", "/job.css", _style_of_pages),
    ("GET", "/health", _health),
    ("GET", "/healthz", _health),
    ("GET", "/readyz", _health),
    ("GET", "/metrics", _health),
    ("GET", "/jobs", _jobs),
    ("GET", f"/(jobs)/({JOB})", _state),
    ("GET", f"/jobs/({JOB})/outputs/([A-Z]{{2,8}})", _output),
    ("GET", f"/jobs/({JOB})/pictures/(thumb|sheet)\\.png", _picture),
    ("GET", f"/(series|studies)/({ID})", _state),
    ("GET", f"/(jobs)/({JOB})\\.html", _page),
    ("GET", f"/(studies)/({ID})\\.html", _page),
    ("POST", f"/(series|studies)/({ID})/convert", _convert),
)


def _wants_json(headers: Mapping[str, str]) -> bool:
    """Whether a program asks (also one inside a page), not a form."""
    accepted = headers.get("accept", "*/*")
    return "text/html" not in accepted or "x-requested-with" in headers


def _forwarded(reply: Reply) -> Response:
    """Answer what the service said; of what it may be, only what we know to be harmless."""
    kind = reply.content_type.split(";")[0].strip()
    known = {"text/html": HTML, "text/css": CSS, "text/javascript": SCRIPT, JSON: JSON}.get(kind, TEXT)
    if reply.status == 200:
        return Response(200, reply.body, known, _LIVE if known == HTML else _SAFE)
    status = reply.status if reply.status in _PASSED_ON else 502
    return Response(status, _ascii(reply.body), known if known == JSON else TEXT)


def _ascii(body: bytes) -> bytes:
    """Text of an error, which an old Orthanc takes in ASCII only."""
    try:
        return json.dumps(json.loads(body)).encode()
    except ValueError:
        return body.decode("utf-8", "replace").encode("ascii", "replace")


def _refusal(request: Request, status: int, words: str) -> Response:
    if _wants_json(request.headers):
        return Response(status, json.dumps({"error": words}).encode(), JSON)
    return Response(status, words.encode())
