"""The watcher that everybody writes first: poll `since=Last`, convert with highdicom, POST.

    python -m tests.faults.naive STATE URL USER PASSWORD

It means well: it waits for StableSeries, keeps its place in a file, and goes on after an exception. The battery must
see it lose and duplicate, or it sees nothing.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import highdicom
import numpy as np
import requests
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid


class Naive:
    """One Orthanc, watched."""

    def __init__(self, state: Path, url: str, user: str, password: str) -> None:
        self._url, self._place = url, state / "last"
        self._session = requests.Session()
        self._session.auth = (user, password)
        self._session.headers["Accept-Encoding"] = "identity"

    def watch(self) -> None:
        """Go on for ever."""
        while True:
            try:
                self._poll()
            except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
                print(f"{type(error).__name__}; going on", flush=True)
            time.sleep(0.5)

    def _poll(self) -> None:
        since = int(self._place.read_text()) if self._place.exists() else 0
        page = self._get(f"/changes?since={since}&limit=20").json()
        for change in page["Changes"]:
            if change["ChangeType"] == "StableSeries":
                try:
                    self._convert(change["ID"])
                except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
                    print(f"{type(error).__name__} at a series; next", flush=True)
        self._place.write_text(str(page["Last"]))

    def _convert(self, series: str) -> None:
        record = self._get(f"/series/{series}").json()
        mask = self._instances(record)
        values = {int(v) for data in mask for v in np.unique(data.pixel_array)}
        if record["MainDicomTags"]["Modality"] == "SEG" or len(values) > 4:
            return
        for other in self._get(f"/studies/{record['ParentStudy']}/series").json():
            if other["ID"] != series and other["MainDicomTags"]["Modality"] == "CT":
                source = self._instances(other)
                if len(source) == len(mask) and len(np.unique(source[0].pixel_array)) > 4:
                    self._store(source, mask, sorted(values - {0}))
                    return

    def _store(self, source: list[Dataset], mask: list[Dataset], values: list[int]) -> None:
        pixels = np.stack([np.searchsorted([0, *values], data.pixel_array).astype(np.uint8) for data in mask])
        descriptions = [
            highdicom.seg.SegmentDescription(
                number,
                f"value {value}",
                codes.SCT.Organ,
                codes.SCT.Organ,
                highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number, value in enumerate(values, start=1)
        ]
        made = highdicom.seg.Segmentation(
            source, pixels, highdicom.seg.SegmentationTypeValues.BINARY, descriptions, generate_uid(), 500,
            generate_uid(), 1, "naive", "naive", "1", "1",
        )  # fmt: skip
        buffer = io.BytesIO()
        made.save_as(buffer)
        self._session.post(f"{self._url}/instances", data=buffer.getvalue(), timeout=5).raise_for_status()

    def _instances(self, record: dict[str, list[str]]) -> list[Dataset]:
        found = [dcmread(io.BytesIO(self._get(f"/instances/{i}/file").content)) for i in record["Instances"]]
        return sorted(found, key=lambda data: float(data.ImagePositionPatient[2]))

    def _get(self, path: str) -> requests.Response:
        answer = self._session.get(self._url + path, timeout=5)
        answer.raise_for_status()
        return answer


if __name__ == "__main__":
    Naive(Path(sys.argv[1]), *sys.argv[2:]).watch()
