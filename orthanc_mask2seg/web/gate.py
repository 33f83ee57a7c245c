"""Who may come in: those who know the token and, where there is none, programs, but no web page of others.

A browser logs in with the token and gets a cookie. What changes something is taken from it only if the page that asks
is our own. A name that is not ours is not answered (DNS rebinding), nor is a request with more than a few bytes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orthanc_mask2seg.web.sessions import FAILURE_SECONDS, Sessions

LARGEST_BODY = 4096
"""Bytes of a request: a login needs some, nothing else needs any."""

LOCAL_NAMES = frozenset({"localhost"})
_READING = frozenset({"GET", "HEAD"})
_PRIVATE = re.compile(r"/jobs/[^/]*/(outputs|pictures)(\s.*|/.*)?", re.DOTALL)
_OPEN = frozenset({"/healthz", "/readyz", "/style.css", "/live.js", "/login", "/openapi.json"})
KNOWN = "mask2seg.known"
"""Key of the scope of a request from somebody who knows the token."""
_OF_BROWSERS = ("origin", "referer", "sec-fetch-site")
_BEARER = "bearer "


class KnownHosts:
    """Answers only who calls us by a name of ours or by an address: what was rebound has another name."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app, self._names = app, {name.lower() for name in names} | LOCAL_NAMES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 400."""
        if scope["type"] == "http" and not self._is_ours(Headers(scope=scope).getlist("host")):
            await JSONResponse({"error": "this is no name of the service (StatusNames)"}, 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        try:
            name = urlsplit(f"//{hosts[0]}").hostname or ""
        except ValueError:
            return False
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return name in self._names


class SmallBodies:
    """Reads no more of a request than anybody needs to send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if not said.isdecimal() or int(said[:20]) > LARGEST_BODY:
            await JSONResponse({"error": "this takes no content"}, 413)(scope, receive, send)
            return
        left = LARGEST_BODY

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


class Gate:
    """Middleware that turns away who may not come in.

    Parameters
    ----------
    token
        There is one: what changes something needs it. Else programs may ask for work.
    reading
        Those without the token may read, but no files: these hold patient data.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, *, token: bool, reading: bool) -> None:
        self._app, self._sessions, self._token, self._reading = app, sessions, token, reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or say why not."""
        refused = self._refused(HTTPConnection(scope)) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)

    def _refused(self, request: HTTPConnection) -> Response | None:
        method, path, headers = request.scope["method"], request.scope["path"], request.headers
        shown = headers.get("authorization", "")
        if self._token and shown.lower().startswith(_BEARER):
            address = address_of(request)
            guesses_on = self._sessions.held_off(address)
            if self._sessions.knows(shown[len(_BEARER) :], address):
                request.scope[KNOWN] = True
                return None
            return too_often() if guesses_on else _forbidden()
        if self._token and self._sessions.lives(request.cookies.get(self._sessions.cookie, "")):
            request.scope[KNOWN] = True
        if method in _READING and ((self._reading and not _PRIVATE.fullmatch(path)) or path in _OPEN):
            return None
        if request.scope.get(KNOWN):
            return None if method in _READING or _is_our_page(request, self._sessions) else _forbidden()
        if path == "/login":
            return None if _is_our_page(request, self._sessions) else _forbidden()
        if not self._token:
            return _forbidden() if any(name in headers for name in _OF_BROWSERS) else None
        if method in _READING and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        return _forbidden()


def address_of(request: HTTPConnection) -> str:
    """Address of who asks, as the connection has it: what a header says of it is not believed."""
    return request.client.host if request.client else ""


def too_often() -> Response:
    """Answer to who guesses."""
    error = {"error": "too many wrong tokens; wait a minute"}
    return JSONResponse(error, 429, headers={"Retry-After": str(int(FAILURE_SECONDS))})


def _is_our_page(request: HTTPConnection, sessions: Sessions) -> bool:
    """Whether a browser sends this from a page of ours. It always says where a POST comes from."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    scheme = "https" if sessions.secure else "http"
    return request.headers.get("origin", "").lower() == f"{scheme}://{request.headers.get('host', '')}".lower()


def _forbidden() -> Response:
    return JSONResponse({"error": "this needs the token of the service (ServiceToken)"}, 403)
