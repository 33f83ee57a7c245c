"""The service on a real Orthanc: what arrives is converted by itself, once, and nothing else is touched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from orthanc_server import OrthancServer

from orthanc_mask2seg.jobs.reader import JobReader
from tests.builders import study, to_bytes
from tests.truth import Case, cases, complaints, in_a_known_class, read_with_dcmqi, read_with_highdicom, same

PROGRAM = Path(sys.executable).parent / "mask2seg"
PATIENCE_S = 120


class Service:
    """`mask2seg serve` as a process of its own."""

    def __init__(self, folder: Path, server: OrthancServer, **settings: object) -> None:
        self.folder = folder
        self.configuration = folder / "mask2seg.json"
        section = {
            "OrthancUrl": server.url, "OrthancUsername": server.username, "OrthancPassword": server.password,
            "State": "state", "StatusPort": 0, "PartialRestSeconds": 4.0, "ScanSeconds": 3.0,
        } | settings  # fmt: skip
        self.configuration.write_text(json.dumps({"Mask2Seg": section}))
        self.log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            before = self.said().count(" serving ")
            self.process = subprocess.Popen([PROGRAM, "serve", "-c", self.configuration], stdout=log, stderr=log)
        until(lambda: self.said().count(" serving ") > before, "the service to start")

    def end(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(15)

    def jobs(self) -> list[dict[str, Any]]:
        """What `mask2seg jobs list` reads; tests look often, and a process for every look takes long."""
        with closing(JobReader(self.folder / "state")) as reader:
            found: list[dict[str, Any]] = json.loads(json.dumps([job.document() for job in reader.list()]))
        return found

    def listed(self) -> list[dict[str, Any]]:
        """What `mask2seg jobs list` prints."""
        done = subprocess.run(
            [PROGRAM, "jobs", "list", "--json", "-c", self.configuration],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        found: list[dict[str, Any]] = json.loads(done.stdout)["jobs"]
        return found

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def service(tmp_path: Path, orthanc: OrthancServer) -> Iterator[Service]:
    made = Service(tmp_path, orthanc)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(10)


class Pacs:
    """What a person with curl can do."""

    def __init__(self, server: OrthancServer) -> None:
        self.url = server.url
        self.session = requests.Session()
        self.session.auth = (server.username, server.password)
        self.session.headers["Accept-Encoding"] = "identity"

    def get(self, path: str) -> Any:
        answer = self.session.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def send(self, *contents: bytes) -> None:
        for content in contents:
            self.session.post(f"{self.url}/instances", data=content, timeout=30).raise_for_status()

    def series(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/series?expand")
        return found

    def segs(self) -> list[dict[str, Any]]:
        return [s for s in self.series() if s["MainDicomTags"]["Modality"] == "SEG"]

    def digests(self) -> dict[str, str]:
        """Instance to MD5 of what Orthanc holds."""
        answer = {}
        for instance in self.get("/instances"):
            path = f"{self.url}/instances/{instance}/attachments/dicom/md5"
            answer[instance] = self.session.get(path, timeout=30).text
        return answer


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.2)


def files_of(case: Case) -> list[bytes]:
    folders = [case.folder / "ct", *case.mask_folders]
    return [p.read_bytes() for folder in folders for p in sorted(folder.rglob("*.dcm"))]


def test_set_a_is_converted_by_itself(
    service: Service, orthanc: OrthancServer, set_a: Path, tmp_path: Path, dicom3tools: Any
) -> None:
    """Ten real cases are uploaded; every SEG appears, its voxels are the truth, and a restart adds nothing."""
    pacs, found = Pacs(orthanc), cases(set_a)
    service.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda case: pacs.send(*files_of(case)), found))
    originals = {k: v for k, v in pacs.digests().items() if k not in {i for s in pacs.segs() for i in s["Instances"]}}
    wanted = sum(len(case.mask_folders) for case in found)
    until(lambda: len(pacs.segs()) == wanted, f"{wanted} SEGs")
    for case in found:
        check_case(pacs, case, tmp_path / case.folder.name, dicom3tools)

    before = sorted(s["ID"] for s in pacs.segs())
    until(lambda: all(j["state"] == "done" for j in service.jobs()), "all jobs done")
    jobs = len(service.jobs())
    assert service.listed() == service.jobs()
    assert service.end() == 0
    service.start()
    time.sleep(6)  # two scans
    assert sorted(s["ID"] for s in pacs.segs()) == before
    assert len(service.jobs()) == jobs
    assert {k: v for k, v in pacs.digests().items() if k in originals} == originals, "the originals are untouched"


def check_case(pacs: Pacs, case: Case, folder: Path, dicom3tools: Any) -> None:
    """SEGs of one case, as Orthanc holds them."""
    folder.mkdir()
    uid = case.document["ct_series"][0]["series_uid"]
    study_id = next(s["ParentStudy"] for s in pacs.series() if s["MainDicomTags"]["SeriesInstanceUID"] == uid)
    with_highdicom, with_dcmqi = [], []
    own = [s for s in pacs.segs() if s["ParentStudy"] == study_id]
    assert len(own) == len(case.mask_folders)
    for number, series in enumerate(own):
        (instance,) = series["Instances"]
        file = folder / f"{number}.dcm"
        file.write_bytes(pacs.session.get(f"{pacs.url}/instances/{instance}/file", timeout=30).content)
        with_highdicom += read_with_highdicom(file)
        with_dcmqi += read_with_dcmqi(file, folder / f"dcmqi{number}")
        known = in_a_known_class(file, folder / f"known{number}.dcm")
        assert complaints(dicom3tools.dcentvfy, known, *case.source_files()) == set()
    assert same(with_highdicom, case.segments()), case.folder.name
    assert same(with_dcmqi, case.segments()), case.folder.name


def test_killed_in_the_middle_it_forgets_and_repeats_nothing(service: Service, orthanc: OrthancServer) -> None:
    """kill -9 at any moment: after the next start every mask has its one SEG."""
    pacs = Pacs(orthanc)
    studies = [study(seed=seed) for seed in range(8)]
    service.start()
    for made in studies:
        pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
        time.sleep(0.4)
        service.end(signal.SIGKILL)
        service.start()
    until(lambda: len(pacs.segs()) == len(studies), "a SEG for every mask")
    time.sleep(4)
    assert len(pacs.segs()) == len(studies)


def test_the_first_start_says_what_the_doctor_finds(tmp_path: Path, orthanc: OrthancServer) -> None:
    """Once for a state folder."""
    service = Service(tmp_path, orthanc)
    found = subprocess.run(
        [PROGRAM, "doctor", "--json", "-c", service.configuration], capture_output=True, text=True, check=False
    ).stdout
    wrong = [one for one in json.loads(found)["pacs"] if one["level"] != "ok" and not one["code"].startswith("service")]
    assert wrong
    for _ in range(2):
        service.start()
        assert service.end() == 0
    said = service.said()
    assert said.count("First start with Orthanc") == 1
    assert all(said.count(f"({one['code']})") == 1 for one in wrong), said


def test_orthanc_comes_later(service: Service, orthanc: OrthancServer) -> None:
    """The service starts without its PACS, says so, and goes on when it comes."""
    pacs, made = Pacs(orthanc), study()
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    orthanc.stop()
    service.start()
    until(lambda: "waiting for Orthanc" in service.said(), "a word that it waits")
    orthanc.start()
    until(lambda: len(pacs.segs()) == 1, "the SEG")
    assert "Orthanc is there" in service.said()


def test_the_mask_may_come_before_its_source(service: Service, orthanc: OrthancServer) -> None:
    """Refused at first, converted when the images arrive."""
    pacs, made = Pacs(orthanc), study()
    service.start()
    pacs.send(*(to_bytes(d) for d in made.mask))
    until(lambda: any((j["result"] or {}).get("outcome") for j in service.jobs()), "a first verdict")
    assert not pacs.segs()
    pacs.send(*(to_bytes(d) for d in made.image))
    until(lambda: len(pacs.segs()) == 1, "the SEG")


def test_more_slices_supersede(service: Service, orthanc: OrthancServer) -> None:
    """A partial mask is converted after its rest; when the missing slices come, only the full SEG is left."""
    pacs, made = Pacs(orthanc), study()
    service.start()
    pacs.send(*(to_bytes(d) for d in made.image), *(to_bytes(d) for d in made.mask[:4]))
    until(lambda: len(pacs.segs()) == 1, "the SEG of the partial mask")
    first = pacs.segs()[0]["ID"]
    pacs.send(*(to_bytes(d) for d in made.mask[4:]))
    until(lambda: [s["ID"] for s in pacs.segs()] not in ([], [first]) and len(pacs.segs()) == 1, "the full SEG alone")


def test_a_wrong_password_is_said(tmp_path: Path, orthanc: OrthancServer) -> None:
    """It waits, and tells what to mend, without the password."""
    service = Service(tmp_path, orthanc, OrthancPassword="wrong secret")
    service.start()
    try:
        until(lambda: "credentials" in service.said() or "password" in service.said().lower(), "a word about it")
        assert "wrong secret" not in service.said()
    finally:
        assert service.end() == 0


def test_nothing_of_the_patient_is_logged(service: Service, orthanc: OrthancServer) -> None:
    """Names and identifiers of patients stay out of the log and the jobs."""
    pacs, made = Pacs(orthanc), study()
    for data in (*made.image, *made.mask):
        data.PatientName, data.PatientID, data.AccessionNumber = "Canary^Name", "CANARYID", "CANARYACC"
    service.start()
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    until(lambda: len(pacs.segs()) == 1, "the SEG")
    assert "canary" not in (service.said() + json.dumps(service.jobs())).lower()
