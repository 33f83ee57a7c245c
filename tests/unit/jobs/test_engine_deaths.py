"""The durable queue when its process dies: real processes, real kills."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from job_scene import wait_until

from orthanc_mask2seg.jobs.port import JobRequest, JobState
from orthanc_mask2seg.jobs.reader import JobReader

PROGRAM = Path(__file__).resolve().parents[2] / "job_process.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}


@contextmanager
def process(state, seconds, jobs=0, deaths=3):
    made = subprocess.Popen(
        [sys.executable, PROGRAM, state, str(seconds), str(jobs), str(deaths)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        yield made
    finally:
        made.kill()
        made.wait()
        made.stdout.close()


def lines(file):
    return file.read_text().splitlines() if file.exists() else []


def states(state):
    reader = JobReader(state)
    try:
        return [job.state for job in reader.list(limit=1000)]
    finally:
        reader.close()


def test_no_job_is_lost_under_kill_9(tmp_path):
    """Four sudden ends at random moments; every job ends, and only those that were interrupted ran twice."""
    dice, kills = random.Random(7), 4
    for number in range(kills):
        with process(tmp_path, 0.1, jobs=20 if number == 0 else 0) as engine:
            assert engine.stdout.readline() == "ready\n"
            time.sleep(dice.uniform(0.1, 0.5))
            engine.send_signal(signal.SIGKILL)
    with process(tmp_path, 0.02) as engine:
        assert engine.stdout.readline() == "ready\n"
        wait_until(lambda: states(tmp_path).count(JobState.DONE) == 20)
    done, begun = lines(tmp_path / "done"), lines(tmp_path / "begun")
    assert set(done) == {f"job{n}" for n in range(20)}
    assert len(begun) - 20 <= kills


def test_a_job_that_kills_its_process_three_times_is_put_aside(tmp_path):
    with process(tmp_path, 0.0) as engine:
        assert engine.stdout.readline() == "ready\n"
        reader = JobReader(tmp_path)
        deadly = reader.enqueue(
            JobRequest(series_key="deadly", series_instance_uid="1", study_instance_uid="1", version="1")
        )
        assert engine.wait(20) == -signal.SIGKILL
    for _ in range(2):
        with process(tmp_path, 0.0) as engine:
            assert engine.wait(20) == -signal.SIGKILL
    with process(tmp_path, 0.0, jobs=1) as engine:
        assert engine.stdout.readline() == "ready\n"
        wait_until(lambda: reader.get(deadly).state is JobState.QUARANTINED)
        wait_until(lambda: lines(tmp_path / "done") == ["job0"])
    assert lines(tmp_path / "begun").count("deadly") == 3
    assert reader.get(deadly).error["reason"] == "quarantined"
    reader.close()


def test_power_cuts_are_no_fault_of_the_job(tmp_path):
    """As the service has it, whose jobs run in processes of their own."""
    for number in range(5):
        with process(tmp_path, 60, jobs=1, deaths=1000) as engine:
            wait_until(lambda expected=number + 1: len(lines(tmp_path / "begun")) == expected)
            engine.send_signal(signal.SIGKILL)
    with process(tmp_path, 0.0, deaths=1000):
        wait_until(lambda: states(tmp_path) == [JobState.DONE])


def test_a_stop_lets_a_short_job_finish(tmp_path):
    with process(tmp_path, 0.5, jobs=1) as engine:
        wait_until(lambda: lines(tmp_path / "begun"))
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(10) == 0
        assert engine.stdout.read().split()[-1] == "0"
    assert lines(tmp_path / "done") == ["job0"]
    assert states(tmp_path) == [JobState.DONE]


def test_a_stop_gives_a_long_job_back(tmp_path):
    """However often the service is stopped in the middle of it, that is not counted as the fault of the job."""
    for number in range(4):
        with process(tmp_path, 60, jobs=1) as engine:
            wait_until(lambda expected=number + 1: len(lines(tmp_path / "begun")) == expected)
            engine.send_signal(signal.SIGTERM)
            assert engine.wait(10) == 0
            assert engine.stdout.read().split()[-1] == "1"
        assert states(tmp_path) == [JobState.WAITING]
    with process(tmp_path, 0.0):
        wait_until(lambda: states(tmp_path) == [JobState.DONE])


def test_waiting_for_a_later_attempt_survives(tmp_path):
    with process(tmp_path, 0.0) as engine:
        assert engine.stdout.readline() == "ready\n"
        reader = JobReader(tmp_path)
        request = JobRequest(series_key="later", series_instance_uid="1", study_instance_uid="1", version="1")
        job_id = reader.enqueue(request, delay_seconds=3.0)
        asked = time.monotonic()
    assert reader.get(job_id).state is JobState.WAITING
    with process(tmp_path, 0.0):
        wait_until(lambda: reader.get(job_id).state is JobState.DONE)
    assert time.monotonic() - asked > 2.5
    reader.close()


def test_a_killed_engine_goes_on_within_seconds(tmp_path, record_property):
    """What was running when it died runs again as soon as the next one is there: nobody has to be taken for dead."""
    with process(tmp_path, 600, jobs=1) as engine:
        wait_until(lambda: lines(tmp_path / "begun"))
        engine.send_signal(signal.SIGKILL)
    started = time.monotonic()
    with process(tmp_path, 0.0) as engine:
        assert engine.stdout.readline() == "ready\n"
        ready = time.monotonic()
        wait_until(lambda: states(tmp_path) == [JobState.DONE])
        took = time.monotonic() - ready
    record_property("recovery_seconds", round(took, 1))
    sys.stdout.write(f"started in {ready - started:.1f} s, recovered {took:.1f} s later\n")
    assert took < 10
