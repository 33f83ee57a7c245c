"""The description of the JSON is of the routes that there are."""

import re

import pytest
from starlette.routing import Route

from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.web.openapi import document_of
from orthanc_mask2seg.web.page import create_app
from tests.unit.web.test_page import job, service

FOR_PEOPLE = {
    "/",
    "/style.css",
    "/live.js",
    "/health",
    "/login",
    "/logout",
    "/jobs/{job_id}.html",
    "/jobs/{job_id}/undo",
    "/try",
}


def test_every_route_that_is_not_for_people_is_described() -> None:
    described = {(path, name.upper()) for path, item in document_of("1")["paths"].items() for name in item}
    routes = {
        (route.path, method)
        for route in create_app(service()).routes
        if isinstance(route, Route) and route.path not in FOR_PEOPLE
        for method in route.methods - {"HEAD"}
    }
    assert described == routes


def test_every_schema_that_is_named_is_there_and_none_is_idle() -> None:
    document = document_of("1")
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named == set(document["components"]["schemas"])


@pytest.mark.parametrize("state", JobState)
def test_what_a_job_says_is_in_its_schema(state: JobState) -> None:
    schema = document_of("1")["components"]["schemas"]["Job"]
    assert set(job(1, state).document()) == set(schema["required"])
