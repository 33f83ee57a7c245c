"""The page where a browser shows the token and gets its cookie."""

from __future__ import annotations

from urllib.parse import parse_qs

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orthanc_mask2seg.web.gate import address_of, too_often
from orthanc_mask2seg.web.sessions import SESSION_SECONDS, Sessions

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


class LoginPages:
    """In and out."""

    def __init__(self, sessions: Sessions, templates: jinja2.Environment) -> None:
        self._sessions, self._templates = sessions, templates

    async def form(self, _request: Request) -> Response:
        """Show the form."""
        return await self._page(wrong=False)

    async def log_in(self, request: Request) -> Response:
        """Take the token."""
        address = address_of(request)
        guesses_on = self._sessions.held_off(address)
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not self._sessions.knows(fields.get("token", [""])[0], address):
            return too_often() if guesses_on else await self._page(wrong=True)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._sessions.cookie,
            self._sessions.begin(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._sessions.secure,
        )
        return answer

    async def log_out(self, request: Request) -> Response:
        """Forget the cookie, here and in the browser."""
        self._sessions.end(request.cookies.get(self._sessions.cookie, ""))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(self._sessions.cookie, secure=self._sessions.secure, httponly=True, samesite="strict")
        return answer

    async def _page(self, *, wrong: bool) -> Response:
        page = await run_in_threadpool(self._templates.get_template("login.html").render, wrong=wrong)
        return HTMLResponse(page, 403 if wrong else 200, headers={"Content-Security-Policy": POLICY})
