"""The page that says what undoing a job deletes, and asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orthanc_mask2seg.errors import Mask2SegError
from orthanc_mask2seg.jobs.port import Job
from orthanc_mask2seg.model import Result
from orthanc_mask2seg.service.status import ServiceState
from orthanc_mask2seg.service.undo import Plan, Undoing
from orthanc_mask2seg.web.gate import KNOWN
from orthanc_mask2seg.web.orders import AsciiJson

Rendered = Callable[..., str]
"""Name of a template and its values to the page."""


class UndoPages:
    """Says what goes, and deletes it for who agrees to exactly that and has logged in."""

    def __init__(self, state: ServiceState, rendered: Rendered) -> None:
        self._state, self._rendered = state, rendered

    async def form(self, request: Request) -> Response:
        """Say what goes, and ask."""
        return await run_in_threadpool(self._form, request)

    async def undo(self, request: Request) -> Response:
        """Delete it."""
        agreed = parse_qs((await request.body()).decode("utf-8", "replace")).get("plan", [""])[0]
        return await run_in_threadpool(self._undo, request, agreed)

    def _form(self, request: Request) -> Response:
        found = self._open(request)
        if isinstance(found, Response):
            return found
        undoing, job = found
        try:
            return self._page(job, undoing.plan(job))
        except Mask2SegError as error:
            return AsciiJson({"error": str(error), "hint": error.hint}, 503)

    def _undo(self, request: Request, agreed: str) -> Response:
        found = self._open(request)
        if isinstance(found, Response):
            return found
        undoing, job = found
        try:
            planned = undoing.plan(job)
            if isinstance(planned, Result) or planned.digest != agreed:
                return self._page(job, planned, status=409)
            refused = undoing.carry_out(planned)
        except Mask2SegError as error:
            return AsciiJson({"error": str(error), "hint": error.hint}, 503)
        return RedirectResponse(f"../{job.id}.html", 303) if refused is None else self._page(job, refused, status=409)

    def _open(self, request: Request) -> tuple[Undoing, Job] | Response:
        if self._state.undoing is None or KNOWN not in request.scope:
            hint = "Set ServiceTokenFile and log in, or use mask2seg jobs undo."
            return AsciiJson({"error": "not without a login", "hint": hint}, 403)
        job = self._state.jobs.get(request.path_params["job_id"])
        return AsciiJson({"error": "no such job"}, 404) if job is None else (self._state.undoing, job)

    def _page(self, job: Job, planned: Plan | Result, *, status: int = 200) -> Response:
        shown: dict[str, Any] = {"refused": planned} if isinstance(planned, Result) else {"planned": planned}
        page = self._rendered(
            "undo.html", page="job", root="../../", refresh=0, job=job, **{"refused": None, "planned": None, **shown}
        )
        return HTMLResponse(page, status)
