"""Runs each job in a process of its own, warm and used again: what a file does there, it does not do to the service.

A crash, a hang, or too much memory end that process and become the answer of the job. As many processes as there are
jobs at a time are started, the first at once and the others when they are needed; each is replaced after some jobs.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import (
    ArchiveError,
    DeadlineExceeded,
    Mask2SegError,
    OutOfMemory,
    WorkerDied,
    WorkerError,
)
from orthanc_mask2seg.jobs.port import JobRequest, Outputs, RunAgain, Stored
from orthanc_mask2seg.model import ArchiveKey, Outcome, Series, Uid
from orthanc_mask2seg.service.messages import Message, answer_of, receive, send
from orthanc_mask2seg.service.orders import Steps
from orthanc_mask2seg.service.pictures import PictureKind, Pictures

JOBS_PER_WORKER = 500
"""A worker is replaced after so many jobs: what its libraries have leaked goes with it."""

DEATHS_BEFORE_QUARANTINE = 3
"""A job that has ended its worker so often is put aside."""

PIXEL_BYTES_PER_SECOND = 2 << 20
SECONDS_PER_PLANE = 0.1
"""The slowest that a healthy archive and machine are believed to be."""

LOOK_SECONDS = 120.0
START_SECONDS = 120.0
RETRY_SECONDS = 5.0

_MODULE = "orthanc_mask2seg.service.child"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    jobs: int = 0
    replaced: bool = False

    def end(self) -> int:
        """Kill it; the code that it ended with, negative for a signal."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.connection.close()
        return self.process.wait()


class Sandbox:
    """Workers for one kind of work.

    Parameters
    ----------
    size
        Most workers at a time, beside one that takes the place of another.
    warm
        They convert; else they only look at series, and stay small.
    """

    def __init__(
        self, settings: Settings, size: int, *, warm: bool = True, jobs_per_worker: int = JOBS_PER_WORKER
    ) -> None:
        self._settings, self._size, self._warm, self._jobs_per_worker = settings, size, warm, jobs_per_worker
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._starting = 0
        self._closed = False
        # one thread that outlives them: a worker is killed when the thread that started it ends
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starter")

    def start(self) -> None:
        """Start the first worker, in the background."""
        with self._changed:
            self._ask_for_one()

    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers."""
        with self._changed:
            return tuple(worker.process.pid for worker in self._all)

    def runner(self, outputs: Outputs, steps: Steps) -> Callable[[JobRequest], dict[str, Any] | RunAgain]:
        """The work of a job, done by a worker."""

        def run(request: JobRequest) -> dict[str, Any] | RunAgain:
            exchange = _Exchange(request, outputs, steps, self._settings)
            try:
                return answer_of(self._asked({"run": request.document()}, exchange))
            except OutOfMemory:
                raise
            except WorkerError as error:
                return _after_death(request, error)
            finally:
                steps.end(request.series_key)

        return run

    def look(self, series: Series) -> str | None:
        """Why a series certainly is no mask; None if it could be one, or ends who looks at it: its job will tell."""
        try:
            message = self._asked({"look": asdict(series)}, _Exchange())
            if "look" not in message:
                answer_of(message)
            return message["look"] and str(message["look"])
        except ArchiveError:
            raise
        except Mask2SegError as error:
            _log.warning("series %s: %s while looking at it", series.series_instance_uid, error.code)
            return None

    def draw(self, series_instance_uid: Uid, kind: PictureKind) -> Pictures:
        """Pictures of a segmentation."""
        message = self._asked({"draw": {"series": series_instance_uid, "kind": str(kind)}}, _Exchange())
        if "drawn" not in message:
            answer_of(message)
        return tuple(base64.b64decode(picture) for picture in message["drawn"])

    def explain(self, series: str, source: str) -> list[dict[str, Any]]:
        """What would become of a series, on a source that is named or ''; nothing is stored."""
        message = self._asked({"explain": {"series": series, "source": source}}, _Exchange())
        if "explained" not in message:
            answer_of(message)
        return list(message["explained"])

    def close(self) -> None:
        """End all workers at once."""
        with self._changed:
            self._closed = True
            for worker in self._all:
                worker.process.kill()
            self._changed.notify_all()
        self._starter.shutdown(wait=False, cancel_futures=True)

    def _asked(self, message: Message, exchange: _Exchange) -> Message:
        """Let a worker do something; raises `WorkerError` where it does not come to an end."""
        worker = self._taken()
        try:
            answer = exchange.hold(worker.connection, message)
        except DeadlineExceeded:
            self._drop(worker)
            raise
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            raise WorkerDied(_obituary(self._drop(worker))) from None
        except BaseException:
            self._drop(worker)
            raise
        worker.jobs += 1
        if answer.get("fault", {}).get("code") == OutOfMemory.code:
            self._drop(worker)
        else:
            self._give_back(worker)
        return answer

    def _taken(self) -> _Worker:
        with self._changed:
            while not self._closed:
                while self._idle:
                    worker = self._idle.pop()
                    if worker.process.poll() is None:
                        return worker
                    self._remove(worker)
                if len(self._all) + self._starting < self._size:
                    self._ask_for_one()
                self._changed.wait(RETRY_SECONDS)
        raise WorkerDied("The service is stopping")

    def _give_back(self, worker: _Worker) -> None:
        with self._changed:
            self._idle.append(worker)
            if worker.jobs >= self._jobs_per_worker and not worker.replaced:
                worker.replaced = True
                self._ask_for_one()
            self._retire()
            self._changed.notify()

    def _retire(self) -> None:
        """End an idle worker that has a successor."""
        if len(self._all) <= self._size:
            return
        for worker in [w for w in self._idle if w.replaced][: len(self._all) - self._size]:
            self._idle.remove(worker)
            self._remove(worker)

    def _drop(self, worker: _Worker) -> int:
        with self._changed:
            code = self._remove(worker)
            if not self._closed and len(self._all) + self._starting < self._size:
                self._ask_for_one()
            return code

    def _remove(self, worker: _Worker) -> int:
        self._all.remove(worker)
        return worker.end()

    def _ask_for_one(self) -> None:
        self._starting += 1
        self._starter.submit(self._start_one)

    def _start_one(self) -> None:
        worker = None
        try:
            worker = _started(self._settings, warm=self._warm, given_up=lambda: self._closed)
        except (EOFError, OSError, ValueError, WorkerError) as error:
            _log.error("a worker cannot be started: %s", type(error).__name__)
            time.sleep(1.0)
        with self._changed:
            self._starting -= 1
            if worker is not None:
                self._all.append(worker)
                if self._closed:
                    self._remove(worker)
                else:
                    self._idle.append(worker)
                    self._retire()
            self._changed.notify_all()


class _Exchange:
    """What is said between the service and a worker about one piece of work.

    Parameters
    ----------
    request
        The job; None for a look.
    """

    def __init__(
        self,
        request: JobRequest | None = None,
        outputs: Outputs | None = None,
        steps: Steps | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._request, self._outputs, self._steps, self._settings = request, outputs, steps, settings
        self._seconds = settings.deadline_seconds if settings else LOOK_SECONDS

    def hold(self, connection: Connection, message: Message) -> Message:
        """Say what is to be done, and answer questions until it is.

        Raises
        ------
        DeadlineExceeded
            It is not done in time.
        EOFError, OSError, ValueError
            The worker is gone, or talks nonsense.
        """
        began = time.monotonic()
        send(connection, message)
        while connection.poll(max(0.0, began + self._seconds - time.monotonic())):
            told = receive(connection)
            if "step" in told:
                self._step(str(told["step"]))
            elif "size" in told:
                self._seconds = self._deadline(int(told["size"]), int(told["planes"]))
            elif "ask" in told:
                send(connection, {"reply": self._reply(told["ask"], told["arguments"])})
            else:
                return told
        raise DeadlineExceeded(f"The work on this series did not end within {self._seconds:.0f} s")

    def _step(self, name: str) -> None:
        if self._steps is not None and self._request is not None:
            self._steps.begin(self._request.series_key, name[:40])

    def _deadline(self, pixel_bytes: int, planes: int) -> float:
        assert self._settings is not None
        more = pixel_bytes / PIXEL_BYTES_PER_SECOND + planes * SECONDS_PER_PLANE
        return min(
            self._settings.deadline_seconds + max(more, 0.0),
            max(self._settings.longest_deadline_seconds, self._settings.deadline_seconds),
        )

    def _reply(self, what: str, arguments: list[Any]) -> Any:
        if self._outputs is None:
            raise ValueError(what)
        if what == "stored":
            return [asdict(each) for each in self._outputs.stored(ArchiveKey(arguments[0]))]
        if what == "announced":
            return [asdict(each) for each in self._outputs.announced(str(arguments[0]))]
        if what == "stored_at":
            found = self._outputs.stored_at(ArchiveKey(arguments[0]))
            return None if found is None else asdict(found)
        rows = [Stored.of(row) for row in arguments if row is not None]
        if what == "exchange_stored":
            return self._outputs.exchange_stored(rows[0], rows[1] if len(rows) > 1 else None)
        if what == "note_stored":
            return self._outputs.note_stored(*rows)
        if what == "drop_stored":
            return self._outputs.drop_stored(*rows)
        raise ValueError(what)


def _after_death(request: JobRequest, error: WorkerError) -> dict[str, Any] | RunAgain:
    """Try again with another worker, or put the job aside."""
    deaths = request.deaths + 1
    _log.warning("series %s: %s (%d of %d)", request.series_instance_uid, error, deaths, DEATHS_BEFORE_QUARANTINE)
    told = {"reason": error.code, "detail": str(error), "hint": error.hint}
    if deaths < DEATHS_BEFORE_QUARANTINE:
        again = replace(request, deaths=deaths)
        return RunAgain(delay_seconds=RETRY_SECONDS * deaths, why={"outcome": "waiting", **told}, request=again)
    told["detail"] = f"Quarantined after {deaths} attempts. {error}."
    return {"outcome": str(Outcome.FAILED), **told, "outputs": []}


def _obituary(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"The process that worked on this series was ended by {name}"
    return f"The process that worked on this series ended by itself ({code})"


def _started(settings: Settings, *, warm: bool, given_up: Callable[[], bool]) -> _Worker:
    """A worker that is ready."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", _MODULE, str(theirs.fileno()), str(os.getpid())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        )
    worker = _Worker(process, Connection(ours.detach()))
    try:
        worker.connection.send_bytes(pickle.dumps((settings, warm)))
        end = time.monotonic() + START_SECONDS
        while not (ready := worker.connection.poll(0.2)) and not given_up() and time.monotonic() < end:
            pass
        ready = ready and "ready" in receive(worker.connection)
    except BaseException:
        worker.end()
        raise
    if not ready:
        worker.end()
        raise DeadlineExceeded
    return worker
