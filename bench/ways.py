"""The ways that are compared: each fetches a mask and its source from Orthanc, makes a SEG, and stores it.

What a way needs is imported, and warmed up as far as it can be, before its clock starts; see `bench.run`.
"""

from __future__ import annotations

import atexit
import io
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the study is."""

    url: str
    user: str
    password: str
    image_uid: str
    mask_uid: str
    labels: int
    seg: str = ""
    """File of the SEG that the floor sends."""

    @property
    def auth(self) -> tuple[str, str]:
        """User and password."""
        return self.user, self.password

    def series(self, uid: str) -> tuple[str, list[str]]:
        """Orthanc's identifier of a series and of its instances."""
        found = requests.post(f"{self.url}/tools/lookup", data=uid, auth=self.auth, timeout=60).json()
        key = next(entry["ID"] for entry in found if entry["Type"] == "Series")
        return key, requests.get(f"{self.url}/series/{key}", auth=self.auth, timeout=60).json()["Instances"]

    def store(self, content: bytes) -> str:
        """Store a SEG."""
        answer = requests.post(f"{self.url}/instances", data=content, auth=self.auth, timeout=600)
        answer.raise_for_status()
        return str(answer.json()["ID"])


Way = Callable[[], str]
"""Does it; Orthanc's identifier of the SEG."""


def floor(site: Site) -> Way:
    """Bytes of the mask, headers of the source, POST of the final SEG: no computing."""
    import urllib3  # noqa: PLC0415

    content = Path(site.seg).read_bytes()
    headers = {**urllib3.make_headers(basic_auth=f"{site.user}:{site.password}"), "Accept-Encoding": "identity"}
    pool = urllib3.connection_from_url(site.url, maxsize=4, block=True)

    def get(key: str, part: dict[str, str]) -> int:
        path = f"/instances/{key}/attachments/dicom/data"
        return len(pool.request("GET", path, headers={**headers, **part}).data)

    def run() -> str:
        _, masks = site.series(site.mask_uid)
        _, images = site.series(site.image_uid)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda key: get(key, {"Range": "bytes=0-4095"}), images))
            list(threads.map(lambda key: get(key, {}), masks))
        answer = pool.request("POST", "/instances", body=content, headers=headers)
        return str(answer.json()["ID"])

    return run


def us(site: Site) -> Way:
    """The pipeline of this project, in a process that is warm."""
    from orthanc_mask2seg.core.encode import warm_up  # noqa: PLC0415

    warm_up()  # before the rest is imported, as the process that works for the service does
    from orthanc_mask2seg.config import Settings  # noqa: PLC0415
    from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive  # noqa: PLC0415
    from orthanc_mask2seg.service import pipeline  # noqa: PLC0415

    archive = OrthancArchive(site.url, *site.auth)
    archive.system()
    settings = Settings(viewers=("ohif", "dcmqi"))

    def run() -> str:
        masks = (archive.find_series(site.mask_uid),)
        ended = pipeline.run(archive, pipeline.Task(masks=masks), settings)
        assert not isinstance(ended, pipeline.NotYet)
        assert ended[0].outcome == "converted", ended
        return str(ended[0].outputs[0].orthanc_id)

    return run


def service(site: Site) -> Way:
    """`mask2seg serve`, asked as the button in Orthanc Explorer asks it; it has converted the mask once by itself."""
    folder = Path(tempfile.mkdtemp(prefix="mask2seg-bench-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    section = {"OrthancUrl": site.url, "OrthancUsername": site.user, "OrthancPassword": site.password,
               "State": "state", "StatusPort": port, "Viewers": ["ohif", "dcmqi"]}  # fmt: skip
    (folder / "mask2seg.json").write_text(json.dumps({"Mask2Seg": section}))
    words = [Path(sys.executable).parent / "mask2seg", "serve", "-c", folder / "mask2seg.json"]
    process = subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(process.wait)
    atexit.register(process.terminate)
    door = f"http://127.0.0.1:{port}"
    key, _ = site.series(site.mask_uid)

    def ended(job: str) -> dict[str, Any]:
        while True:
            document: dict[str, Any] = requests.get(f"{door}/jobs/{job}", timeout=60).json()
            if document["state"] not in {"waiting", "running"}:
                return document
            time.sleep(0.01)

    def run() -> str:
        asked = requests.post(f"{door}/series/{key}/convert", timeout=60).json()
        result = ended(asked["id"])["result"]
        assert result["outcome"] == "converted", result
        return str(result["outputs"][0]["orthanc_id"])

    while True:  # until it serves, and has converted what was there
        try:
            jobs = requests.get(f"{door}/series/{key}", timeout=60).json()
        except requests.ConnectionError:
            jobs = {}
        if (jobs.get("job") or {}).get("state") == "done":
            made = jobs["job"]["result"]["outputs"][0]["orthanc_id"]
            requests.delete(f"{site.url}/instances/{made}", auth=site.auth, timeout=60)
            return run
        if process.poll() is not None:
            raise SystemExit((folder / "log").read_text())
        time.sleep(0.2)


def cold(site: Site) -> Way:
    """`mask2seg convert` from the start of its process."""
    command = [str(Path(sys.executable).parent / "mask2seg"), "convert", site.mask_uid, "--json"]
    environment = {
        "MASK2SEG_ORTHANC_URL": site.url,
        "MASK2SEG_ORTHANC_USERNAME": site.user,
        "MASK2SEG_ORTHANC_PASSWORD": site.password,
        "MASK2SEG_VIEWERS": '["ohif", "dcmqi"]',
        "PATH": "/usr/bin:/bin",
    }

    def run() -> str:
        done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        return str(json.loads(done.stdout)["outputs"][0]["orthanc_id"])

    return run


def tutorial(site: Site) -> Way:
    """Pyorthanc's get_pydicom of both series one after the other, highdicom, POST."""
    import highdicom as hd  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import pyorthanc  # noqa: PLC0415

    def run() -> str:
        client = pyorthanc.Orthanc(site.url, *site.auth, timeout=600)
        stacks = []
        for uid in (site.image_uid, site.mask_uid):
            slices = [pyorthanc.Instance(key, client).get_pydicom() for key in site.series(uid)[1]]
            stacks.append(sorted(slices, key=lambda data: float(data.ImagePositionPatient[2])))
        images, masks = stacks
        pixels = np.stack([data.pixel_array for data in masks]).astype(np.uint8)
        return site.store(encode_highdicom(images, pixels, site.labels, hd))

    return run


def encode_highdicom(images: list, pixels: object, labels: int, hd: object) -> bytes:  # type: ignore[type-arg]
    """A BINARY SEG as highdicom's user guide makes it."""
    from pydicom.sr.codedict import codes  # noqa: PLC0415

    segments = [
        hd.seg.SegmentDescription(  # type: ignore[attr-defined]
            segment_number=number,
            segment_label=f"organ {number}",
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type="MANUAL",
        )
        for number in range(1, labels + 1)
    ]
    seg = hd.seg.Segmentation(  # type: ignore[attr-defined]
        source_images=images,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),  # type: ignore[attr-defined]
        series_number=100,
        sop_instance_uid=hd.UID(),  # type: ignore[attr-defined]
        instance_number=1,
        manufacturer="bench",
        manufacturer_model_name="bench",
        software_versions="1",
        device_serial_number="1",
    )
    target = io.BytesIO()
    seg.save_as(target)
    return target.getvalue()


def dcmqi(site: Site) -> Way:
    """Both series downloaded as files, SimpleITK to NRRD, itkimage2segimage, POST."""
    import SimpleITK  # noqa: PLC0415

    def download(uid: str, folder: Path) -> None:
        folder.mkdir()
        with requests.Session() as session:
            session.auth, session.headers["Accept-Encoding"] = site.auth, "identity"
            for number, key in enumerate(site.series(uid)[1]):
                content = session.get(f"{site.url}/instances/{key}/file", timeout=60).content
                (folder / f"{number}.dcm").write_bytes(content)

    def run() -> str:
        with tempfile.TemporaryDirectory(prefix="mask2seg-bench-") as name:
            folder = Path(name)
            download(site.image_uid, folder / "image")
            download(site.mask_uid, folder / "mask")
            names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / "mask"))
            volume = SimpleITK.Cast(SimpleITK.ReadImage(names) + 1024, SimpleITK.sitkUInt8)  # the copied intercept
            SimpleITK.WriteImage(volume, str(folder / "mask.nrrd"))
            return site.store(encode_dcmqi(folder / "mask.nrrd", folder / "image", folder, site.labels))

    return run


def encode_dcmqi(mask: Path, images: Path, folder: Path, labels: int) -> bytes:
    """A BINARY SEG made by itkimage2segimage."""
    code = {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}
    organ = {"CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure"}
    segments = [
        {
            "labelID": label,
            "SegmentDescription": f"organ {label}",
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": organ,
            "SegmentedPropertyTypeCodeSequence": code,
        }
        for label in range(1, labels + 1)
    ]
    meta = {"ContentCreatorName": "bench", "SeriesDescription": "bench", "SeriesNumber": "100", "InstanceNumber": "1",
            "BodyPartExamined": "", "segmentAttributes": [segments]}  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta))
    words = ["--inputImageList", mask, "--inputDICOMDirectory", images, "--inputMetadata", folder / "meta.json",
             "--outputDICOM", folder / "seg.dcm", "--skip"]  # fmt: skip
    tool = Path(sys.executable).parent / "itkimage2segimage"
    subprocess.run([str(w) for w in (tool, *words)], check=True, capture_output=True)
    return (folder / "seg.dcm").read_bytes()


WAYS = {"floor": floor, "us": us, "service": service, "cold": cold, "tutorial": tutorial, "dcmqi": dcmqi}
