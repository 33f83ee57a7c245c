"""The page that says what would become of a series."""

from __future__ import annotations

import dataclasses
from typing import Any

from starlette.testclient import TestClient

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveUnreachable
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.explaining import explained
from orthanc_mask2seg.web.page import create_app
from tests.builders import study
from tests.unit.web.test_page import service

TOKEN = "t" * 32
OURS = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}


def browser(explain: Any, *, logged_in: bool = True) -> TestClient:
    state = dataclasses.replace(service(token=TOKEN), explain=explain)
    opened = TestClient(create_app(state), base_url="http://127.0.0.1", headers=OURS)
    if logged_in:
        opened.post("/login", data={"token": TOKEN})
    return opened


def trial(archive: MemoryArchive) -> Any:
    return lambda mask, source: explained(archive, mask, source, Settings())


def test_a_series_is_tried_and_nothing_is_stored() -> None:
    made = study()
    archive = made.archive()
    before = sorted(series.key for series in archive.all_series())
    opened = browser(trial(archive))
    assert "Try a series" in opened.get("/").text
    assert "Nothing is stored" in opened.get("/try").text
    page = opened.post("/try", data={"mask": str(made.mask[0].SeriesInstanceUID), "source": ""})
    assert page.status_code == 200
    for text in ("would be converted", "chosen", str(made.image[0].SeriesInstanceUID), "(ml)"):
        assert text in page.text, text
    refused = opened.post(
        "/try", data={"mask": made.image[0].SeriesInstanceUID, "source": made.mask[0].SeriesInstanceUID}
    )
    assert "would be refused" in refused.text
    assert sorted(series.key for series in archive.all_series()) == before


def test_what_is_no_series_is_said() -> None:
    opened = browser(trial(MemoryArchive()))
    assert opened.post("/try", data={"mask": "1.2.3"}).status_code == 404
    for words in ({}, {"mask": " "}, {"mask": "1" * 65}, {"mask": "1", "source": "<b>" * 30}):
        page = opened.post("/try", data=words)
        assert page.status_code == 400
        assert "<b>" not in page.text

    def away(_mask: str, _source: str) -> Any:
        raise ArchiveUnreachable

    page = browser(away).post("/try", data={"mask": "1.2.3"})
    assert (page.status_code, "archive_unreachable" in page.text) == (503, True)


def test_it_is_for_those_who_have_logged_in() -> None:
    made = study()
    stranger = browser(trial(made.archive()), logged_in=False)
    assert stranger.get("/try").status_code == 403
    assert stranger.post("/try", data={"mask": "1.2.3"}).status_code == 403
    assert "Try a series" not in stranger.get("/").text
    assert browser(None).get("/try").status_code == 403
