"""An engine in a test, on a state folder or on a PostgreSQL."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import NamedTuple

from orthanc_mask2seg.jobs.engine import Backoff, Engine
from orthanc_mask2seg.jobs.port import JobRequest

QUICK = Backoff(first_seconds=0.1, ceiling_seconds=0.2)


def request(name="mask", **changes):
    plain = JobRequest(series_key=name, series_instance_uid="1.2", study_instance_uid="1.3", version="1")
    return dataclasses.replace(plain, **changes)


def converted(_request):
    return {"outcome": "converted", "reason": None}


class Place(NamedTuple):
    """Where an engine keeps its jobs."""

    state: Path
    url: str = ""


@contextlib.contextmanager
def engine(place, run=converted, ended=lambda _request, _document: None, lane=lambda _request: "", **options):
    place = place if isinstance(place, Place) else Place(place)
    made = Engine(place.state, url=place.url, backoff=QUICK, polling_seconds=0.05, **options)
    made.start(run, ended, lane)
    try:
        yield made
    finally:
        made.stop()


def wait_for(jobs, job_id, *states, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = jobs.get(job_id)
        if job is not None and job.state in states:
            return job
        time.sleep(0.02)
    raise AssertionError(f"{jobs.get(job_id)} did not become {states}")


def wait_until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found
