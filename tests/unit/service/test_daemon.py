"""The whole service over an archive in memory: real engine, real pipeline, real page."""

import dataclasses
import json
import logging
import socket
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import Grid, blob, same_points, segments_of, study, to_bytes

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import StateError
from orthanc_mask2seg.jobs.database import database_file
from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.jobs.reader import JobReader
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import daemon
from orthanc_mask2seg.web import page


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def settings(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings(
        state=str(tmp_path / "state"),
        status_port=port,
        settle_seconds=0.3,
        partial_rest_seconds=1.5,
        poll_seconds=0.05,
        scan_seconds=1.0,
    )


@contextmanager
def serving(settings, archive, **more):
    stop = threading.Event()
    kwargs = {"archive": archive, "start_page": page.start, "stop": stop, **more}
    thread = threading.Thread(target=daemon.serve, args=(settings,), kwargs=kwargs)
    thread.start()
    try:
        wait_for(lambda: answers(settings.status_port))
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def segs(archive):
    return [s for s in archive.all_series() if s.modality == "SEG"]


def wait_for(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def asked(settings, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.status_port}{path}") as response:
        return json.load(response)


def scans(settings):
    try:
        return asked(settings, "/healthz")["watcher"]["scans"]
    except urllib.error.HTTPError:
        return 0


def outcomes(settings):
    return [(job["result"] or {}).get("outcome") for job in asked(settings, "/jobs")["jobs"]]


def content(archive):
    [series] = segs(archive)
    return archive.content(series.instance_keys[0])


def test_machines_are_told_the_address_as_a_document(settings, capsys):
    with serving(settings, MemoryArchive(), as_json=True):
        pass
    assert json.loads(capsys.readouterr().out) == {"serving": f"http://127.0.0.1:{settings.status_port}"}


def test_a_mask_becomes_one_seg_however_often_the_service_starts(settings, capsys):
    made = study()
    archive = MemoryArchive()
    with serving(settings, archive):
        for instance in (*made.image, *made.mask):
            archive.add(to_bytes(instance))
        wait_for(lambda: segs(archive))
        wait_for(lambda: outcomes(settings) == ["converted"])
        with pytest.raises(StateError):
            daemon.serve(settings, archive=archive)
    [found] = segments_of(content(archive)).values()
    assert same_points(found, made.grid.points(made.labels)[1])
    assert "serving" in capsys.readouterr().out
    first = content(archive)
    with serving(settings, archive):
        time.sleep(3)
        assert outcomes(settings) == ["converted"]
        health = asked(settings, "/healthz")
        assert health["status"] == "ok"
        assert health["queue"] == {"waiting": 0, "running": 0, "for_images": 0}
    assert content(archive) == first


def test_later_slices_supersede_the_partial_mask(settings):
    made = study(labels=blob(Grid()))
    archive = MemoryArchive()
    for instance in (*made.image, *made.mask[:4]):
        archive.add(to_bytes(instance))
    with serving(settings, archive):
        wait_for(lambda: segs(archive))
        partial = content(archive)
        for instance in made.mask[4:]:
            archive.add(to_bytes(instance))
        wait_for(lambda: len(segs(archive)) == 1 and content(archive) != partial)
        wait_for(lambda: outcomes(settings) == ["converted", "converted"])
    [found] = segments_of(content(archive)).values()
    assert same_points(found, made.grid.points(made.labels)[1])


def test_a_mask_that_came_before_its_source(settings):
    made = study()
    archive = MemoryArchive()
    for instance in made.mask:
        archive.add(to_bytes(instance))
    with serving(settings, archive):
        wait_for(lambda: outcomes(settings) and outcomes(settings)[0] in {"refused", "skipped"})
        assert segs(archive) == []
        for instance in made.image:
            archive.add(to_bytes(instance))
        wait_for(lambda: segs(archive))


def test_an_upgrade_forgets_nothing_and_converts_nothing_again(settings):
    """On a state folder that release 0.1.0 wrote: two masks converted, one without a CT, and a job that waits."""
    settings = dataclasses.replace(settings, partial_rest_seconds=1.0)
    state = Path(settings.state)
    state.mkdir()
    connection = sqlite3.connect(database_file(state))
    connection.executescript((Path(__file__).parent / "state_0_1_0.sql").read_text())
    connection.execute("UPDATE mask2seg_cursor SET position = 0")  # else it is another archive, whose SEGs are lost
    connection.commit()
    connection.close()
    one, without_ct, partial = (study(seed=seed) for seed in (1, 2, 3))
    archive = MemoryArchive()
    for instance in (*one.image, *one.mask, *without_ct.mask, *partial.image, *partial.mask[:4]):
        archive.add(to_bytes(instance))
    before = {"736ed7e6ae8f7a3b665da3e3", "edf233a7409db39f833e7660", "8d9e6151539a96b05cc3ce38"}
    with serving(settings, archive):
        wait_for(lambda: scans(settings) >= 3)
        jobs = {job["id"]: job for job in asked(settings, "/jobs")["jobs"]}
        assert segs(archive) == []
        [waiting] = jobs.keys() - before
        assert before < jobs.keys()
        assert jobs["8d9e6151539a96b05cc3ce38"]["result"]["reason"] == "no_source_in_study"
        assert jobs[waiting]["state"] == "waiting"

        for instance in without_ct.image:
            archive.add(to_bytes(instance))
        wait_for(lambda: len(segs(archive)) == 1)
        reader = JobReader(state)
        reader.retry(waiting)
        wait_for(lambda: reader.get(waiting).state is JobState.DONE)
        reader.close()
        wait_for(lambda: len(segs(archive)) == 2)
