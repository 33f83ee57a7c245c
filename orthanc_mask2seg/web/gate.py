"""Who may ask for work: those who know the token and, where there is none, programs, but no web page."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_READING = frozenset({"GET", "HEAD"})
_OPEN = frozenset({"/healthz"})


class Gate:
    """Middleware that turns away who may not come in.

    Parameters
    ----------
    token
        What a request must show as `Authorization: Bearer`; '' where the site has set none.
    reading
        Those without the token may read.
    """

    def __init__(self, app: ASGIApp, token: str, *, reading: bool) -> None:
        self._app, self._token, self._reading = app, token, reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 403."""
        if scope["type"] != "http" or self._lets_in(scope["method"], scope["path"], Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        refused = JSONResponse({"error": "this needs the token of the service (ServiceToken)"}, 403)
        await refused(scope, receive, send)

    def _lets_in(self, method: str, path: str, headers: Headers) -> bool:
        if method in _READING and (self._reading or path in _OPEN):
            return True
        if self._token:
            shown = headers.get("authorization", "").encode()
            return hmac.compare_digest(shown, f"Bearer {self._token}".encode())
        return not any(name in headers for name in ("origin", "referer", "sec-fetch-site"))
