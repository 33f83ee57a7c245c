"""The status page and its JSON, and the conversions that a person asks for."""

from __future__ import annotations

import ipaddress
import socket
import threading
from datetime import UTC, datetime
from typing import Any

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.jobs.port import Job, JobState
from orthanc_mask2seg.service.status import Page, ServiceState
from orthanc_mask2seg.web.gate import Gate
from orthanc_mask2seg.web.orders import OrderPages

SHOWN = 100
REFRESH_SECONDS = 5
STOP_SECONDS = 2.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def start(state: ServiceState, host: str, port: int) -> Page:
    """Serve the page in a thread.

    Parameters
    ----------
    port
        0 for any that is free.

    Raises
    ------
    ConfigurationError
        The address is not of this machine alone and there is no token, or it is taken.
    """
    loopback = is_loopback(host)
    if not loopback and not state.token:
        raise ConfigurationError(
            "StatusHost must be an address of this machine alone, such as 127.0.0.1",
            hint="For another address set ServiceTokenFile, here and for the plugin.",
        )
    listener = _listen(host, port)
    config = uvicorn.Config(
        create_app(state, loopback=loopback),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
    )
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


def create_app(state: ServiceState, *, loopback: bool = True) -> Starlette:
    """The page as an ASGI application.

    Parameters
    ----------
    loopback
        Only this machine can reach it. Else everything but its health is for those who know the token.
    """
    pages, orders = _Pages(state), OrderPages(state.orders, state.jobs)
    hosts = [Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])] if loopback else []
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/style.css", pages.style),
            Route("/healthz", pages.health),
            Route("/jobs", pages.jobs),
            Route("/jobs/{job_id}", orders.job),
            Route("/series/{key}", orders.series),
            Route("/series/{key}/convert", orders.convert_series, methods=["POST"]),
            Route("/studies/{key}", orders.study),
            Route("/studies/{key}/convert", orders.convert_study, methods=["POST"]),
        ],
        middleware=[*hosts, Middleware(_SafeHeaders), Middleware(Gate, token=state.token, reading=loopback)],
    )


class _SafeHeaders:
    """Adds the headers that keep hostile text inert in a browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Pages:
    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("orthanc_mask2seg.web"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self._templates.filters["inert"] = inert

    async def index(self, _request: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(self._index))

    async def style(self, _request: Request) -> Response:
        source = await run_in_threadpool(self._templates.get_template, "style.css")
        return Response(source.render(), media_type="text/css")

    async def health(self, _request: Request) -> Response:
        document = await run_in_threadpool(self._health)
        return JSONResponse(document, 200 if document["status"] == "ok" else 503)

    async def jobs(self, request: Request) -> Response:
        try:
            limit = min(max(int(request.query_params.get("limit", SHOWN)), 1), 1000)
            offset = max(int(request.query_params.get("offset", 0)), 0)
            states = [JobState(name) for name in request.query_params.getlist("state")]
        except ValueError:
            return JSONResponse({"error": "limit and offset are numbers, state is a state of a job"}, 400)
        found = await run_in_threadpool(self._state.jobs.list, limit, offset, states)
        return JSONResponse({"jobs": [job.document() for job in found]})

    def _health(self) -> dict[str, Any]:
        watcher = self._state.watcher()
        jobs, alarm = self._state.jobs, self._state.alarm()
        return {
            "status": "unavailable" if not watcher.reachable else "paused" if alarm else "ok",
            "version": self._state.version,
            "archive": {"reachable": watcher.reachable, "error": watcher.error},
            "alarm": alarm.document() if alarm else None,
            "queue": {"waiting": jobs.count(JobState.WAITING), "running": jobs.count(JobState.RUNNING)},
            "watcher": watcher.document(),
        }

    def _index(self) -> str:
        return self._templates.get_template("index.html").render(
            refresh=REFRESH_SECONDS,
            archive=self._state.archive,
            version=self._state.version,
            health=self._health(),
            rows=[_row(job) for job in self._state.jobs.list(SHOWN)],
        )


def _row(job: Job) -> dict[str, Any]:
    answer = job.result or job.error or {}
    outcome = str(answer.get("outcome", "")) if job.state in {JobState.DONE, JobState.FAILED} else str(job.state)
    return {
        "id": job.id,
        "outcome": outcome,
        "reason": answer.get("reason") or "",
        "detail": answer.get("detail") or "",
        "series": job.request.series_instance_uid,
        "created": _moment(job.created_at),
        "updated": _moment(job.updated_at),
        "attempts": job.attempts,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def inert(text: object) -> str:
    """Text without characters that steer a terminal, a log or the direction of writing."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
