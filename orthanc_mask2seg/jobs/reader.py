"""The history of jobs in DBOS's own tables, for any process: the service itself, and the command line beside it.

One job is one workflow, named by the key of the request. Where it has to run again later, the next attempt is a
workflow `<key>#<n>` with a delay, and the attempt before is marked CANCELLED, which in these tables means "handed on":
so a query by state finds each job once. The first one stays for ever, because its name is what makes enqueueing
idempotent.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus
from dbos import error as dbos_error

from orthanc_mask2seg.errors import StateError
from orthanc_mask2seg.jobs import rows
from orthanc_mask2seg.jobs.database import address, connect, database_file, is_embedded, prepare
from orthanc_mask2seg.jobs.port import BUTTON, FOR_EVER, SCAN, Job, JobRequest, JobState

APPLICATION = "mask2seg"
APPLICATION_VERSION = "1"
"""Constant: DBOS's default is a hash of the code, and an upgrade would strand the jobs that wait."""
QUEUE = "masks"
PRIORITIES = {BUTTON: 1, SCAN: 20, "backfill": 20}
PRIORITY = 10
"""What a person waits for runs first: by origin of the request, the lowest number first."""
WORKFLOW = "convert"


def queue_of(destination: str) -> str:
    """Queue of the deliveries to a destination, so that one that is down holds up nobody; '' for conversions."""
    return f"to {destination}" if destination else QUEUE


_STATES = {
    "DELAYED": JobState.WAITING,
    "ENQUEUED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "SUCCESS": JobState.DONE,
    "ERROR": JobState.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": JobState.QUARANTINED,
}
_NO_HISTORY = "the state folder holds no history of jobs that can be read"
_NO_HISTORY_HINT = "Has 'mask2seg serve' run with this folder (State)?"
_QUARANTINED = {
    "outcome": "failed",
    "reason": "quarantined",
    "detail": "The service died each time it worked on this series.",
    "hint": "See the log of the service, then 'mask2seg jobs retry'.",
}


class History:
    """The `Jobs` port, without the part that runs them."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self._client = DBOSClient(
            system_database_engine=self.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()
        self.engine.dispose()

    def enqueue(self, request: JobRequest, delay_seconds: float = 0.0) -> str:
        """Ask for a job and return its id; nothing happens where the same job was asked for before.

        But where a person asks for what waits already, it goes before the others from then on.
        """
        self.enqueue_attempt(request.key, request, {}, delay_seconds)
        if request.origin == BUTTON:
            rows.raise_priority(self.engine, request.key, PRIORITIES[BUTTON])
        return request.key

    def enqueue_attempt(
        self, workflow_id: str, request: JobRequest, past: dict[str, Any], delay_seconds: float
    ) -> None:
        """Ask for one attempt of a job."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": queue_of(request.destination),
            "workflow_id": workflow_id,
            "app_version": APPLICATION_VERSION,
            "priority": PRIORITIES.get(request.origin, PRIORITY),
        }
        if delay_seconds > 0:
            options["delay_seconds"] = delay_seconds
        self._client.enqueue(options, request.document(), past)

    def hand_on(self, workflow_id: str, previous: str | None) -> None:
        """Mark an attempt as handed on, and drop the one before it."""
        self._client.cancel_workflow(workflow_id)
        if previous is not None:
            self._client.delete_workflow(previous)

    def get(self, job_id: str) -> Job | None:
        """The job with that id."""
        status = self._newest(job_id)
        return None if status is None else _job(status)

    def list(
        self,
        limit: int = 50,
        offset: int = 0,
        states: Sequence[JobState] = (),
        since: float = 0.0,
        until: float = FOR_EVER,
    ) -> tuple[Job, ...]:
        """The history, newest first; of all states where none is named."""
        if states and (since, until) == (0.0, FOR_EVER):
            found = self._client.list_workflows(
                status=_names(states), name=WORKFLOW, limit=limit, offset=offset, sort_desc=True
            )
        else:
            names = rows.newest(self.engine, WORKFLOW, _names(states), limit, offset, since, until)
            found = self._client.list_workflows(workflow_ids=list(names), sort_desc=True) if names else []
        jobs: dict[str, Job] = {}
        for status in found:
            job = _job(status)
            jobs.setdefault(job.id, job)
        return tuple(jobs.values())

    def count(self, *states: JobState) -> int:
        """How many jobs are in these states."""
        return rows.count(self.engine, WORKFLOW, _names(states))

    def oldest(self, *states: JobState) -> float | None:
        """When the oldest job in these states was asked for, s since 1970."""
        return rows.oldest(self.engine, WORKFLOW, _names(states))

    def retry(self, job_id: str) -> str:
        """Run an ended job again, or a waiting one at once, and return its id.

        Raises
        ------
        StateError
            There is no such job.
        """
        status = self._newest(job_id)
        if status is None:
            raise StateError(f"there is no job {job_id}", hint="See 'mask2seg jobs list'.")
        if status.status == "DELAYED":
            self.wake(status.workflow_id)
        elif status.status not in {"PENDING", "ENQUEUED"}:
            with suppress(dbos_error.DBOSException):  # somebody else was faster
                self._client.rewind_workflow(status.workflow_id, queue_name=status.queue_name or QUEUE)
        return job_id

    def wake(self, workflow_id: str) -> None:
        """Let an attempt that waits for its time run now."""
        self._client.set_workflow_delay(workflow_id, delay_seconds=0.0)

    def release(self, executor: str) -> int:
        """Give back the jobs that a stopped service left unfinished, as if they had not been started."""
        running = self._client.list_workflows(
            status="PENDING", name=WORKFLOW, executor_id=executor, load_input=False, load_output=False
        )
        for status in running:
            self._client.resume_workflow(status.workflow_id, queue_name=status.queue_name or QUEUE)
        return len(running)

    def ended_before(self, seconds: float, after: str, most: int) -> tuple[str, ...]:
        """Names of attempts that ended before a moment (s since 1970), those beyond the name `after`."""
        return rows.ended_before(self.engine, WORKFLOW, seconds, after, most)

    def forget(self, job_id: str) -> None:
        """Delete a job with all its attempts."""
        found = self._client.list_workflows(
            workflow_id_prefix=job_id, name=WORKFLOW, load_input=False, load_output=False
        )
        self._client.delete_workflows([s.workflow_id for s in found if s.workflow_id.partition("#")[0] == job_id])

    def _newest(self, job_id: str) -> WorkflowStatus | None:
        if not job_id.isalnum():
            return None
        found = self._client.list_workflows(workflow_id_prefix=job_id, name=WORKFLOW, status=_names(()))
        attempts = {_attempt(s.workflow_id): s for s in found if s.workflow_id.partition("#")[0] == job_id}
        return attempts[max(attempts)] if attempts else None


class JobReader(History):
    """The history beside a service that may be running, for the command line.

    Raises
    ------
    StateError
        No service has used this folder yet, or the history is damaged.
    """

    def __init__(self, state: Path, url: str = "") -> None:
        if not url and not database_file(state).exists():
            raise StateError(_NO_HISTORY, hint=_NO_HISTORY_HINT)
        url = address(state, url)
        if not is_embedded(url):
            prepare(url)
        super().__init__(url)
        try:
            self.list(limit=1)
        except sa.exc.DatabaseError as error:
            self.close()
            raise StateError(_NO_HISTORY, hint=_NO_HISTORY_HINT) from error


def _attempt(workflow_id: str) -> int:
    return int(workflow_id.partition("#")[2] or 1)


def _names(states: Sequence[JobState]) -> list[str]:
    return [name for name, state in _STATES.items() if not states or state in states]


def _job(status: WorkflowStatus) -> Job:
    job_id, _, _attempt = status.workflow_id.partition("#")
    request, past = _arguments(status)
    state = _STATES[status.status]
    return Job(
        id=job_id,
        request=request,
        state=state,
        result=status.output if state is JobState.DONE else None,
        error=_error(status, state, past),
        created_at=past.get("created_at") or (status.created_at or 0) / 1000,
        updated_at=(status.updated_at or 0) / 1000,
        attempts=past.get("attempts", 0) + (status.recovery_attempts or 0),
    )


def _arguments(status: WorkflowStatus) -> tuple[JobRequest, dict[str, Any]]:
    arguments = status.input["args"] if status.input else ()
    request, past = arguments
    return JobRequest.of(request), past


def _error(status: WorkflowStatus, state: JobState, past: dict[str, Any]) -> dict[str, Any] | None:
    if state is JobState.FAILED:
        data = getattr(status.error, "data", None)
        return data if isinstance(data, dict) else {"outcome": "failed", "reason": "internal_error"}
    if state is JobState.QUARANTINED:
        return dict(_QUARANTINED)
    return past.get("why") if state is not JobState.DONE else None
