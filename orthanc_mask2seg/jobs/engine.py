"""The durable queue on DBOS, in a file of one process or on a PostgreSQL of many hosts: jobs survive whatever happens.

Execution is at least once: a job that was running when the process died runs again, and the work must be such that
doing it twice is doing it once (docs/design.md, decision 4). A fault that may pass is tried again later by a new
attempt with a delay, which holds no slot and survives a restart.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from orthanc_mask2seg.errors import Mask2SegError
from orthanc_mask2seg.jobs import retention, rows
from orthanc_mask2seg.jobs.alarms import Alarms
from orthanc_mask2seg.jobs.database import address, connect, is_embedded, is_passing, lock, prepare
from orthanc_mask2seg.jobs.lanes import Lanes
from orthanc_mask2seg.jobs.lease import Lease
from orthanc_mask2seg.jobs.orphans import Orphans
from orthanc_mask2seg.jobs.port import FOR_EVER, Ended, Job, JobRequest, JobState, Ledger, Run, RunAgain
from orthanc_mask2seg.jobs.reader import (
    APPLICATION,
    APPLICATION_VERSION,
    QUEUE,
    WORKFLOW,
    History,
    queue_of,
)
from orthanc_mask2seg.jobs.takeover import Heart, Pulse
from orthanc_mask2seg.jobs.undone import Undone

POLLING_SECONDS = 0.2
"""Time between two looks at the queue: a job starts after half of this in the mean."""
DELIVERY_POLLING_SECONDS = 1.0
SHARED_POLLING_SECONDS = 0.5
"""The same where many hosts ask one database."""
DEATHS_BEFORE_QUARANTINE = 3
"""A job is put aside that was running each time the process died, so often."""
OUTAGE_SECONDS = 1.0
"""Time between two tries of what has to be written into a database that is away, or whose disk is full."""
LANE_SECONDS = 2.0
"""Time after which a job looks again whether another one on the same mask or study is over."""
LONGEST_WAIT_SECONDS = 3600.0
FAREWELL_SECONDS = 2.0
"""Longest wait for a database that may be gone, at the end."""

Answer = TypeVar("Answer")
Lane = Callable[[JobRequest], str]
"""What no two jobs may work on at a time; '' for what anything may."""

_log = logging.getLogger(__name__)


class Backoff(NamedTuple):
    """How long to wait after the n-th fault in a row: doubled each time up to a ceiling, with jitter."""

    first_seconds: float = 2.0
    ceiling_seconds: float = 60.0

    def delay(self, faults: int, dice: Callable[[], float] = random.random) -> float:
        """Seconds to wait after so many faults (1 for the first)."""
        whole = min(self.ceiling_seconds, self.first_seconds * 2.0 ** min(faults - 1, 30))
        return whole * (0.5 + 0.5 * dice())


class JobFailed(Exception):
    """Ends a workflow as failed; `data` is the result document."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(str(data["reason"]))
        self.data = data


class Engine:
    """The `Jobs` port, with the part that runs them.

    Parameters
    ----------
    state
        Folder of the state; only one engine may use it at a time.
    workers
        Conversions run at the same time by this process; 0 for none: it asks for jobs and watches over the hosts.
    destinations
        Labels of those that get results; one delivery to each runs at a time, beside the conversions.
    url
        Address of a PostgreSQL that many hosts share, where it is not the embedded database in `state`.
    deaths
        A job is put aside when this process has died so often while it ran. Many, where jobs run in processes of their
        own: then it was not the job that ended this one.
    longest_wait_seconds
        A job is put off for so long at most: one that waits for a later moment does so by a clock that was wrong.

    Raises
    ------
    StateError
        Another process uses the folder, or it cannot be written; the database cannot be used.
    """

    def __init__(
        self,
        state: Path,
        *,
        workers: int = 1,
        destinations: Sequence[str] = (),
        url: str = "",
        backoff: Backoff | None = None,
        polling_seconds: float = 0.0,
        pulse: Pulse | None = None,
        deaths: int = DEATHS_BEFORE_QUARANTINE,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        self._longest_wait = longest_wait_seconds
        self._deaths = deaths
        self._workers = workers
        self._destinations = tuple(destinations)
        self._backoff = backoff or Backoff()
        self._url = address(state, url)
        self._embedded = is_embedded(self._url)
        self._polling_seconds = polling_seconds or (POLLING_SECONDS if self._embedded else SHARED_POLLING_SECONDS)
        self._lock = lock(state) if self._embedded else None
        self.executor = "embedded" if self._embedded else f"{os.uname().nodename}-{os.urandom(8).hex()}"
        prepare(self._url)
        self._history = History(self._url)
        self._pulse = pulse or Pulse()
        self._heart: Heart | None = None

    def start(
        self,
        run: Run,
        ended: Ended = lambda _request, _document: None,
        lane: Lane = lambda _request: "",
    ) -> None:
        """Begin to run jobs, those first that were interrupted.

        Parameters
        ----------
        run
            The work.
        ended
            Told the result document of every job, before it is recorded as ended.
        lane
            Names what no two jobs may work on at the same time.
        """
        self._run, self._ended, self._lane = run, ended, lane
        _quiet()
        self._dbos = DBOS(config=_config(self._url, self.executor))
        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=self._deaths - 1)(self._workflow())
        if not self._workers:
            DBOS.listen_queues([])
        DBOS.launch()
        rows.index_by_state(self._history.engine)
        self._lanes = Lanes(self._history.engine)
        if not self._embedded:
            self._heart = Heart(self._history.engine, self.executor, pulse=self._pulse)
            self._heart.start()
        self._orphans = self._watch_over_own()
        if self._workers:
            self._register_queues()

    def _register_queues(self) -> None:
        self._keep_own_concurrency()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._workers,
            polling_interval_sec=self._polling_seconds,
            on_conflict="always_update",
        )
        for destination in self._destinations:
            DBOS.register_queue(
                queue_of(destination),
                worker_concurrency=1,
                polling_interval_sec=max(self._polling_seconds, DELIVERY_POLLING_SECONDS),
                on_conflict="always_update",
            )

    def _watch_over_own(self) -> Orphans:
        """Begin to look for jobs that are begun here and that no thread works on."""
        database, active = self._dbos._sys_db, self._dbos._active_workflows_set  # noqa: SLF001

        def give_back(workflow_id: str) -> None:
            database.reenqueue_for_recovery(workflow_id, [self.executor], QUEUE)

        look_seconds = self._pulse.beat_seconds
        history = self._history
        orphans = Orphans(
            history.engine,
            self.executor,
            active.activeList,
            give_back,
            history.wake,
            look_seconds,
            max(self._longest_wait, self._backoff.ceiling_seconds),
        )
        orphans.start()
        return orphans

    def _keep_own_concurrency(self) -> None:
        """Each host has its own number of workers; DBOS keeps one in the database, that of whoever came last."""
        database = self._dbos._sys_db  # noqa: SLF001
        get_queue = database.get_queue

        def with_ours(name: str, **more: Any) -> Any:
            queue = get_queue(name, **more)
            if queue is not None and queue.name == QUEUE:
                queue._worker_concurrency = self._workers  # noqa: SLF001
            return queue

        database.get_queue = with_ours  # type: ignore[method-assign]

    def enqueue(self, request: JobRequest, delay_seconds: float = 0.0) -> str:
        """Ask for a job and return its id; nothing happens where the same job was asked for before."""
        return self._history.enqueue(request, delay_seconds)

    def get(self, job_id: str) -> Job | None:
        """The job with that id."""
        return self._history.get(job_id)

    def list(
        self,
        limit: int = 50,
        offset: int = 0,
        states: Sequence[JobState] = (),
        since: float = 0.0,
        until: float = FOR_EVER,
    ) -> tuple[Job, ...]:
        """The history, newest first; of all states where none is named."""
        return self._history.list(limit, offset, states, since, until)

    def count(self, *states: JobState) -> int:
        """How many jobs are in these states."""
        return self._history.count(*states)

    def oldest(self, *states: JobState) -> float | None:
        """When the oldest job in these states was asked for, s since 1970."""
        return self._history.oldest(*states)

    def retry(self, job_id: str) -> str:
        """Run an ended job again, or a waiting one at once, and return its id."""
        return self._history.retry(job_id)

    def undone(self) -> Undone:
        """The jobs that were undone."""
        return Undone(self._history.engine)

    def alarms(self) -> Alarms:
        """The alarms of all hosts that share the database."""
        return Alarms(self._history.engine, self.executor)

    def lease(self, name: str, seconds: float) -> Lease:
        """What one process at a time holds, of all that share the database."""
        return Lease(self._history.engine, name, self.executor, seconds)

    def forget_after(self, days: float, ledger: Ledger, stop: threading.Event) -> None:
        """Forget ended jobs after so many days, until told to stop."""
        arguments = (self._history, ledger, days, stop)
        threading.Thread(target=retention.run, args=arguments, name="retention", daemon=True).start()

    def stop(self, timeout_seconds: float = 6.0) -> int:
        """Let the running jobs finish, or give them back; return how many were given back.

        Those still hold a thread that nothing can end, so the process should end then. Where the database does not
        answer any more, at least one is reported.
        """
        self._released = 1
        deadline = time.monotonic() + timeout_seconds
        for event in self._dbos.background_thread_stop_events:
            event.set()
        while time.monotonic() < deadline and self._dbos._active_workflows_set.activeList():  # noqa: SLF001
            time.sleep(0.02)
        self._orphans.stop()
        farewell = threading.Thread(target=self._farewell, name="farewell", daemon=True)
        farewell.start()
        farewell.join(max(deadline - time.monotonic(), 0.0) + FAREWELL_SECONDS)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        return self._released

    def _farewell(self) -> None:
        """Give back what is unfinished; waits for the database, which may be gone."""
        DBOS.destroy(destroy_registry=True)
        self._released = self._history.release(self.executor)
        if self._heart is not None:
            self._heart.stop()
        self._history.close()

    def _workflow(self) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
        def convert(request: dict[str, Any], past: dict[str, Any]) -> dict[str, Any]:
            workflow_id = DBOS.workflow_id
            assert workflow_id is not None
            asked = replace(JobRequest.of(request), job_id=workflow_id.partition("#")[0])
            return self._in_lane(workflow_id, asked, past)

        return convert

    def _in_lane(self, workflow_id: str, request: JobRequest, past: dict[str, Any]) -> dict[str, Any]:
        lane = "" if request.destination else self._lane(request)
        if lane and not _patiently(lambda: self._lanes.enter(lane, workflow_id)):
            again = RunAgain(delay_seconds=LANE_SECONDS, why=dict(_LANE_TAKEN))
            _patiently(lambda: self._run_again(workflow_id, request, past, again))
            return {}
        try:
            return self._attempt(workflow_id, request, past)
        finally:
            if lane:
                _patiently(lambda: self._lanes.leave(lane, workflow_id))

    def _attempt(self, workflow_id: str, request: JobRequest, past: dict[str, Any]) -> dict[str, Any]:
        answer = self._answer(request, past)
        if not isinstance(answer, RunAgain):
            try:
                self._ended(request, answer)
            except sa.exc.SQLAlchemyError as error:
                if not is_passing(error):
                    raise
                answer = self._after_outage(request, past)
        if isinstance(answer, RunAgain):
            again = answer
            _patiently(lambda: self._run_again(workflow_id, request, past, again))
            return {}
        if answer["outcome"] == "failed":
            raise JobFailed(answer)
        return answer

    def _after_outage(self, request: JobRequest, past: dict[str, Any]) -> RunAgain:
        delay = self._backoff.delay(past.get("faults", 0) + 1)
        _log.warning("series %s: the database of jobs was away, again in %.0f s", request.series_instance_uid, delay)
        return RunAgain(delay_seconds=delay, why={**_OUTAGE, "fault": True})

    def _answer(self, request: JobRequest, past: dict[str, Any]) -> dict[str, Any] | RunAgain:
        """Do the work. The one place where every exception is caught, so that no file can stop the service."""
        try:
            return self._run(request)
        except Mask2SegError as error:
            document = _failure(error.code, str(error), error.hint)
            if not error.retryable:
                _log.error("series %s failed: %s", request.series_instance_uid, error.code)
                return document
            delay = self._backoff.delay(past.get("faults", 0) + 1)
            _log.warning("series %s: %s, again in %.0f s", request.series_instance_uid, error.code, delay)
            return RunAgain(delay_seconds=delay, why={**document, "fault": True})
        except Exception as error:  # noqa: BLE001  (see above; the message may hold patient data, its place does not)
            if is_passing(error):
                return self._after_outage(request, past)
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            _log.error("series %s failed: %s", request.series_instance_uid, what)
            hint = "This is a defect of the service. Please report it with the output of 'mask2seg explain'."
            return _failure("internal_error", what, hint)

    def _run_again(self, workflow_id: str, request: JobRequest, past: dict[str, Any], answer: RunAgain) -> None:
        key, _, number = workflow_id.partition("#")
        attempt = int(number or 1)
        why = dict(answer.why)
        following = {
            "created_at": past.get("created_at") or _created(self._history.get(key)),
            "attempts": past.get("attempts", 0) + 1,
            "faults": past.get("faults", 0) + 1 if why.pop("fault", False) else 0,
            "why": why,
        }
        next_id = f"{key}#{attempt + 1}"
        self._history.enqueue_attempt(next_id, answer.request or request, following, max(answer.delay_seconds, 0.001))
        self._history.hand_on(workflow_id, f"{key}#{attempt - 1}" if attempt > 2 else None)


def _patiently(action: Callable[[], Answer]) -> Answer:
    """Do what only the database can keep us from, however long it is away; the process may end meanwhile."""
    while True:
        try:
            return action()
        except sa.exc.SQLAlchemyError as error:
            if not is_passing(error):
                raise
            time.sleep(OUTAGE_SECONDS)


def _created(job: Job | None) -> float:
    return job.created_at if job is not None else time.time()


def _failure(reason: str, detail: str, hint: str) -> dict[str, Any]:
    return {"outcome": "failed", "reason": reason, "detail": detail, "hint": hint, "outputs": []}


_LANE_TAKEN = {
    "outcome": "waiting",
    "reason": "one_at_a_time",
    "detail": "Another job works on the same mask, or on masks that become one segmentation with it.",
    "hint": "It runs when that one is over.",
}
_OUTAGE = _failure("database_unreachable", "The database of jobs could not be reached.", "It is tried again.")


def _config(url: str, executor: str) -> DBOSConfig:
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": url,
        "application_version": APPLICATION_VERSION,
        "executor_id": executor,
        "serializer": DBOSPortableJSONSerializer(),  # the default is pickle
        "notification_coalesce_sec": 1.0,
        "scheduler_polling_interval_sec": 3600.0,
        "db_engine_kwargs": {"hide_parameters": True},
        "enable_otlp": False,
        "log_level": "WARNING",
    }
    config["system_database_engine"] = connect(url)
    return config


class _WithoutData(logging.Filter):
    """Lets DBOS's warnings through without tracebacks, which may show what a job was given."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        expected = ("Exception encountered in background workflow", "was cancelled during", "no longer owned by")
        return not any(words in record.getMessage() for words in expected)


def _quiet() -> None:
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else DBOS adds its own to the console
    if not any(isinstance(f, _WithoutData) for f in logger.filters):
        logger.addFilter(_WithoutData())
