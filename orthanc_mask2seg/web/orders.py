"""The routes behind the buttons in Orthanc Explorer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from orthanc_mask2seg.errors import Mask2SegError, NotInArchive
from orthanc_mask2seg.jobs.port import Jobs
from orthanc_mask2seg.model import ArchiveKey, Outcome, Refusal, Uid
from orthanc_mask2seg.service.orders import Orders
from orthanc_mask2seg.service.pictures import Gallery, PictureKind
from orthanc_mask2seg.web.gate import KNOWN

ACCEPTED = 202
LONGEST_SLICE = 4
"""Digits of the number of a slice."""

_NO_MARKUP = {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}


class AsciiJson(JSONResponse):
    """JSON whose text steers no terminal: all that is not ASCII is escaped, and what markup is made of."""

    def render(self, content: Any) -> bytes:
        """Encode."""
        text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return text.translate(_NO_MARKUP).encode()


Answer = tuple[dict[str, Any], int]


class OrderPages:
    """JSON in the words of `Orders`."""

    def __init__(self, orders: Orders, jobs: Jobs, gallery: Gallery, *, private: bool) -> None:
        self._orders, self._jobs, self._gallery, self._private = orders, jobs, gallery, private
        self.series = _route("key", lambda key: (orders.series_document(ArchiveKey(key)), 200))
        self.study = _route("key", lambda key: (orders.study_document(ArchiveKey(key)), 200))
        self.convert_series = _route("key", self._convert_series)
        self.convert_study = _route("key", self._convert_study)
        self.job = _route("job_id", self._job)

    async def slices(self, request: Request) -> Response:
        """How many slices there are to leaf through."""
        return await self._pictured(request, PictureKind.SLICES, None)

    async def picture(self, request: Request) -> Response:
        """A picture: thumb, sheet, or the number of a slice."""
        name = request.path_params["name"]
        if name in {PictureKind.THUMB, PictureKind.SHEET}:
            return await self._pictured(request, PictureKind(name), 0)
        if not name.isdecimal() or len(name) > LONGEST_SLICE:
            return AsciiJson({"error": "no such picture"}, 404)
        return await self._pictured(request, PictureKind.SLICES, int(name))

    async def _pictured(self, request: Request, kind: PictureKind, number: int | None) -> Response:
        if not self._private or KNOWN not in request.scope:  # the gate has asked, and this does not rely on it
            return _not_private()
        return await run_in_threadpool(self._picture, request.path_params["job_id"], kind, number)

    def _picture(self, job_id: str, kind: PictureKind, number: int | None) -> Response:
        """A picture, or how many there are."""
        job = self._jobs.get(job_id)
        made = [o for o in ((job.result or {}).get("outputs") or () if job else ()) if o["kind"] == "SEG"]
        try:
            found = self._gallery.pictures(Uid(str(made[0]["series_uid"])), kind) if made else ()
        except NotInArchive:
            found = ()
        except Mask2SegError as error:
            return AsciiJson({"error": str(error), "hint": error.hint}, 503)
        if number is None:
            return AsciiJson({"slices": len(found)})
        if number >= len(found):
            return AsciiJson({"error": "no such picture"}, 404)
        return Response(found[number], media_type="image/png")

    async def output(self, request: Request) -> Response:
        """A file that a job made, for those who have logged in: it holds patient data."""
        if not self._private or KNOWN not in request.scope:  # the gate has asked, and this does not rely on it
            return _not_private()
        return await run_in_threadpool(self._output, request.path_params["job_id"], request.path_params["kind"])

    def _output(self, job_id: str, kind: str) -> Response:
        job = self._jobs.get(job_id)
        try:
            found = None if job is None else self._orders.output(job, kind.upper())
        except NotInArchive:
            found = None
        except Mask2SegError as error:
            return AsciiJson({"error": str(error), "hint": error.hint}, 503)
        if found is None:
            return AsciiJson({"error": "no such output"}, 404)
        name, content = found
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def convert_on(self, request: Request) -> Response:
        """Convert the mask of a job on other images that were weighed for it."""
        document, status = await run_in_threadpool(self._convert_on, **request.path_params)
        if status == ACCEPTED and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"../../{document['id']}.html", 303)
        return AsciiJson(document, status)

    def _convert_on(self, job_id: str, series: str) -> Answer:
        job = self._jobs.get(job_id)
        try:
            asked = None if job is None else self._orders.convert_on(job, series)
        except NotInArchive:
            return {"error": "the mask is not in the PACS any more", "hint": NotInArchive.hint}, 404
        except Mask2SegError as error:
            return {"error": str(error), "hint": error.hint}, 503
        if asked is None:
            return {"error": "no such job, or these images were not weighed for it"}, 404
        return {"id": asked.id, "url": f"jobs/{asked.id}"}, ACCEPTED

    def _convert_series(self, key: str) -> Answer:
        asked = self._orders.convert_series(ArchiveKey(key))
        if isinstance(asked, Refusal):
            return {"outcome": str(Outcome.REFUSED), **asdict(asked)}, 409
        return {"id": asked.id, "url": f"jobs/{asked.id}"}, 202

    def _convert_study(self, key: str) -> Answer:
        asked = self._orders.convert_study(ArchiveKey(key))
        jobs = [{"id": job.id, "url": f"jobs/{job.id}", "series": job.request.series_key} for job in asked]
        return {"jobs": jobs, "url": f"studies/{key}"}, 202

    def _job(self, job_id: str) -> Answer:
        job = self._jobs.get(job_id)
        return ({"error": "no such job"}, 404) if job is None else (self._orders.job_document(job), 200)


def _not_private() -> Response:
    hint = "Outputs hold patient data, and nobody has to log in here: set ServiceTokenFile, or open Orthanc."
    return AsciiJson({"error": "not without a login", "hint": hint}, 403)


def _route(parameter: str, answer: Callable[[str], Answer]) -> Callable[[Request], Awaitable[Response]]:
    """A route that answers faults in words: 404 for what the PACS does not hold, else 503."""

    def asked(value: str) -> Answer:
        try:
            return answer(value)
        except NotInArchive:
            return {"error": "the PACS does not hold this", "hint": NotInArchive.hint}, 404
        except Mask2SegError as error:
            return {"error": str(error), "hint": error.hint}, 503

    async def route(request: Request) -> Response:
        document, status = await run_in_threadpool(asked, request.path_params[parameter])
        return AsciiJson(document, status)

    return route
