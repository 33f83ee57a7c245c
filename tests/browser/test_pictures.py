"""Pictures on the page of a real service: who has logged in sees the segment on its image, and leafs through it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from orthanc_server import OrthancServer, free_port
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.test_pages import barriers
from tests.builders import study, to_bytes

PROGRAM = Path(sys.executable).parent / "mask2seg"
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a token of sixteen or more"
PATIENCE_S = 60
NATURAL = "picture => picture.complete && picture.naturalWidth"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path_factory.mktemp("orthanc")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def address(orthanc: OrthancServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that has converted a synthetic chest."""
    folder, server, port = tmp_path_factory.mktemp("pictures"), orthanc, free_port()
    section = {
        "OrthancUrl": server.url, "OrthancUsername": server.username, "OrthancPassword": server.password,
        "State": "state", "StatusPort": port, "ServiceToken": TOKEN,
    }  # fmt: skip
    configuration = folder / "mask2seg.json"
    configuration.write_text(json.dumps({"Mask2Seg": section}))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", "-c", configuration], stdout=log, stderr=log)
    try:
        until_it_serves(f"http://127.0.0.1:{port}")
        words = [PROGRAM, "demo", "-c", configuration, "--count", "1"]
        subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE_S * 2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def until_it_serves(url: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            requests.get(f"{url}/healthz", timeout=5)
        except requests.ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.2)
        else:
            return


def logged_in(context: BrowserContext) -> Page:
    opened = context.new_page()
    opened.goto("/login")
    opened.get_by_label("token", exact=False).fill(TOKEN)
    opened.get_by_role("button").click()
    return opened


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 1000})
    opened = logged_in(context)
    yield opened
    context.close()


def test_a_segment_is_seen_on_its_image(page: Page, request: pytest.FixtureRequest) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto("/")
    thumb = page.get_by_alt_text("segment on its image").first
    expect(thumb).to_have_js_property("complete", value=True)
    page.wait_for_function(NATURAL, arg=thumb.element_handle())
    thumb.click()
    sheet, slider = page.get_by_alt_text("Three planes through each segment"), page.get_by_label("Slice")
    sheet.scroll_into_view_if_needed()
    page.wait_for_function(NATURAL, arg=sheet.element_handle())
    assert sheet.evaluate("picture => picture.naturalWidth") == 3 * 256
    expect(slider).to_be_visible(timeout=PATIENCE_S * 1000)
    picture = page.get_by_alt_text("A slice of the images")
    first = picture.get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(picture).not_to_have_attribute("src", str(first))
    page.wait_for_function(NATURAL, arg=picture.element_handle())
    assert [text for text in said if "Content Security Policy" in text] == []
    folder = request.config.getoption("--pictures", default=None) or ROOT / ".state" / "screenshots"
    Path(folder).mkdir(parents=True, exist_ok=True)
    page.screenshot(path=Path(folder) / "page-job.png", full_page=True)
    page.goto("/")
    page.wait_for_function(NATURAL, arg=page.get_by_alt_text("segment on its image").first.element_handle())
    page.screenshot(path=Path(folder) / "page-jobs.png")


def test_who_has_not_logged_in_sees_no_picture(chromium: Browser, address: str) -> None:
    context = chromium.new_context(base_url=address)
    opened = context.new_page()
    opened.goto("/")
    expect(opened.get_by_role("table")).to_be_visible()
    assert opened.locator("img").count() == 0
    context.close()


def test_undo_says_what_goes_and_takes_it_back(page: Page, orthanc: OrthancServer) -> None:
    def segs() -> int:
        return sum(s["MainDicomTags"]["Modality"] == "SEG" for s in orthanc.get("/series?expand").json())

    files = len(orthanc.get("/instances").json())
    assert segs() == 1
    page.goto("/")
    page.get_by_role("link", name="converted: job").click()
    page.get_by_role("link", name="Undo it").click()
    expect(page.get_by_text("deleted from the PACS, and nothing else")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    page.evaluate("document.querySelector('input[name=plan]').value = 'another'")
    page.get_by_role("button", name="Delete these").click()
    expect(page.get_by_role("button", name="Delete these")).to_be_visible()
    assert segs() == 1, "who agrees to something else deletes nothing"
    page.get_by_role("button", name="Delete these").click()
    expect(page.get_by_text("Undone at")).to_be_visible()
    assert (segs(), len(orthanc.get("/instances").json())) == (0, files - 1)
    page.goto(page.url.replace(".html", "/undo"))
    expect(page.get_by_role("alert")).to_contain_text("Nothing is there")


@pytest.mark.parametrize("width", [1280, 390])
def test_undo_has_no_barrier(chromium: Browser, address: str, axe: str, width: int) -> None:
    context = chromium.new_context(base_url=address, viewport={"width": width, "height": 800}, bypass_csp=True)
    opened = logged_in(context)
    opened.get_by_role("link", name=": job").first.click()
    expect(opened.get_by_role("heading", name="History")).to_be_visible()
    opened.goto(opened.url.replace(".html", "/undo"))
    assert barriers(opened, axe) == []
    context.close()


def test_the_findings_of_the_doctor_are_on_the_page_of_health(page: Page) -> None:
    page.goto("/health")
    expect(page.get_by_role("heading", name="How the PACS is set up")).to_be_visible()
    page.get_by_text("What else was looked at").click()
    assert page.locator("details li").count() > 3


def test_a_person_chooses_the_images_that_the_mask_lies_on(page: Page, orthanc: OrthancServer) -> None:
    made, twin = study(seed=77), study(seed=77).image
    for instance in twin:
        instance.SeriesInstanceUID = f"{instance.SeriesInstanceUID}.2"[-64:]
        instance.SOPInstanceUID = f"{instance.SOPInstanceUID}.2"[-64:]
    for instance in made.mask:
        for name in ("ReferencedSeriesSequence", "SourceImageSequence"):
            if name in instance:
                delattr(instance, name)
        instance.SOPInstanceUID = f"{instance.SOPInstanceUID}.3"[-64:]
    for instance in (*made.image, *twin, *made.mask):
        orthanc.post("/instances", to_bytes(instance))
    chosen = str(twin[0].SeriesInstanceUID)
    page.goto("/")
    page.get_by_role("link", name="refused: job").first.click(timeout=PATIENCE_S * 1000)
    expect(page.get_by_role("heading", name="refused")).to_contain_text("ambiguous_source")
    page.get_by_role("button", name=f"Convert on these images: {chosen}").click()
    expect(page.get_by_role("heading", name="converted")).to_be_visible(timeout=PATIENCE_S * 1000)
    section = page.locator("section.chosen")
    expect(section).to_contain_text(chosen)
    assert section.get_by_role("button").count() == 0


def test_a_series_is_tried_and_nothing_is_stored(page: Page, orthanc: OrthancServer) -> None:
    before = len(orthanc.get("/instances").json())
    masks = [
        s for s in orthanc.get("/series?expand").json() if "mask" in s["MainDicomTags"].get("SeriesDescription", "")
    ]
    page.goto("/")
    page.get_by_role("link", name="Try a series").click()
    page.get_by_label("Mask series").fill(masks[0]["ID"])
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="would be")).to_be_visible(timeout=PATIENCE_S * 1000)
    expect(page.locator("section").first).to_be_visible()
    assert len(orthanc.get("/instances").json()) == before
    page.screenshot(path=ROOT / ".state" / "screenshots" / "page-try.png", full_page=True)


@pytest.mark.parametrize("width", [1280, 390])
def test_trying_has_no_barrier(chromium: Browser, address: str, axe: str, width: int) -> None:
    context = chromium.new_context(base_url=address, viewport={"width": width, "height": 800}, bypass_csp=True)
    opened = logged_in(context)
    opened.get_by_role("link", name="Try a series").click()
    opened.get_by_label("Mask series").fill("1.2.3")
    opened.get_by_role("button", name="Try it").click()
    expect(opened.get_by_role("alert")).to_be_visible()
    assert barriers(opened, axe) == []
    assert not opened.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    context.close()
