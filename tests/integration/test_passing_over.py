"""A study with 2000 ordinary series on a real Orthanc is passed over at a cost of at most two requests a series."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from orthanc_server import OrthancServer
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.pacs.orthanc_http import OrthancHttp
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.service.sieve import passes_over
from tests.builders import Grid, image_series, mask_series, set_pixels, to_bytes

SERIES = 2000
MOST_REQUESTS = 2.0

MODALITIES = ["CT", "MR", "PT", "CT", "SR", "US", "SEG", "NM", "CR", "RTSTRUCT", "MR", "PR", "KO", "CT", "DX", "SC"]
"""What an ordinary study holds; over and over."""

WITHOUT_PIXELS = {"SR", "RTSTRUCT", "PR", "KO"}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts every request that leaves for Orthanc, of the index and of the files, repeated ones included."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def counting(name: str, send):
        def sent(self, *arguments, **more):
            with lock:
                counts[name] += 1
            return send(self, *arguments, **more)

        return sent

    monkeypatch.setattr(OrthancHttp, "_requested", counting("files", OrthancHttp._requested))
    monkeypatch.setattr(OrthancHttp, "_asked", counting("index", OrthancHttp._asked))
    return counts


def ordinary_series() -> list[bytes]:
    """One tiny instance of each series."""
    grid = Grid(rows=16, columns=16, planes=1)
    template = to_bytes(image_series(grid)[0])
    noise = np.random.default_rng(3).normal(1000, 60, (SERIES, 16, 16)).clip(0, 4095).astype(np.uint16)
    files = []
    for number, pixels in enumerate(noise):
        data = dcmread(io.BytesIO(template))
        data.Modality = MODALITIES[number % len(MODALITIES)]
        data.SeriesInstanceUID, data.SeriesNumber = f"1.2.3.4.{number}", number
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}.1"
        data.SeriesDescription = f"{data.Modality} series"
        set_pixels(data, pixels)
        _settle(data)
        files.append(to_bytes(data))
    return files


def _settle(data: Dataset) -> None:
    if data.Modality in WITHOUT_PIXELS:
        del data.PixelData
    if data.Modality == "SEG":
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SegmentationStorage


def test_two_thousand_ordinary_series_cost_two_requests_each(orthanc: OrthancServer, counted: Counter[str]) -> None:
    """All are passed over, the one mask among them is not, and the number of requests is counted on the way."""
    image = image_series(Grid(rows=16, columns=16, planes=1), seed=9)
    labels = np.zeros((1, 16, 16), np.uint16)
    labels[0, 4:9, 5:11] = 1
    mask = mask_series(image, labels, own_uids=True)
    files = [*ordinary_series(), to_bytes(mask[0])]
    _upload(orthanc, files)
    counts: Counter[str | None] = Counter()
    started = time.monotonic()
    with OrthancArchive(orthanc.url, *orthanc.auth) as archive:
        for series in archive.all_series():
            counts[passes_over(archive, series, Settings())] += 1
    seconds = time.monotonic() - started
    per_series = counted.total() / len(files)
    print(f"{len(files)} series, {dict(counted)} requests, {per_series:.2f} a series, {seconds:.1f} s, {dict(counts)}")
    assert counts.total() == len(files)
    assert counts[None] == 1, "the mask, and nothing but the mask, is left for a job"
    assert per_series <= MOST_REQUESTS


def _upload(orthanc: OrthancServer, files: list[bytes]) -> None:
    local = threading.local()

    def send(content: bytes) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.auth = orthanc.auth
        local.session.post(f"{orthanc.url}/instances", data=content, timeout=60).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, files))
