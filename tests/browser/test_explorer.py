"""The buttons in Orthanc Explorer, clicked in a real Chromium on real Orthancs of all three versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom.uid import generate_uid

from tests.builders import Grid, image_series, mask_series, study, to_bytes
from tests.plugin_orthanc import SUITES, PluginOrthanc, end, until

SLOW_MS = 30_000
HOSTILE = '<img src=x onerror="document.title=1">tumour mask'


@pytest.fixture(scope="module", params=SUITES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginOrthanc]:
    """Orthanc whose service waits for a button: nothing settles by itself."""
    suite = str(request.param)
    made = PluginOrthanc(tmp_path_factory.mktemp(suite), suite, SettleSeconds=3600.0)
    try:
        yield made.ready()
    finally:
        made.kill()


@pytest.fixture
def page(chromium: Browser, server: PluginOrthanc) -> Iterator[Page]:
    context = chromium.new_context(
        http_credentials={"username": server.username, "password": server.password},
        viewport={"width": 1100, "height": 900},
    )
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


def show(page: Page, server: PluginOrthanc, level: str, key: str) -> None:
    page.goto("about:blank")
    page.goto(f"{server.url}/app/explorer.html#{level}?uuid={key}")


def visible(page: Page, selector: str) -> object:
    return expect(page.locator(selector)).to_be_visible(timeout=SLOW_MS)


def test_click_progress_link_origin(server: PluginOrthanc, page: Page, pytestconfig: pytest.Config) -> None:
    """From the mask to its SEG and back, by clicks alone."""
    made = study(grid=Grid(rows=200, columns=200, planes=40), seed=1, description=HOSTILE)
    server.send(*(to_bytes(data) for data in (*made.image, *made.mask)))
    [mask] = server.series(description="tumour mask")
    [images] = server.series(description="thorax")
    show(page, server, "series", mask)
    button = page.locator("#mask2seg-series-convert")
    expect(button).to_have_text("Convert to DICOM-SEG", timeout=SLOW_MS)
    expect(button).to_be_visible()
    page.evaluate(
        """() => {
            window.captions = [];
            const button = document.querySelector('#mask2seg-series-convert');
            new MutationObserver(() => window.captions.push(button.textContent))
                .observe(button, {childList: true, characterData: true, subtree: true});
        }"""
    )
    button.click()
    expect(button).to_have_text("Converted", timeout=SLOW_MS)
    captions = [said.strip() for said in page.evaluate("window.captions")]
    assert captions[0] == "Asking ..."
    assert any(said.endswith("...") for said in captions[1:-1]), captions
    [segmentation] = server.segs()
    link = page.get_by_role("link", name="Open the segmentation")
    expect(link).to_have_attribute("href", address(segmentation))
    page.screenshot(path=screenshot(pytestconfig, f"converted-{server.suite}"))

    link.click()
    origin = page.locator(".mask2seg-origin")
    expect(origin).to_contain_text("Made by mask2seg from the mask series", timeout=SLOW_MS)
    expect(origin).to_contain_text(f'"CT {HOSTILE}", on the images of the series "CT CT thorax"', timeout=SLOW_MS)
    expect(page.locator("#mask2seg-series-convert")).to_be_hidden()
    assert page.evaluate("document.querySelectorAll('.mask2seg img').length") == 0
    page.screenshot(path=screenshot(pytestconfig, f"origin-{server.suite}"))
    to_mask, to_images = origin.get_by_role("link").all()
    assert to_mask.get_attribute("href") == address(mask)
    assert to_images.get_attribute("href") == address(images)
    to_mask.click()
    expect(page.locator("#mask2seg-series-convert")).to_have_text("Converted", timeout=SLOW_MS)
    expect(page.get_by_role("link", name="Open the segmentation")).to_be_visible(timeout=SLOW_MS)


def test_one_press_yields_the_bundle_that_is_configured(
    tmp_path: Path, chromium: Browser, pytestconfig: pytest.Config
) -> None:
    """Every output is there, named, and opens: series in Orthanc Explorer, files as they are."""
    kinds = ["seg", "sr", "csv", "json", "rtstruct", "nrrd", "nifti", "preview", "capture"]
    server = PluginOrthanc(tmp_path, "trixie", SettleSeconds=3600.0, Outputs=kinds, RadiomicsPreset="none")
    try:
        server.ready()
        made = study(grid=Grid(rows=64, columns=64, planes=8), seed=5)
        server.send(*(to_bytes(data) for data in (*made.image, *made.mask)))
        [mask] = server.series(description="tumour mask")
        context = chromium.new_context(
            http_credentials={"username": server.username, "password": server.password},
            viewport={"width": 1100, "height": 900},
        )
        page = context.new_page()
        show(page, server, "series", mask)
        page.locator("#mask2seg-series-convert").click(timeout=SLOW_MS)
        expect(page.locator("#mask2seg-series-convert")).to_have_text("Converted", timeout=SLOW_MS)
        links = page.locator("#mask2seg-series .mask2seg-note a")
        expect(links).to_have_count(len(kinds), timeout=SLOW_MS)
        page.screenshot(path=screenshot(pytestconfig, "bundle"), full_page=True)
        found = {link.inner_text(): str(link.get_attribute("href")) for link in links.all()}
        assert len(found) == len(kinds), "each has a name of its own"
        modalities = [server.get(f"/series/{key}").json()["MainDicomTags"]["Modality"] for key in server.series()]
        assert sorted(modalities) == ["CT", "CT", "OT", "RTSTRUCT", "SEG", "SR"]
        for name, begins in (
            ("features (CSV)", b"seg_sop_instance_uid,"),
            ("picture (PNG)", b"\x89PNG"),
            ("NIfTI", b"\x1f\x8b"),
        ):
            address = next(href for text, href in found.items() if text.endswith(name))
            assert address.startswith("../series/")
            assert server.get(address.removeprefix("..")).content.startswith(begins)
        context.close()
    finally:
        server.kill()


def test_a_refusal_is_said_in_words(server: PluginOrthanc, page: Page, pytestconfig: pytest.Config) -> None:
    made = study(seed=2)
    server.send(*(to_bytes(data) for data in made.mask))
    key = next(k for k in server.series() if len(server.get(f"/series/{k}").json()["Instances"]) == len(made.mask))
    show(page, server, "series", key)
    page.locator("#mask2seg-series-convert").click()
    expect(page.locator("#mask2seg-series-convert")).to_have_text("Refused", timeout=SLOW_MS)
    note = page.locator("#mask2seg-series .mask2seg-note")
    expect(note).to_contain_text("no_source_in_study: ")
    assert len(note.inner_text().splitlines()) >= 2, "the reason and what to do about it"
    page.screenshot(path=screenshot(pytestconfig, f"refused-{server.suite}"))


def test_the_study_page_converts_what_looks_like_a_mask(server: PluginOrthanc, page: Page) -> None:
    made = study(seed=3)
    other = mask_series(image_series(made.grid, seed=3), made.labels.astype("u2"), description="liver mask", number=7)
    for data in other:
        data.SOPInstanceUID = generate_uid(entropy_srcs=["liver", str(data.SOPInstanceUID)])
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    server.send(*(to_bytes(data) for data in (*made.image, *made.mask, *other)))
    before = len(server.segs())
    [liver] = server.series(description="liver mask")
    show(page, server, "study", server.get(f"/series/{liver}").json()["ParentStudy"])
    button = page.locator("#mask2seg-study-convert")
    expect(button).to_have_text("Convert masks to DICOM-SEG", timeout=SLOW_MS)
    button.click()
    expect(button).to_have_text("2 of 2 converted", timeout=SLOW_MS)
    assert len(server.segs()) == before + 2
    assert page.get_by_role("link", name="Open the segmentation").count() == 2


def test_a_study_without_masks(server: PluginOrthanc, page: Page) -> None:
    images = image_series(Grid(), seed=4)
    server.send(*(to_bytes(data) for data in images))
    key = until(lambda: study_of(server, images[0].StudyInstanceUID), "the study")
    show(page, server, "study", key)
    page.locator("#mask2seg-study-convert").click()
    expect(page.locator("#mask2seg-study-convert")).to_have_text("Nothing to convert", timeout=SLOW_MS)
    expect(page.locator("#mask2seg-study")).to_contain_text("No series of this study looks like a mask.")


def study_of(server: PluginOrthanc, uid: str) -> str:
    found = server.post("/tools/lookup", uid.encode()).json()
    return str(found[0]["ID"]) if found else ""


def test_a_form_needs_no_javascript(server: PluginOrthanc, chromium: Browser) -> None:
    """As Orthanc Explorer 2 may post: a plain form of the same origin, JavaScript off; one of another site fails."""
    made = study(seed=5)
    server.send(*(to_bytes(data) for data in (*made.image, *made.mask)))
    mask = server.get(f"/studies/{study_of(server, made.image[0].StudyInstanceUID)}").json()["Series"]
    key = next(k for k in mask if "mask" in server.get(f"/series/{k}").json()["MainDicomTags"]["SeriesDescription"])
    action = f"{server.url}/mask2seg/series/{key}/convert"
    form = f'<form method="post" action="{action}"><input type="submit" value="go"></form>'
    login = {"username": server.username, "password": server.password}
    context = chromium.new_context(http_credentials=login, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    page.route(f"{server.url}/form.html", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.route("http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{server.url}/system")  # the browser holds the login from now on

    page.goto("http://evil.example/")
    with page.expect_navigation():
        page.get_by_role("button").click()
    expect(page.locator("body")).to_contain_text("page of another site")
    assert server.ask("GET", f"/series/{key}").json()["job"] is None

    page.goto(f"{server.url}/form.html")
    with page.expect_navigation():
        page.get_by_role("button").click()
    assert re.fullmatch(r".*/mask2seg/jobs/[0-9a-f]{24}\.html", page.url)
    expect(page.locator("main")).to_contain_text("Converted", timeout=SLOW_MS)
    page.get_by_role("link", name="The segmentation").wait_for()
    target = page.get_by_role("link", name="The segmentation").get_attribute("href")
    assert target is not None
    assert target.rpartition("=")[2] in server.segs()
    picture = page.get_by_alt_text("Three planes through each segment")
    picture.scroll_into_view_if_needed()
    address = f"{server.url}/mask2seg/jobs/{page.url.rpartition('/')[2].removesuffix('.html')}/pictures/sheet.png"
    shown = context.request.get(address)
    assert (shown.status, shown.headers["content-type"]) == (200, "image/png"), shown.text()
    assert shown.body().startswith(b"\x89PNG")
    context.close()


def test_a_service_that_is_down_is_said(server: PluginOrthanc, page: Page) -> None:
    """The last test of a server: its service is stopped for as long as it takes."""
    made = study(seed=6)
    server.send(*(to_bytes(data) for data in (*made.image, *made.mask)))
    key = study_of(server, made.image[0].StudyInstanceUID)
    show(page, server, "study", key)
    visible(page, "#mask2seg-study-convert")
    for pid in server.service_pids():
        end(pid, 9)
    page.locator("#mask2seg-study-convert").click()
    expect(page.locator("#mask2seg-study-convert")).to_have_text("Failed", timeout=SLOW_MS)
    expect(page.locator("#mask2seg-study")).to_contain_text("The mask2seg service")


def address(key: str) -> str:
    return f"explorer.html?mask2seg={key}#series?uuid={key}"


def screenshot(pytestconfig: pytest.Config, name: str) -> Path:
    """Where a picture goes; looked at by people."""
    return pytestconfig.rootpath / ".state" / "browser" / f"{name}.png"
