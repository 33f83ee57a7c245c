"""OHIF shows the RTSTRUCT of a mask where it shows its SEG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import requests
from playwright.sync_api import Browser
from pydicom import dcmread

from tests.browser.ohif.conftest import DEMO, MANY, OBLIQUE, PLAIN, Site
from tests.browser.ohif.samples import Sample, convert
from tests.browser.ohif.test_ohif import NEWEST, check
from tests.browser.ohif.viewer import Viewer


@pytest.mark.parametrize(
    "kind", [PLAIN, DEMO, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (OBLIQUE, MANY))]
)
def test_segmentation_and_contours_of_one_mask_lie_at_one_place(
    kind: str, samples: dict[str, Sample], chromium: Browser, site: Site, tmp_path: Path,
    pictures: Path | None, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """Both are opened from the list of series, and what the viewer holds of each is the truth, voxel by voxel."""
    sample, where = samples[kind], site(NEWEST, "trixie")
    seg = convert(sample, tmp_path / "seg.dcm", "--to", "seg,rtstruct")
    for file in sorted(tmp_path.glob("*.dcm")):
        key = where.orthanc.post("/instances", file.read_bytes()).json()["ID"]
        request.addfinalizer(_deletion(where.orthanc.url, where.orthanc.auth, key))
    with_seg, with_contours = (_opened(chromium, where.url, seg, request) for _ in range(2))
    with_seg.show("SEG")
    check(with_seg, sample, seg)
    with_contours.show("RTSTRUCT")
    labels, polygons = with_contours.contours()
    assert labels == {number: shown.label for number, shown in with_seg.held().items()}
    for number, truth in enumerate(sample.truths, start=1):
        assert np.array_equal(truth.filled(polygons.get(number, [])), truth.inside), labels[number]
    if pictures and kind == DEMO:
        with_contours.photograph(pictures / "ohif-rtstruct.png")


def _opened(chromium: Browser, url: str, seg: Path, request: pytest.FixtureRequest) -> Viewer:
    viewer = Viewer(chromium, url)
    request.addfinalizer(viewer.close)
    viewer.open(str(dcmread(seg, stop_before_pixels=True).StudyInstanceUID), derived=2)
    return viewer


def _deletion(url: str, auth: tuple[str, str], key: str) -> Callable[[], None]:
    return lambda: requests.delete(f"{url}/instances/{key}", auth=auth, timeout=60).raise_for_status()
