"""`mask2seg jobs undo` beside a running service, on a real Orthanc."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from orthanc_server import OrthancServer

from tests.builders import study, to_bytes
from tests.integration.test_serve import PROGRAM, Pacs, Service, service, until

__all__ = ["service"]


def jobs(service: Service, *words: str, code: int = 0, answer: str = "") -> Any:
    done = subprocess.run(
        [PROGRAM, "jobs", *words, "-c", service.configuration],
        input=answer, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr


def test_undo_beside_a_running_service(service: Service, orthanc: OrthancServer, tmp_path: Path) -> None:
    """What was stored goes, nothing else, and stays away over scans, new images and a restart; retry brings it back."""
    pacs, made = Pacs(orthanc), study(seed=5)
    service = Service(tmp_path, orthanc, Outputs=["seg", "sr", "rtstruct", "csv"])
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    before = pacs.digests()
    service.start()
    try:
        until(lambda: len(pacs.series()) == 5, "SEG, SR and RTSTRUCT")
        until(lambda: [j["state"] for j in service.jobs()] == ["done"], "the job to end")
        job_id = service.jobs()[0]["id"]

        said = jobs(service, "undo", job_id, answer="n\n")
        assert "Nothing was deleted" in said
        assert all(kind in said for kind in ("SEG", "SR", "RTSTRUCT", "CSV"))
        assert jobs(service, "undo", job_id, "--json", code=2)["reason"] == "configuration_error"
        jobs(service, "undo", job_id, code=2)
        assert len(pacs.series()) == 5

        document = jobs(service, "undo", job_id, "--yes", "--json")
        assert document["id"] == job_id
        assert sorted(one["kind"] for one in document["deleted"]) == ["RTSTRUCT", "SEG", "SR"]
        assert pacs.digests() == before
        assert jobs(service, "undo", job_id, "--yes", "--json", code=3)["reason"] == "nothing_stored"
        assert "undone" in jobs(service, "show", job_id, "--json")
        assert "undone" in jobs(service, "list")

        pacs.send(*(to_bytes(d) for d in study(seed=5, modality="MR").image))
        time.sleep(7)  # two scans, and the new images have settled
        assert not pacs.segs()
        service.end()
        service.start()
        time.sleep(5)
        assert not pacs.segs()

        jobs(service, "retry", job_id, "--json")
        until(lambda: len(pacs.segs()) == 1, "the SEG to come again")
        until(lambda: [j["state"] for j in service.jobs()] == ["done"], "the job to end again")
        assert "undone" not in jobs(service, "show", job_id, "--json")
    finally:
        service.end()
    after = pacs.digests()
    assert {key: after[key] for key in before} == before


def test_a_seg_that_somebody_edited_stays(service: Service, orthanc: OrthancServer) -> None:
    """Orthanc's own modification keeps the identifiers: the bytes are not what the job has stored."""
    pacs, made = Pacs(orthanc), study(seed=6)
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    service.start()
    until(lambda: len(pacs.segs()) == 1 and service.jobs()[0]["state"] == "done", "the SEG")
    [seg] = pacs.segs()
    [instance] = seg["Instances"]
    keep = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    edited = pacs.session.post(
        f"{pacs.url}/instances/{instance}/modify",
        json={"Replace": {"SeriesDescription": "edited"}, "Keep": keep, "Force": True},
        timeout=30,
    ).content
    pacs.session.delete(f"{pacs.url}/instances/{instance}", timeout=30)
    pacs.send(edited)
    refused = jobs(service, "undo", service.jobs()[0]["id"], "--yes", "--json", code=3)
    assert refused["reason"] == "changed_since"
    assert [s["MainDicomTags"]["SeriesDescription"] for s in pacs.segs()] == ["edited"]
