"""Results go on to other archives: each destination by itself, once, whatever happens to the others."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from orthanc_server import OrthancServer, free_port
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from orthanc_mask2seg.addresses import Destination, DestinationKind, DicomwebAddress
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.pacs.dicomweb import DicomwebArchive
from orthanc_mask2seg.service.destinations import Deliveries
from tests.builders import study, to_bytes
from tests.integration.test_serve import Pacs, Service, until

PROGRAM = Path(sys.executable).parent / "mask2seg"


class Site:
    """An Orthanc with a peer, a DICOM node and a DICOMweb archive, each a real Orthanc of its own."""

    def __init__(self, folder: Path, suite: str) -> None:
        port = free_port()
        node = {"DicomServerEnabled": True, "DicomPort": port, "DicomAet": "NODE"}
        self.others = {
            "peer": OrthancServer(folder / "peer"),
            "modality": OrthancServer(folder / "node", settings=node),
            "dicomweb": OrthancServer(folder / "dicomweb"),
        }
        peer, web = self.others["peer"], self.others["dicomweb"]
        secret = folder / "secret"
        secret.write_text(f"{web.password}\n")
        self.pacs = OrthancServer(
            folder / "pacs",
            suite=suite,
            settings={
                "OrthancPeers": {"second": [peer.url, peer.username, peer.password]},
                "DicomModalities": {"node": ["NODE", "127.0.0.1", port]},
            },
        )
        self.destinations: list[dict[str, str]] = [
            {"Kind": "peer", "Name": "second"},
            {"Kind": "modality", "Name": "node"},
            {"Kind": "dicomweb", "Name": "third", "Url": f"{web.url}/dicom-web",
             "Username": web.username, "PasswordFile": "secret"},
        ]  # fmt: skip

    def segs(self, kind: str) -> list[dict[str, Any]]:
        return Pacs(self.others[kind]).segs()

    def kill(self) -> None:
        for server in (self.pacs, *self.others.values()):
            server.kill()


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, getattr(request, "param", "trixie"))
    try:
        made.pacs.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def service(site: Site, tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path, site.pacs, Destinations=site.destinations)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(10)


def send_a_study(site: Site, seed: int) -> str:
    made = study(seed=seed)
    Pacs(site.pacs).send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    return str(made.mask[0].SeriesInstanceUID)


def deliveries(service: Service) -> dict[str, dict[str, Any]]:
    return {job["request"]["destination"]: job for job in service.jobs() if job["request"]["destination"]}


def conversions(service: Service) -> list[dict[str, Any]]:
    return [job for job in service.jobs() if not job["request"]["destination"]]


@pytest.mark.parametrize(
    ("site", "down"),
    [
        ("trixie", "dicomweb"),
        pytest.param("bookworm", "modality", marks=pytest.mark.slow),
        pytest.param("sid", "peer", marks=pytest.mark.slow),
    ],
    indirect=["site"],
)
def test_one_that_is_down_gets_it_later_and_the_others_at_once(site: Site, service: Service, down: str) -> None:
    """The conversion is done meanwhile, and a restart of the service forgets nothing."""
    up = [kind for kind in site.others if kind != down]
    for kind in up:
        site.others[kind].start()
    service.start()
    send_a_study(site, seed=31)
    until(lambda: all(len(site.segs(kind)) == 1 for kind in up), "the SEG in those that are there", 60)
    (late,) = [label for label in deliveries(service) if label.startswith(down)]
    until(lambda: (deliveries(service)[late]["error"] or {}).get("outcome") == "failed", "a first attempt", 60)
    waiting = deliveries(service)[late]
    assert waiting["state"] in {"waiting", "running"}
    assert waiting["error"]["reason"] in {"archive_unreachable", "archive_busy"}
    assert [(job["state"], job["result"]["outcome"]) for job in conversions(service)] == [("done", "converted")]

    assert service.end() == 0
    service.start()
    site.others[down].start()
    until(lambda: len(site.segs(down)) == 1, "the SEG in the one that was down", 120)
    until(lambda: all(job["state"] == "done" for job in service.jobs()), "all jobs done")
    assert {job["result"]["outcome"] for job in deliveries(service).values()} == {"delivered"}
    assert len(deliveries(service)) == len(site.others)
    check(site)


def check(site: Site) -> None:
    """Every destination holds what the archive holds, once."""
    (seg,) = Pacs(site.pacs).segs()
    sent = site.pacs.get(f"/instances/{seg['Instances'][0]}/file").content
    for kind, server in site.others.items():
        (held,) = site.segs(kind)
        (instance,) = held["Instances"]
        content = server.get(f"/instances/{instance}/file").content
        if kind == "modality":  # group 2 is the receiver's
            assert dcmread(DicomBytesIO(content)) == dcmread(DicomBytesIO(sent))
        else:
            assert hashlib.sha256(content).digest() == hashlib.sha256(sent).digest()


def test_a_destination_that_nobody_knows_fails_alone_and_can_be_mended(site: Site, service: Service) -> None:
    """Orthanc has no such peer: said at once; once it has, the job is run again by hand."""
    for server in site.others.values():
        server.start()
    section = json.loads(service.configuration.read_text())
    section["Mask2Seg"]["Destinations"].append({"Kind": "peer", "Name": "nobody"})
    service.configuration.write_text(json.dumps(section))
    service.start()
    send_a_study(site, seed=33)
    label = "peer:nobody"
    until(lambda: deliveries(service).get(label, {}).get("state") == "failed", "the failure", 60)
    error = deliveries(service)[label]["error"]
    assert error["reason"] == "configuration_error"
    assert "nobody" in error["detail"]
    until(lambda: sum(job["state"] == "done" for job in service.jobs()) == 4, "all others")
    web = site.others["dicomweb"]
    body = {"Url": site.others["peer"].url, "Username": web.username, "Password": web.password}
    requests.put(f"{site.pacs.url}/peers/nobody", json=body, auth=site.pacs.auth, timeout=20).raise_for_status()
    job = deliveries(service)[label]["id"]
    subprocess.run([PROGRAM, "jobs", "retry", job, "-c", service.configuration], check=True, timeout=60)
    until(lambda: deliveries(service)[label]["state"] == "done", "the second attempt", 60)
    check(site)


def test_from_one_dicomweb_archive_to_another(site: Site) -> None:
    """Without Orthanc's REST API on either side; again is nothing more."""
    web = site.others["dicomweb"].start()
    (content,) = (to_bytes(data) for data in study(seed=35).mask[:1])
    with DicomwebArchive(address(site.pacs), 20) as here, DicomwebArchive(address(web), 20) as there:
        receipt = here.store(content)
        output = {"sop_instance_uid": receipt.sop_instance_uid, "resource": receipt.resource}
        destination = Destination(kind=DestinationKind.DICOMWEB, name="there", dicomweb=address(web))
        deliveries = Deliveries(here, [destination], 20)
        request = JobRequest(series_key="s", series_instance_uid="1", study_instance_uid="2", version="v")
        (order,) = deliveries.orders(request, {"outcome": "converted", "outputs": [output]})
        for _ in range(2):
            assert deliveries.deliver(order)["outcome"] == "delivered"
        assert there.content(receipt.key) == content
    assert len(Pacs(web).digests()) == 1


def address(server: OrthancServer) -> DicomwebAddress:
    return DicomwebAddress(url=f"{server.url}/dicom-web", username=server.username, password=server.password)
