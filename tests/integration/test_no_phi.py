"""Nothing of a patient leaves by a side door: canaries in every attribute, masks of every outcome, then a search."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from orthanc_server import OrthancServer, free_port
from pydicom import Dataset, dcmread

from tests.builders import Study, study, to_bytes
from tests.canaries import SHOWN, plant, sighted
from tests.integration.test_serve import PROGRAM, Pacs, Service, until
from tests.plugin_orthanc import PluginOrthanc

ENDED = {"done", "failed", "quarantined"}


def truncated(made: Study) -> None:
    made.mask[2].PixelData = made.mask[2].PixelData[:100]


def alone(made: Study) -> None:
    made.image.clear()


def elsewhere(made: Study) -> None:
    for data in made.mask:
        data.ImagePositionPatient = [900.0, 900.0, float(data.ImagePositionPatient[2])]


def not_a_number(made: Study) -> None:
    for data in made.mask:
        data.PixelSpacing = ["nan", "inf"]


def bomb(made: Study) -> None:
    for data in made.mask:
        data.Rows = data.Columns = 65535


def empty(made: Study) -> None:
    for data in made.mask:
        data.PixelData = bytes(len(data.PixelData))


def ambiguous(made: Study) -> None:
    for data in [dcmread_of(d) for d in made.image]:
        data.SeriesInstanceUID += ".9"
        data.SOPInstanceUID += ".9"
        made.image.append(data)
    for data in made.mask:
        data.SOPInstanceUID += ".7"
        data.SeriesDescription = "tumour mask"


def damaged(made: Study) -> None:
    for data in made.mask:
        data.add_new(0x00200032, "DS", "")
        data.ImageOrientationPatient = [0.0] * 6


def grey(made: Study) -> None:
    for number, data in enumerate(made.mask):
        data.PixelData = bytes((i * 37 + number) % 251 for i in range(len(data.PixelData)))


def dcmread_of(data: Dataset) -> Dataset:
    import io

    return dcmread(io.BytesIO(to_bytes(data)))


CASES: dict[str, Callable[[Study], None]] = {
    "converted": lambda _made: None,
    **{f.__name__: f for f in (truncated, alone, elsewhere, not_a_number, bomb, empty, ambiguous, damaged, grey)},
}


def studies() -> dict[str, Study]:
    """A study per case, full of canaries."""
    found = {}
    for number, (name, spoil) in enumerate(CASES.items()):
        made = study(seed=300 + number)
        for data in (*made.image, *made.mask):
            kept = {k: data[k] for k in ("SeriesDescription", "Manufacturer") if k in data}
            plant(data)
            data.SeriesDescription = kept["SeriesDescription"].value
        spoil(made)
        found[name] = made
    return found


def files_of(made: Study) -> list[bytes]:
    return [to_bytes(data) for data in (*made.image, *made.mask)]


@pytest.fixture
def service(tmp_path: Path, orthanc: OrthancServer) -> Iterator[Service]:
    nowhere = {"Kind": "dicomweb", "Name": "away", "Url": f"http://127.0.0.1:{free_port()}/dicom-web"}
    made = Service(
        tmp_path, orthanc, LogLevel="DEBUG", PartialRestSeconds=1, Destinations=[nowhere], StatusPort=free_port()
    )
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(10)


def everything_about(server: OrthancServer) -> list[bytes]:
    """Labels and metadata of all that an Orthanc holds: what we wrote there beside the SEG."""
    found = []
    for level in ("patients", "studies", "series", "instances"):
        for key in server.get(f"/{level}").json():
            record = server.get(f"/{level}/{key}").json()
            found.append(json.dumps(record.get("Labels", [])).encode())
            for name in server.get(f"/{level}/{key}/metadata").json():
                if name.isdigit() and int(name) >= 1024:
                    found.append(server.get(f"/{level}/{key}/metadata/{name}").content)
    return found


def said_by_the_command_line(service: Service, uids: list[str]) -> list[bytes]:
    found = []
    for words in (
        ["jobs", "list"], ["doctor"], ["backfill", "--dry-run"],
        *(["explain", uid] for uid in (uids[1], uids[7])), ["convert", uids[0], "--json"],
        ["jobs", "show", uids[-1]],
    ):  # fmt: skip
        done = subprocess.run(
            [PROGRAM, *words, "-c", service.configuration], capture_output=True, timeout=600, check=False
        )
        found += [done.stdout, done.stderr]
    return found


@pytest.mark.timeout(1500)
def test_the_service_and_the_command_line(service: Service, orthanc: OrthancServer, tmp_path: Path) -> None:
    """Log, state folder, status page, JSON, labels, metadata, terminal: only what `SHOWN` names, with its reason."""
    pacs, made = Pacs(orthanc), studies()
    service.start()
    for one in made.values():
        pacs.send(*files_of(one))
    until(lambda: len(pacs.segs()) >= 1, "a SEG", 300)
    port = json.loads(service.configuration.read_text())["Mask2Seg"]["StatusPort"]
    page = f"http://127.0.0.1:{port}"
    until(lambda: all_judged(listed(page), made), "all judged", 600)
    jobs = listed(page)
    paths = ["/", "/healthz", "/jobs", *(f"/jobs/{job['id']}" for job in jobs)]
    paths += [f"/{level}/{key}" for level in ("series", "studies") for key in orthanc.get(f"/{level}").json()]
    answers = {path: requests.get(page + path, timeout=120).content for path in paths}
    state = {str(file): file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()}
    uids = [str(one.mask[0].SeriesInstanceUID) for one in made.values()]
    places = {
        "the command line": said_by_the_command_line(service, [*uids, jobs[0]["id"]]),
        "the log": [service.said().encode()],
        "the state folder": list(state.values()),
        "the status page": list(answers.values()),
        "labels and metadata": everything_about(orthanc),
    }
    assert service.process is not None
    places["arguments"] = [Path(f"/proc/{service.process.pid}/cmdline").read_bytes()]
    secret = orthanc.password.encode()
    assert not [name for name, texts in places.items() if any(secret in text for text in texts)]
    assert len(state) >= 2
    assert any(b"refused" in text for text in state.values()), "the state is searched where it is"
    assert {"converted", "refused"} <= {(job["result"] or {}).get("outcome") for job in jobs}
    reasons = {job["result"]["reason"] for job in jobs if job["result"]} - {None}
    assert len(reasons) >= 5, reasons
    assert {name: sighted(*texts) - set(SHOWN) for name, texts in places.items()} == {name: set() for name in places}


def listed(page: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{page}/jobs", timeout=120).json()["jobs"]
    return found


def all_judged(jobs: list[dict[str, Any]], made: dict[str, Study]) -> bool:
    """Every mask has a job that ended; the delivery to nowhere may go on trying."""
    masks = {str(one.mask[0].SeriesInstanceUID) for name, one in made.items() if name != "grey"}
    ended = {j["request"]["series_instance_uid"] for j in jobs if j["result"] or j["state"] in ENDED}
    return masks <= ended


@pytest.mark.timeout(900)
def test_folders(tmp_path: Path) -> None:
    """The same without a PACS; names of files are the user's own."""
    said = []
    for name in ("converted", "truncated", "not_a_number", "ambiguous"):
        made, folder = studies()[name], tmp_path / name
        for kind, series in (("ct", made.image), ("mask", made.mask)):
            (folder / kind).mkdir(parents=True)
            for number, data in enumerate(series):
                (folder / kind / f"{number}.dcm").write_bytes(to_bytes(data))
        for more in ([], ["--json"]):
            done = subprocess.run(
                [PROGRAM, "convert", "--mask", folder / "mask", "--source", folder / "ct", "-o", folder / "out", *more],
                capture_output=True, timeout=600, check=False,
            )  # fmt: skip
            said += [done.stdout, done.stderr]
    assert any(b"refused" in text for text in said)
    assert any(b"converted" in text for text in said)
    assert sighted(*said) - set(SHOWN) == set()


@pytest.mark.timeout(900)
def test_the_plugin(tmp_path: Path) -> None:
    """Orthanc's own log, the plugin's routes, and the state in Orthanc's folder."""
    server = PluginOrthanc(tmp_path / "orthanc", "trixie", LogLevel="DEBUG")
    try:
        server.ready()
        for name in ("converted", "truncated", "elsewhere"):
            server.send(*files_of(studies()[name]))
        until(server.segs, "a SEG", 300)
        until(lambda: len([j for j in asked(server, "/jobs")["jobs"] if j["state"] == "done"]) >= 3, "all judged", 300)
        jobs = asked(server, "/jobs")["jobs"]
        paths = ["/", "/jobs", *(f"/jobs/{job['id']}" for job in jobs), *(f"/jobs/{job['id']}.html" for job in jobs)]
        answers = [server.ask("GET", path).content for path in paths]
        ours = "\n".join(line for line in server.log.splitlines() if "mask2seg" in line).encode()
        assert ours
        state = [file.read_bytes() for file in server.state.rglob("*") if file.is_file()]
        assert len(state) >= 2
    finally:
        server.stop()
    assert sighted(ours, *answers, *state) - set(SHOWN) == set()


def asked(server: PluginOrthanc, path: str) -> dict[str, Any]:
    document: dict[str, Any] = server.ask("GET", path).json()
    return document


def test_the_search_finds_what_is_there() -> None:
    """It can fail: a leak of any attribute would be seen."""
    made = studies()["converted"].mask[0]
    seen = sighted(to_bytes(made))
    assert {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName"} <= seen
    assert {"StudyDescription", "InstitutionName", "PatientComments", "private", "private1", "StudyTime"} <= seen
    assert len(seen) > 400
