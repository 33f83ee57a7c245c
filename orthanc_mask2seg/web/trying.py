"""The page that says what would become of a series, and stores nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from orthanc_mask2seg.errors import Mask2SegError, NotInArchive
from orthanc_mask2seg.service.status import ServiceState
from orthanc_mask2seg.web import views
from orthanc_mask2seg.web.gate import KNOWN
from orthanc_mask2seg.web.orders import AsciiJson

LONGEST_IDENTIFIER = 64
"""Characters of a UID; an Orthanc id has 44."""
_BUSY = "Somebody else is trying a series: one at a time."

Rendered = Callable[..., str]
"""Name of a template and its values to the page."""


class TryPages:
    """Tries a series for those who have logged in: what comes of it may tell of the patient."""

    def __init__(self, state: ServiceState, rendered: Rendered) -> None:
        self._state, self._rendered = state, rendered
        self._one_at_a_time = threading.Lock()

    async def form(self, request: Request) -> Response:
        """Ask for a series."""
        return self._turned_away(request) or self._page("", "")

    async def try_it(self, request: Request) -> Response:
        """Say what would become of it."""
        turned_away = self._turned_away(request)
        if turned_away is not None:
            return turned_away
        asked = parse_qs((await request.body()).decode("utf-8", "replace"))
        mask, source = (asked.get(name, [""])[0].strip() for name in ("mask", "source"))
        if not mask or max(len(mask), len(source)) > LONGEST_IDENTIFIER:
            return self._page(mask, source, error="Name a series by its SeriesInstanceUID or Orthanc id.", status=400)
        return await run_in_threadpool(self._tried, mask, source)

    def _tried(self, mask: str, source: str) -> Response:
        assert self._state.explain is not None
        if not self._one_at_a_time.acquire(blocking=False):
            return self._page(mask, source, error=_BUSY, status=503)
        try:
            found = self._state.explain(mask, source)
        except NotInArchive:
            return self._page(mask, source, error="The PACS holds no such series.", status=404)
        except Mask2SegError as error:
            return self._page(mask, source, error=f"{error} ({error.code}). {error.hint}", status=503)
        finally:
            self._one_at_a_time.release()
        return self._page(mask, source, results=[views.tried_of(one) for one in found])

    def _turned_away(self, request: Request) -> Response | None:
        if self._state.explain is not None and KNOWN in request.scope:
            return None
        hint = "Set ServiceTokenFile and log in, or use mask2seg explain."
        return AsciiJson({"error": "not without a login", "hint": hint}, 403)

    def _page(
        self, mask: str, source: str, *, results: list[dict[str, Any]] | None = None, error: str = "", status: int = 200
    ) -> Response:
        shown = {"mask": mask[:LONGEST_IDENTIFIER], "source": source[:LONGEST_IDENTIFIER]}
        page = self._rendered("try.html", page="try", refresh=0, results=results or [], error=error, **shown)
        return HTMLResponse(page, status)
