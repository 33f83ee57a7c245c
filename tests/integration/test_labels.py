"""Labels and provenance in the three real Orthancs."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from orthanc_server import OrthancServer
from pydicom import dcmread
from pydicom.uid import generate_uid

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Series
from orthanc_mask2seg.pacs.orthanc_rest import NOTE, OrthancArchive
from orthanc_mask2seg.service import pipeline
from orthanc_mask2seg.service.record import CONVERTED, LABELS, MASK, REFUSED, record
from tests.builders import study, to_bytes
from tests.integration.test_serve import Service, until

SUITES = ("bookworm", "trixie", "sid")


@pytest.fixture(params=SUITES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path / "orthanc", suite=request.param)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def archive(server: OrthancServer) -> Iterator[OrthancArchive]:
    with OrthancArchive(server.url, server.username, server.password, 30) as archive:
        yield archive


def has_labels(server: OrthancServer) -> bool:
    return server.suite != "bookworm"


def labels(server: OrthancServer, series: Series) -> set[str]:
    return set(server.get(f"/series/{series.key}").json().get("Labels", ()))


def journal(server: OrthancServer) -> list[str]:
    return [change["ChangeType"] for change in server.get("/changes", limit=1000).json()["Changes"]]


def test_labels_are_given_taken_and_left_alone(server: OrthancServer, archive: OrthancArchive) -> None:
    made = study(seed=90)
    archive.store(to_bytes(made.mask[0]))
    series = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    if not has_labels(server):
        assert not archive.label(series.key, frozenset({MASK}), LABELS)
        return
    address = f"{server.url}/series/{series.key}/labels/of-the-site"
    requests.put(address, auth=server.auth, timeout=10).raise_for_status()
    for wanted in ({MASK, REFUSED}, {MASK, CONVERTED}, {MASK, CONVERTED}, set()):
        assert archive.label(series.key, frozenset(wanted), LABELS)
        assert labels(server, series) == wanted | {"of-the-site"}


def test_a_note_is_kept_and_written_anew(server: OrthancServer, archive: OrthancArchive) -> None:
    made = study(seed=91)
    archive.store(to_bytes(made.mask[0]))
    series = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    assert archive.note(series.key) is None
    for text in ('{"a": "ä"}', "x" * 100_000, "{}"):
        assert archive.keep_note(series.key, text)
        assert archive.note(series.key) == text
    assert server.get(f"/series/{series.key}/metadata/{NOTE}").text == "{}"


def test_neither_looks_like_news(server: OrthancServer, archive: OrthancArchive) -> None:
    """The watcher rings at changes of series and compares versions: both stay as they were."""
    made = study(seed=92)
    for instance in made.mask:
        archive.store(to_bytes(instance))
    before = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    rung = len(journal(server))
    time.sleep(1.1)  # Orthanc counts LastUpdate in seconds
    archive.label(before.key, frozenset({MASK}), LABELS)
    archive.label(before.key, frozenset({REFUSED}), LABELS)
    archive.keep_note(before.key, "{}")
    archive.keep_note(before.key, "[]")
    assert archive.series(before.key).version == before.version
    assert [kind for kind in journal(server)[rung:] if kind.endswith("Series") or kind == "NewInstance"] == []


def test_a_refused_mask_that_is_converted_later(server: OrthancServer, archive: OrthancArchive) -> None:
    """It loses the one label and gains the other; the SEG says where it comes from, and nothing of the patient."""
    made = study(seed=93, own_uids=True)
    for data in (*made.image, *made.mask):
        data.PatientName, data.PatientID = "Canary^Patient", "CANARY-1"
    for instance in made.mask:
        archive.store(to_bytes(instance))
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    task = pipeline.Task(masks=(mask,), named_as_mask=True)
    refused = pipeline.run(archive, task, Settings())
    assert isinstance(refused, tuple)
    assert refused[0].outcome is Outcome.REFUSED
    record(archive, Settings(), refused)
    if has_labels(server):
        assert labels(server, mask) == {MASK, REFUSED}

    for instance in made.image:
        archive.store(to_bytes(instance))
    done = pipeline.run(archive, task, Settings())
    assert isinstance(done, tuple)
    record(archive, Settings(), done, job_id="a1b2")
    if has_labels(server):
        assert labels(server, mask) == {MASK, CONVERTED}
    (output,) = done[0].outputs
    seg = archive.find_series(output.series_uid)
    text = archive.note(seg.key)
    assert text is not None
    note = json.loads(text)
    content = archive.content(seg.instance_keys[0])
    assert note["segmentation"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert [m["orthanc_id"] for m in note["masks"]] == [mask.key]
    source = archive.find_series(str(made.image[0].SeriesInstanceUID))
    assert note["source"] == {"series_uid": source.series_instance_uid, "orthanc_id": source.key}
    assert note["job"] == "a1b2"
    assert note["evidence"]
    assert "canary" not in text.lower()


def test_the_digest_of_a_mask_is_that_of_what_it_holds() -> None:
    digests = []
    for seed, change in ((94, 0), (94, 0), (94, 1)):
        made = study(seed=seed, own_uids=True)
        uid = generate_uid()
        for instance in made.mask:
            instance.SeriesInstanceUID = uid
        if change:
            raw = bytearray(made.mask[3].PixelData)
            raw[raw.index(1)] = 0
            made.mask[3].PixelData = bytes(raw)
        memory = made.archive()
        task = pipeline.Task(masks=(memory.find_series(uid),), named_as_mask=True)
        ended = pipeline.run(memory, task, Settings())
        assert isinstance(ended, tuple)
        digests.append(ended[0].mask_sha256)
    assert digests[0] == digests[1] != digests[2]
    assert all(len(digest) == 64 for found in digests for digest in found)


def test_the_segmentation_refers_to_the_images_and_never_to_the_mask() -> None:
    made = study(seed=95, own_uids=True)
    memory = made.archive()
    mask = memory.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(memory, pipeline.Task(masks=(mask,), named_as_mask=True), Settings())
    assert isinstance(ended, tuple)
    seg = dcmread(io.BytesIO(memory.content(ended[0].outputs[0].orthanc_id)))  # type: ignore[arg-type]
    (reference,) = seg.ReferencedSeriesSequence
    assert reference.SeriesInstanceUID == made.image[0].SeriesInstanceUID
    of_images = {str(i.SOPInstanceUID) for i in made.image}
    assert {i.ReferencedSOPInstanceUID for i in reference.ReferencedInstanceSequence} == of_images
    equipment = {str(e.ManufacturerModelName) for e in seg.ContributingEquipmentSequence}
    assert "highdicom" in equipment


def test_the_service_labels_and_does_not_wake_itself(server: OrthancServer, tmp_path: Path) -> None:
    """One mask, one job: labels and provenance cause no other, over several scans."""
    service = Service(tmp_path, server, ScanSeconds=1.0, SettleSeconds=0.5)
    with OrthancArchive(server.url, server.username, server.password, 30) as archive:
        try:
            service.start()
            made = study(seed=96)
            for instance in (*made.image, *made.mask):
                server.post("/instances", to_bytes(instance))
            until(lambda: any(s.modality == "SEG" for s in archive.all_series()), "the SEG")
            seg = next(s for s in archive.all_series() if s.modality == "SEG")
            until(lambda: archive.note(seg.key), "the provenance")
            until(lambda: all(job["state"] == "done" for job in service.jobs()), "the jobs to end")
            before = service.jobs()
            note = archive.note(seg.key)
            time.sleep(4)
            assert service.jobs() == before
            assert archive.note(seg.key) == note
            (done,) = [job for job in before if (job["result"] or {}).get("outcome") == "converted"]
            assert json.loads(note or "")["job"] == done["id"]
            mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
            assert labels(server, mask) == ({MASK, CONVERTED} if has_labels(server) else set())
            image = archive.find_series(str(made.image[0].SeriesInstanceUID))
            assert labels(server, image) == set()
        finally:
            if service.process is not None:
                service.end()
