"""The service's JSON, described for programs (OpenAPI 3.1). Tests compare it with the routes and with the answers."""

from __future__ import annotations

from typing import Any

from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.web.filters import OUTCOMES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}


def document_of(version: str) -> Schema:
    """The whole document; `version` is that of the service."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mask2seg",
            "version": version,
            "description": "What became of the mask series of a PACS, and the way to ask for a segmentation.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./"}],
        "security": [{}, {"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "ServiceToken"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> Schema:
    key = _in_path("key", "Identifier that the PACS gives it; in Orthanc, the Orthanc id.")
    job = _in_path("job_id", "Identifier of the job.")
    series = _in_path("series", "SeriesInstanceUID of one of the candidates of the job.")
    kind = _in_path("kind", "What was made: SEG, SR, CSV, ...")
    name = _in_path("name", "thumb, sheet (three planes through each segment), or the number of a slice from 0 on.")
    return {
        "/healthz": {"get": _read("Health.", "Health", unavailable="Health", open_to_all=True)},
        "/readyz": {"get": _read("Can it take in masks now?", "Ready", unavailable="Ready", open_to_all=True)},
        "/metrics": {"get": _text("Numbers for Prometheus, without identifiers.", "text/plain")},
        "/openapi.json": {"get": _read("This document.", "Document", open_to_all=True)},
        "/jobs": {"get": _read("Jobs, newest first.", "Jobs", parameters=_paging(), invalid=True)},
        "/jobs/{job_id}": {"get": _read("A job.", "Job", parameters=[job], missing=True)},
        "/jobs/{job_id}/retry": {"post": _ask("Run a job again.", "Asked", [job])},
        "/jobs/{job_id}/sources/{series}": {
            "post": _ask("Convert the mask of a job on other images that were weighed for it.", "Asked", [job, series])
        },
        "/jobs/{job_id}/outputs/{kind}": {
            "get": _private("A file that a job made.", [job, kind], _content("The file.", "application/octet-stream"))
        },
        "/jobs/{job_id}/pictures": {
            "get": _private("How many slices there are to leaf through.", [job], _answer("So many.", "Slices"))
        },
        "/jobs/{job_id}/pictures/{name}.png": {
            "get": _private(
                "A picture of the segmentation on its images.", [job, name], _content("A picture.", "image/png")
            )
        },
        "/series/{key}": {"get": _of_the_pacs("What a series is to the service.", "Series", [key])},
        "/series/{key}/convert": {
            "post": _ask("Convert a series that a person calls a mask.", "Asked", [key], refused=True)
        },
        "/studies/{key}": {"get": _of_the_pacs("The jobs on the series of a study.", "Study", [key])},
        "/studies/{key}/convert": {
            "post": _ask("Convert all series of a study that may be masks.", "AskedOfStudy", [key])
        },
    }


def _in_path(name: str, words: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": words, "schema": _TEXT}


def _paging() -> list[Schema]:
    limit = {"type": "integer", "default": 100}
    offset = {"type": "integer", "default": 0}
    states = {"type": "array", "items": {"type": "string", "enum": [str(each) for each in JobState]}}
    return [
        {"name": "limit", "in": "query", "description": "How many; from 1 to 1000 at a time.", "schema": limit},
        {"name": "offset", "in": "query", "description": "How many newer ones are left out.", "schema": offset},
        {"name": "state", "in": "query", "description": "Of these states alone.", "schema": states},
        *(
            {"name": name, "in": "query", "description": words, "schema": schema}
            for name, words, schema in (
                ("outcome", "Newest jobs of series, by how they ended.", {"type": "string", "enum": [*OUTCOMES]}),
                ("reason", "The same, by reason code.", {"type": "string", "pattern": "^[a-z_0-9]{1,64}$"}),
                ("study", "The same, by StudyInstanceUID.", {"type": "string", "pattern": "^[0-9.]{1,64}$"}),
                ("since", "First day (UTC) they were asked for.", {"type": "string", "format": "date"}),
                ("until", "Last day.", {"type": "string", "format": "date"}),
            )
        ),
    ]


def _answer(words: str, schema: str) -> Schema:
    return {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _refusals(*, open_to_all: bool = False, missing: bool = False, invalid: bool = False) -> Schema:
    """What any route may answer, besides what was asked for."""
    found = {
        "400": _answer("The request is none that is understood, or the host is no name of the service.", "Error"),
        "413": _answer("The request is larger than any needs to be.", "Error"),
    }
    if not open_to_all:
        found["403"] = _answer("This needs the token.", "Error")
        found["429"] = _answer("Too many wrong tokens.", "Error")
    if missing:
        found["404"] = _answer("There is no such thing.", "Error")
    if invalid:
        found["400"]["description"] += " Or a parameter is none that is allowed."
    return found


def _read(
    words: str,
    schema: str,
    *,
    unavailable: str = "",
    parameters: list[Schema] | None = None,
    open_to_all: bool = False,
    missing: bool = False,
    invalid: bool = False,
) -> Schema:
    answers = {"200": _answer(words, schema), **_refusals(open_to_all=open_to_all, missing=missing, invalid=invalid)}
    if unavailable:
        answers["503"] = _answer("The same, while it is not well.", unavailable)
    return _operation(words, parameters, answers)


def _of_the_pacs(words: str, schema: str, parameters: list[Schema]) -> Schema:
    answers = {
        "200": _answer(words, schema),
        **_refusals(missing=True),
        "503": _answer("The PACS does not answer.", "Error"),
    }
    return _operation(words, parameters, answers)


def _ask(words: str, schema: str, parameters: list[Schema], *, refused: bool = False) -> Schema:
    answers = {"202": _answer("Asked for.", schema), **_refusals(missing=True)}
    answers["503"] = _answer("The PACS does not answer.", "Error")
    if refused:
        answers["409"] = _answer("It is made of a mask already, or has no pixels.", "Refusal")
    return _operation(words, parameters, answers)


def _text(words: str, media_type: str) -> Schema:
    return _operation(
        words, None, {"200": {"description": words, "content": {media_type: {"schema": _TEXT}}}, **_refusals()}
    )


def _content(words: str, media_type: str) -> Schema:
    return {
        "description": words,
        "content": {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}},
    }


def _private(words: str, parameters: list[Schema], answer: Schema) -> Schema:
    answers = {"200": answer, **_refusals(missing=True), "503": _answer("The PACS does not answer.", "Error")}
    return _operation(f"{words} Only where there is a token: it holds patient data.", parameters, answers)


def _operation(words: str, parameters: list[Schema] | None, answers: Schema) -> Schema:
    return {"summary": words, **({"parameters": parameters} if parameters else {}), "responses": answers}


def _schemas() -> Schema:
    one_job: Schema = {"$ref": "#/components/schemas/Job"}
    document = {"type": "object"}
    return {
        "Error": _object({"error": _TEXT, "hint": _TEXT}, required=["error"]),
        "Refusal": _object(
            {"outcome": {"const": str(Outcome.REFUSED)}, "reason": _TEXT, "detail": _TEXT, "hint": _TEXT}
        ),
        "Ready": _object({"ready": _FLAG, "status": _status()}),
        "Health": _object(
            {
                "status": _status(),
                "version": _TEXT,
                "archive": _object({"reachable": _FLAG, "error": _TEXT}),
                "alarm": _none_or(_object({"code": _TEXT, "detail": _TEXT, "hint": _TEXT}, required=["code"])),
                "queue": _object({"waiting": _COUNT, "running": _COUNT, "for_images": _COUNT}),
                "watcher": document,
            }
        ),
        "Job": _object(
            {
                "id": _TEXT,
                "request": document,
                "state": {"enum": [str(each) for each in JobState]},
                "result": _none_or(document),
                "error": _none_or(document),
                "created_at": _NUMBER,
                "updated_at": _NUMBER,
                "attempts": _COUNT,
                "step": _TEXT,
                "links": document,
            },
            required=["id", "request", "state", "result", "error", "created_at", "updated_at", "attempts"],
        ),
        "Jobs": _object({"jobs": {"type": "array", "items": one_job}}),
        "Asked": _object({"id": _TEXT, "url": _TEXT}),
        "AskedOfStudy": _object(
            {"jobs": {"type": "array", "items": _object({"id": _TEXT, "url": _TEXT, "series": _TEXT})}, "url": _TEXT}
        ),
        "Series": _object(
            {
                "id": _TEXT,
                "modality": _TEXT,
                "convertible": _FLAG,
                "made_from": _none_or(document),
                "job": _none_or(one_job),
            }
        ),
        "Study": _object({"id": _TEXT, "jobs": {"type": "array", "items": one_job}}),
        "Slices": _object({"slices": _COUNT}),
        "Document": _object({"openapi": _TEXT, "paths": document}),
    }


def _none_or(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: Schema, *, required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


def _status() -> Schema:
    return {"enum": ["ok", "paused", "unavailable"]}
