"""Jobs by what became of them, by date and by study."""

from __future__ import annotations

import dataclasses

import pytest
from starlette.datastructures import QueryParams

from orthanc_mask2seg.jobs.port import JobState, Seen, Verdict
from orthanc_mask2seg.web.filters import Filter
from tests.faults.in_memory import MemoryLedger
from tests.unit.web.test_page import client, job

DAY = 86400.0
FIRST = 1.8e9 // DAY * DAY
"""2027-01-15, midnight."""


def told():
    """Four jobs, one a day; the newest of their series are remembered."""
    ends = [("converted", ""), ("refused", "ambiguous_source"), ("refused", "no_geometry"), ("failed", "too_large")]
    ledger, jobs = MemoryLedger(), []
    for number, (outcome, reason) in enumerate(ends):
        state = JobState.FAILED if outcome == "failed" else JobState.DONE
        answer = {"outcome": outcome, "reason": reason or None, "detail": "x"}
        made = job(number, state, **{"error" if outcome == "failed" else "result": answer})
        made = dataclasses.replace(made, created_at=FIRST + number * DAY + 5.0)
        jobs.append(made)
        asked = made.request
        ledger.remember(
            Seen(
                series_key=asked.series_key, series_instance_uid=asked.series_instance_uid,
                study_instance_uid=f"1.{number % 2}", version="v", verdict=Verdict(outcome), reason=reason,
                job_id=made.id,
            )
        )  # fmt: skip
    return client(*jobs, ledger=ledger)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [0, 1, 2, 3]),
        ("outcome=refused", [2, 1]),
        ("reason=ambiguous_source", [1]),
        ("outcome=converted&reason=ambiguous_source", []),
        ("study=1.1", [3, 1]),
        ("study=1.1&state=failed", [3]),
        ("since=2027-01-16", [1, 2, 3]),
        ("until=2027-01-16", [0, 1]),
        ("since=2027-01-16&until=2027-01-17", [1, 2]),
        ("outcome=refused&since=2027-01-17", [2]),
        ("outcome=refused&limit=1&offset=1", [1]),
        ("until=9999-12-31", [0, 1, 2, 3]),
    ],
)
def test_what_is_asked_for_is_given(query, numbers):
    found = told().get(f"/jobs?{query}")
    assert found.status_code == 200
    assert [int(one["id"], 16) for one in found.json()["jobs"]] == numbers


@pytest.mark.parametrize(
    "query",
    [
        "outcome=perhaps",
        "reason=%3Cb%3E",
        "study=..%2F..%2Fx",
        "since=yesterday",
        "until=2027-13-01",
        "state=x",
        "offset=x",
    ],
)
def test_what_is_nonsense_is_said_to_be(query):
    web = told()
    assert web.get(f"/jobs?{query}").status_code == 400
    assert web.get(f"/?{query}").status_code == 400


def test_a_form_sends_all_its_fields_and_a_program_means_what_it_sends():
    assert told().get("/?outcome=&reason=&study=&since=&until=").text.count('class="refused"') == 2
    assert told().get("/jobs?reason=").status_code == told().get("/jobs?state=").status_code == 400


def test_the_page_keeps_what_was_asked_for():
    page = told().get("/?outcome=refused&since=2027-01-15").text
    assert "<option selected>refused</option>" in page
    assert 'value="2027-01-15"' in page
    assert page.count('class="refused"') == 2
    assert Filter.of(QueryParams("state=failed&study=1.2")).query(offset=100) == "state=failed&study=1.2&offset=100"
    assert "There are no jobs of this kind" in told().get("/?study=9.9").text
