"""The real Orthanc that all integration tests stand on, and the tools that check what comes out."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from orthanc_server import OrthancServer
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

HERE = Path(__file__).resolve().parent


def ct_slice() -> bytes:
    """One small CT slice as a file."""
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID = generate_uid()
    image.SeriesInstanceUID = generate_uid()
    image.PatientID = "orthanc-server-test"
    image.Modality = "CT"
    image.Rows = image.Columns = 16
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.PixelData = np.arange(256, dtype="<i2").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_is_the_version_that_we_support(orthanc: OrthancServer) -> None:
    assert orthanc.get("/system").json()["Version"] == "1.12.7"


def test_asks_for_the_password(orthanc: OrthancServer) -> None:
    assert requests.get(f"{orthanc.url}/system", timeout=10).status_code == 401
    assert requests.get(f"{orthanc.url}/system", auth=(orthanc.username, "wrong"), timeout=10).status_code == 401


def test_dicomweb_answers(orthanc: OrthancServer) -> None:
    assert orthanc.get("/dicom-web/studies").json() == []
    orthanc.post("/instances", ct_slice())
    (study,) = orthanc.get("/dicom-web/studies", PatientID="orthanc-server-test").json()
    assert study["00100020"]["Value"] == ["orthanc-server-test"]


def test_keeps_what_it_acknowledged_over_a_power_cut(orthanc: OrthancServer) -> None:
    sent = ct_slice()
    key = orthanc.post("/instances", sent).json()["ID"]
    orthanc.kill()
    assert not orthanc.running
    with pytest.raises(requests.ConnectionError):
        orthanc.get("/system")
    orthanc.start()
    assert orthanc.get(f"/instances/{key}/file").content == sent


def test_restarts_at_the_same_address(orthanc: OrthancServer) -> None:
    before = orthanc.url
    begin = time.monotonic()
    orthanc.restart()
    assert orthanc.url == before
    assert orthanc.get("/system").ok
    assert time.monotonic() - begin < 20


def test_takes_other_settings(tmp_path: Path) -> None:
    server = OrthancServer(tmp_path, plugins=(), settings={"Name": "another", "OverwriteInstances": True})
    try:
        system = server.start().get("/system").json()
        assert system["Name"] == "another"
        assert system["OverwriteInstances"] is True
        assert "dicom-web" not in server.get("/plugins").json()
    finally:
        server.stop()


def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    server = OrthancServer(tmp_path, plugins=("libNoSuchPlugin.so",))
    with pytest.raises(RuntimeError, match="libNoSuchPlugin"):
        server.start()
    assert not server.running


def test_dies_with_the_test_runner(tmp_path: Path) -> None:
    """However the test runner ends, no Orthanc stays behind: here it is killed."""
    script = f"""
        import sys, time
        sys.path[:0] = {[str(HERE.parent), str(HERE.parent.parent / "scripts")]}
        from pathlib import Path
        from orthanc_server import OrthancServer
        print(OrthancServer(Path({str(tmp_path)!r})).start().url, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        url = runner.stdout.readline().strip()
        assert requests.get(f"{url}/system", timeout=10).status_code == 401
        runner.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/system", timeout=5)
        except requests.ConnectionError:
            return
        time.sleep(0.1)
    pytest.fail("Orthanc outlived the test runner")


def test_the_checker_finds_what_is_wrong(tmp_path: Path, dicom3tools: Any) -> None:
    file = tmp_path / "ct.dcm"
    file.write_bytes(ct_slice())
    checked = subprocess.run([dicom3tools.dciodvfy, file], capture_output=True, text=True, check=False)
    assert "CTImage" in checked.stderr
    assert "Error - Missing attribute Type 1" in checked.stderr
