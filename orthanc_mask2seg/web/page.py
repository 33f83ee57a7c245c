"""The status page and its JSON, and the conversions that a person asks for."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orthanc_mask2seg.errors import ConfigurationError, StateError
from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.service.status import Page, ServiceState
from orthanc_mask2seg.web import views
from orthanc_mask2seg.web.filters import OUTCOMES, Filter
from orthanc_mask2seg.web.gate import KNOWN, Gate, KnownHosts, SmallBodies
from orthanc_mask2seg.web.login import LoginPages
from orthanc_mask2seg.web.metrics import CONTENT_TYPE, metrics_of
from orthanc_mask2seg.web.openapi import document_of
from orthanc_mask2seg.web.orders import AsciiJson, OrderPages
from orthanc_mask2seg.web.sessions import Sessions
from orthanc_mask2seg.web.trying import TryPages
from orthanc_mask2seg.web.undoing import UndoPages

SHOWN = 100
REFRESH_SECONDS = 5
LONGEST_NUMBER = 9
FURTHEST = 10**LONGEST_NUMBER
WRONG_FILTER = "state, outcome, reason, study, since or until is none that there is (dates are YYYY-MM-DD)"
STOP_SECONDS = 2.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_WITH_TLS = {"Strict-Transport-Security": "max-age=31536000"}
MOST_CONNECTIONS = 64
MOST_HEADER_BYTES = 16 << 10
IDLE_SECONDS = 5
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good."""


def start(state: ServiceState, host: str, port: int) -> Page:
    """Serve the page in a thread.

    Parameters
    ----------
    port
        0 for any that is free.

    Raises
    ------
    ConfigurationError
        The address is not of this machine alone and there is no token or no TLS; it is taken; or the certificate
        cannot be used.
    """
    loopback = is_loopback(host)
    if not loopback and not (state.token and state.certificate_file):
        raise ConfigurationError(
            "StatusHost must be an address of this machine alone, such as 127.0.0.1",
            hint="For another address set StatusCertificateFile and ServiceTokenFile; the latter for the plugin, too.",
        )
    own_names = [] if loopback else [host, socket.gethostname(), socket.getfqdn()]
    config = uvicorn.Config(
        create_app(state, loopback=loopback, names=own_names),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        ssl_certfile=state.certificate_file or None,
        ssl_keyfile=state.key_file or None,
        ssl_ciphers=CIPHERS,
    )
    try:
        config.load()
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise ConfigurationError(f"StatusCertificateFile or StatusKeyFile cannot be used: {what}") from None
    listener = _listen(host, port)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="status page", daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()

    return Page(listener.getsockname()[1], stop)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"the status page cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def create_app(state: ServiceState, *, loopback: bool = True, names: Sequence[str] = ()) -> Starlette:
    """The page as an ASGI application.

    Parameters
    ----------
    loopback
        Only this machine can reach it. Else, or where `state.names` says that a proxy is before it, everything but
        its health is for those who know the token.
    names
        What else it is called.
    """
    sessions = Sessions(state.token, secure=bool(state.certificate_file))
    pages, orders = (
        _Pages(state, sessions),
        OrderPages(state.orders, state.jobs, state.gallery, private=bool(state.token)),
    )
    logins = LoginPages(sessions, pages.templates)
    undo, trying = UndoPages(state, pages.rendered), TryPages(state, pages.rendered)
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/style.css", pages.style),
            Route("/live.js", pages.script),
            Route("/health", pages.health_page),
            Route("/healthz", pages.health),
            Route("/readyz", pages.ready),
            Route("/metrics", pages.metrics),
            Route("/openapi.json", pages.openapi),
            Route("/login", logins.form),
            Route("/login", logins.log_in, methods=["POST"]),
            Route("/logout", logins.log_out, methods=["POST"]),
            Route("/try", trying.form),
            Route("/try", trying.try_it, methods=["POST"]),
            Route("/jobs", pages.jobs),
            Route("/jobs/{job_id}.html", pages.job),
            Route("/jobs/{job_id}", orders.job),
            Route("/jobs/{job_id}/retry", pages.retry, methods=["POST"]),
            Route("/jobs/{job_id}/sources/{series}", orders.convert_on, methods=["POST"]),
            Route("/jobs/{job_id}/undo", undo.form),
            Route("/jobs/{job_id}/undo", undo.undo, methods=["POST"]),
            Route("/jobs/{job_id}/outputs/{kind}", orders.output),
            Route("/jobs/{job_id}/pictures", orders.slices),
            Route("/jobs/{job_id}/pictures/{name}.png", orders.picture),
            Route("/series/{key}", orders.series),
            Route("/series/{key}/convert", orders.convert_series, methods=["POST"]),
            Route("/studies/{key}", orders.study),
            Route("/studies/{key}/convert", orders.convert_study, methods=["POST"]),
        ],
        middleware=[
            Middleware(_SafeHeaders, headers=_HEADERS | (_WITH_TLS if sessions.secure else {})),
            Middleware(KnownHosts, names=[*state.names, *names]),
            Middleware(SmallBodies),
            Middleware(Gate, sessions=sessions, token=bool(state.token), reading=loopback and not state.names),
        ],
    )


class _SafeHeaders:
    """Adds the headers that keep hostile text inert in a browser."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app, self._headers = app, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    own.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Pages:
    def __init__(self, state: ServiceState, sessions: Sessions) -> None:
        self._state, self._sessions = state, sessions
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("orthanc_mask2seg.web"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self.templates.filters["inert"] = views.inert

    async def index(self, request: Request) -> Response:
        offset = request.query_params.get("offset", "0")
        try:
            wanted = Filter.of(request.query_params, blanks=True)
        except ValueError:
            return AsciiJson({"error": WRONG_FILTER}, 400)
        if not offset.isdecimal() or len(offset) > LONGEST_NUMBER:
            return AsciiJson({"error": "offset is a number"}, 400)
        return HTMLResponse(await run_in_threadpool(self._index, wanted, int(offset), known=KNOWN in request.scope))

    async def job(self, request: Request) -> Response:
        logged_in = self._sessions.lives(request.cookies.get(self._sessions.cookie, ""))
        known = KNOWN in request.scope
        page = await run_in_threadpool(self._job, request.path_params["job_id"], may_ask=logged_in, known=known)
        return AsciiJson({"error": "no such job"}, 404) if page is None else HTMLResponse(page)

    async def retry(self, request: Request) -> Response:
        job_id = request.path_params["job_id"]
        try:
            await run_in_threadpool(self._state.jobs.retry, job_id)
        except StateError:
            return AsciiJson({"error": "no such job"}, 404)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"../{job_id}.html", 303)
        return AsciiJson({"id": job_id, "url": f"jobs/{job_id}"}, 202)

    async def health_page(self, _request: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(self._health_page))

    async def ready(self, _request: Request) -> Response:
        """Whether it can take in masks now, for who starts and replaces it."""
        status = (await run_in_threadpool(self._health))["status"]
        return AsciiJson({"ready": status == "ok", "status": status}, 200 if status == "ok" else 503)

    async def metrics(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(metrics_of, self._state), media_type=CONTENT_TYPE)

    async def openapi(self, _request: Request) -> Response:
        return AsciiJson(document_of(self._state.version))

    async def style(self, _request: Request) -> Response:
        source = await run_in_threadpool(self.templates.get_template, "style.css")
        return Response(source.render(), media_type="text/css")

    async def script(self, _request: Request) -> Response:
        source = await run_in_threadpool(self.templates.get_template, "live.js")
        return Response(source.render(), media_type="text/javascript")

    async def health(self, _request: Request) -> Response:
        document = await run_in_threadpool(self._health)
        return AsciiJson(document, 200 if document["status"] == "ok" else 503)

    async def jobs(self, request: Request) -> Response:
        try:
            limit = min(max(int(request.query_params.get("limit", SHOWN)), 1), 1000)
            offset = min(max(int(request.query_params.get("offset", 0)), 0), FURTHEST)
            wanted = Filter.of(request.query_params)
        except ValueError:
            return AsciiJson({"error": f"limit and offset are numbers; {WRONG_FILTER}"}, 400)
        found = await run_in_threadpool(wanted.jobs, self._state.jobs, self._state.orders, limit, offset)
        return AsciiJson({"jobs": [job.document() for job in found]})

    def _health(self) -> dict[str, Any]:
        watcher = self._state.watcher()
        jobs, alarm = self._state.jobs, self._state.alarm()
        return {
            "status": "paused" if alarm else "ok" if watcher.reachable else "unavailable",
            "version": self._state.version,
            "archive": {"reachable": watcher.reachable, "error": watcher.error},
            "alarm": alarm.document() if alarm else None,
            "queue": {
                "waiting": jobs.count(JobState.WAITING),
                "running": jobs.count(JobState.RUNNING),
                "for_images": self._state.orders.masks_that_wait(),
            },
            "watcher": watcher.document(),
        }

    def _index(self, wanted: Filter, offset: int, *, known: bool) -> str:
        jobs = wanted.jobs(self._state.jobs, self._state.orders, SHOWN, offset)
        newer, older = views.neighbours(wanted, offset, len(jobs), SHOWN)
        private = bool(self._state.token)
        return self.rendered(
            "index.html",
            page="jobs",
            refresh=0 if offset else REFRESH_SECONDS,
            health=self._health(),
            rows=[views.row_of(job, self._state.orders, private=private) for job in jobs],
            pictured=known,
            may_try=known and self._state.explain is not None,
            wanted=wanted,
            state=str(wanted.states[0]) if wanted.states else "",
            states=[str(each) for each in JobState],
            outcomes=OUTCOMES,
            offset=offset,
            newer=newer,
            older=older,
        )

    def _job(self, job_id: str, *, may_ask: bool, known: bool) -> str | None:
        job = self._state.jobs.get(job_id)
        if job is None:
            return None
        shown = views.job_of(job, self._state.orders)
        undone = self._state.undoing.when(job) if self._state.undoing is not None else None
        ended = job.state not in {JobState.WAITING, JobState.RUNNING}
        return self.rendered(
            "job.html",
            page="job",
            root="../",
            refresh=0 if ended else REFRESH_SECONDS,
            job=shown,
            private=bool(self._state.token),
            pictured=known and any(one["kind"] == "SEG" for one in shown["outputs"]),
            may_ask=may_ask and ended,
            may_undo=known and ended and bool(shown["outputs"]),
            undone="" if undone is None else views.moment(undone),
        )

    def _health_page(self) -> str:
        watcher, jobs = self._state.watcher(), self._state.jobs
        oldest = jobs.oldest(JobState.WAITING)
        charts = [
            ("Jobs in the history", views.bars_of({str(each): jobs.count(each) for each in JobState})),
            ("Ended since the start", views.bars_of(watcher.outcomes)),
            ("Passed over as no mask since the start", views.bars_of(watcher.passed_over)),
        ]
        return self.rendered(
            "health.html",
            page="health",
            refresh=REFRESH_SECONDS,
            health=self._health(),
            since=views.moment(watcher.since),
            oldest=views.moment(oldest) if oldest else "",
            free=views.free_space(self._state.state),
            findings=self._state.findings(),
            charts=charts,
        )

    def rendered(self, name: str, **values: Any) -> str:
        """A page; `root` leads from it to the first page."""
        known = {"root": "", "archive": self._state.archive, "version": self._state.version}
        return self.templates.get_template(name).render(**known | values)
