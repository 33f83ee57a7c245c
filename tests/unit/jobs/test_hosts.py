"""Many hosts on one PostgreSQL: real processes, a real server, real kills."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from job_scene import wait_until

from orthanc_mask2seg.jobs.engine import DEATHS_BEFORE_QUARANTINE
from orthanc_mask2seg.jobs.port import JobRequest, JobState
from orthanc_mask2seg.jobs.reader import JobReader

PROGRAM = Path(__file__).resolve().parents[2] / "job_process.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}
QUICK = ("0.3", "1.5")


@contextmanager
def host(folder, url, seconds, jobs=0, pulse=()):
    words = [sys.executable, PROGRAM, folder, str(seconds), str(jobs), str(DEATHS_BEFORE_QUARANTINE), url, *pulse]
    made = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        yield made
    finally:
        made.kill()
        made.wait()
        made.stdout.close()


@pytest.fixture
def url(shared_postgres):
    return shared_postgres.create_database()


def begun(folder):
    file = folder / "begun"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def ready(process):
    assert process.stdout.readline() == "ready\n"


@contextmanager
def history(folder, url):
    reader = JobReader(folder, url)
    try:
        yield reader
    finally:
        reader.close()


def request(name):
    return JobRequest(series_key=name, series_instance_uid="1.2", study_instance_uid="1.3", version="1")


def test_the_jobs_of_a_host_that_died_for_ever_are_taken_over(tmp_path, url, record_property):
    """With the pulse of the product, and nobody's help."""
    with host(tmp_path, url, 600, jobs=1) as first:
        ready(first)
        wait_until(lambda: begun(tmp_path))
        with host(tmp_path, url, 0) as second, history(tmp_path, url) as jobs:
            ready(second)
            time.sleep(2)
            first.send_signal(signal.SIGKILL)
            died = time.monotonic()
            wait_until(lambda: jobs.get(request("job0").key).state is JobState.DONE)
            took = time.monotonic() - died
    record_property("takeover_seconds", round(took, 1))
    sys.stdout.write(f"taken over {took:.1f} s after the death of the host\n")
    assert took < 60
    assert [pid for _, pid in begun(tmp_path)] == [str(first.pid), str(second.pid)]


def test_a_host_that_is_told_to_stop_hands_its_job_over_at_once(tmp_path, url):
    with host(tmp_path, url, 600, jobs=1) as first, host(tmp_path, url, 600, pulse=QUICK) as second:
        ready(first)
        ready(second)
        [[_, owner]] = wait_until(lambda: begun(tmp_path))
        stopped, other = (first, second) if owner == str(first.pid) else (second, first)
        asked = time.monotonic()
        stopped.send_signal(signal.SIGTERM)
        assert stopped.wait(10) == 0
        wait_until(lambda: len(begun(tmp_path)) == 2, seconds=15)
        assert time.monotonic() - asked < 15
        assert begun(tmp_path)[1][1] == str(other.pid)


def test_a_job_that_kills_every_host_is_put_aside(tmp_path, url):
    """After three deaths; the other jobs go on."""
    with host(tmp_path, url, 0, pulse=QUICK) as first:
        ready(first)
        with history(tmp_path, url) as jobs:
            deadly = jobs.enqueue(request("deadly"))
        assert first.wait(30) == -signal.SIGKILL
    for _ in range(DEATHS_BEFORE_QUARANTINE - 1):
        with host(tmp_path, url, 0, pulse=QUICK) as another:
            assert another.wait(60) == -signal.SIGKILL
    with host(tmp_path, url, 0, jobs=1, pulse=QUICK) as last, history(tmp_path, url) as jobs:
        ready(last)
        wait_until(lambda: jobs.get(deadly).state is JobState.QUARANTINED)
        wait_until(lambda: jobs.get(request("job0").key).state is JobState.DONE)
        assert jobs.get(deadly).error["reason"] == "quarantined"
    assert [name for name, _ in begun(tmp_path)].count("deadly") == DEATHS_BEFORE_QUARANTINE


def test_an_outage_of_the_database_kills_nobody(tmp_path, postgres):
    """Whoever could not reach it judges nobody for a while after it: no job runs twice, none is lost."""
    url = postgres.create_database()
    with host(tmp_path, url, 8, jobs=1, pulse=QUICK) as one, host(tmp_path, url, 8, pulse=QUICK) as two:
        ready(one)
        ready(two)
        wait_until(lambda: begun(tmp_path))
        postgres.kill()
        time.sleep(4)
        postgres.start()
        with history(tmp_path, url) as jobs:
            wait_until(lambda: jobs.get(request("job0").key).state is JobState.DONE)
            jobs.enqueue(request("later"))
            wait_until(lambda: len(begun(tmp_path)) == 2)
        assert [name for name, _ in begun(tmp_path)] == ["job0", "later"]
        assert one.poll() is two.poll() is None


def test_a_stop_does_not_wait_for_a_database_that_is_gone(tmp_path, postgres):
    url = postgres.create_database()
    with host(tmp_path, url, 600, jobs=1) as only:
        ready(only)
        wait_until(lambda: begun(tmp_path))
        postgres.kill()
        asked = time.monotonic()
        only.send_signal(signal.SIGTERM)
        assert only.wait(10) == 0
        assert time.monotonic() - asked < 10
