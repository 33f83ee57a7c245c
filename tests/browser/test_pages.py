"""The pages of the service in a real Chromium, wide and narrow: no barrier that axe-core knows, no page too wide."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.service.status import Page as Served
from orthanc_mask2seg.web.page import start
from tests.unit.web.test_page import job, service
from tests.unit.web.test_views import CONVERTED, TOKEN

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {"desktop": 1280, "phone": 390}
PAGES = {
    "jobs": "/",
    "failed": "/?state=failed",
    "none": "/?state=running",
    "job": f"/jobs/{1:024x}.html",
    "refused": f"/jobs/{2:024x}.html",
    "health": "/health",
}
FINDINGS = (
    {
        "level": "error",
        "detail": "Orthanc 1.11.0 loses sequences.",
        "hint": "Take 1.12.",
        "evidence": ["version 1.11.0"],
    },
    {"level": "warning", "detail": "Nobody needs a password.", "hint": "Set RegisteredUsers.", "evidence": []},
    {"level": "ok", "detail": "DICOMweb gives whole metadata.", "hint": "", "evidence": []},
)
REFUSED = {
    "outcome": "refused",
    "reason": "ambiguous_source",
    "detail": "Two image series fit equally well.",
    "hint": "Name the source with --source.",
    "candidates": CONVERTED["candidates"],
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    failed = {"outcome": "failed", "reason": "too_large", "detail": "More memory than it may have."}
    state = service(
        job(1, result=CONVERTED), job(2, result=REFUSED), job(3, state=JobState.FAILED, error=failed),
        job(4, state=JobState.WAITING), token=TOKEN,
    )  # fmt: skip
    state = dataclasses.replace(state, findings=lambda: FINDINGS)
    page = start(state, "127.0.0.1", 0)
    yield page
    page.stop()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, chromium: Browser, served: Served) -> Iterator[Page]:
    context = chromium.new_context(
        base_url=f"http://127.0.0.1:{served.port}",
        viewport={"width": WIDTHS[request.param], "height": 800},
        bypass_csp=True,  # for axe alone; the pages have no script
    )
    opened = context.new_page()
    opened.goto("/login")
    opened.get_by_label("token", exact=False).fill(TOKEN)
    opened.get_by_role("button").click()
    expect(opened.get_by_role("heading", name="mask2seg")).to_be_visible()
    yield opened
    context.close()


def barriers(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in found["violations"]]


@pytest.mark.parametrize("name", PAGES)
def test_there_is_no_barrier(page: Page, axe: str, name: str) -> None:
    page.goto(PAGES[name])
    assert barriers(page, axe) == []
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide, "the page itself does not scroll sideways; its table may"
    pictures = ROOT / ".state" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=pictures / f"{name}-{page.viewport_size['width']}.png", full_page=True)  # type: ignore[index]


def test_the_login_has_no_barrier(chromium: Browser, served: Served, axe: str) -> None:
    context = chromium.new_context(base_url=f"http://127.0.0.1:{served.port}", bypass_csp=True)
    opened = context.new_page()
    opened.goto("/login")
    assert barriers(opened, axe) == []
    context.close()


def test_a_way_through_by_links_and_a_job_again(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="failed", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="all", exact=True).click()
    page.get_by_role("link", name=f"converted: job {1:024x}").click()
    expect(page.get_by_role("heading", name="Segments")).to_be_visible()
    expect(page.get_by_text("same positions (+0.50)")).to_be_visible()
    page.get_by_role("button", name="Run it again").click()
    expect(page.get_by_role("heading", name="converted")).to_be_visible()
    page.get_by_role("link", name="Health").click()
    expect(page.get_by_role("heading", name="Jobs in the history")).to_be_visible()
