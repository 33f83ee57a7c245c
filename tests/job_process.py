"""A process with an engine, for the tests to kill: STATE SECONDS_PER_JOB [JOBS [DEATHS [URL [BEAT TTL]]]].

It writes one line to STATE/done for each job that it finishes, and dies on its own in jobs named "deadly".
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from orthanc_mask2seg.jobs.engine import Engine
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.jobs.takeover import Pulse

state, seconds = Path(sys.argv[1]), float(sys.argv[2])
jobs = int(sys.argv[3]) if len(sys.argv) > 3 else 0
deaths = int(sys.argv[4]) if len(sys.argv) > 4 else 3
url = sys.argv[5] if len(sys.argv) > 5 else ""
pulse = Pulse(*map(float, sys.argv[6:8])) if len(sys.argv) > 7 else Pulse()


def request(name: str) -> JobRequest:
    return JobRequest(series_key=name, series_instance_uid="1.2", study_instance_uid="1.3", version="1")


def run(asked: JobRequest) -> dict:
    with (state / "begun").open("a") as begun:
        begun.write(f"{asked.series_key} {os.getpid()}\n" if url else f"{asked.series_key}\n")
    if asked.series_key == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(seconds)
    with (state / "done").open("a") as done:
        done.write(f"{asked.series_key}\n")
    return {"outcome": "converted", "reason": None}


if __name__ == "__main__":
    engine = Engine(state, url=url, pulse=pulse, deaths=deaths)
    engine.start(run)
    for number in range(jobs):
        engine.enqueue(request(f"job{number}"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    began = time.monotonic()
    given_back = engine.stop(timeout_seconds=2.0)
    sys.stdout.write(f"stopped {time.monotonic() - began:.1f} {given_back}\n")
    sys.stdout.flush()
    os._exit(0)
