"""The process that works on jobs, so that no file can take the service down: `child.py` is run by `sandbox`.

It has a connection to the archive of its own, is limited in memory, and dies with the service. The settings, secrets
among them, come through the pipe and are in no argument and no environment.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from orthanc_mask2seg import logs
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.jobs.port import JobRequest, RunAgain, Stored
from orthanc_mask2seg.model import ArchiveKey, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.messages import answer_message, fault_message, receive, send

_PR_SET_PDEATHSIG = 1
MEGABYTE = 1 << 20

Runner = Callable[[JobRequest], dict[str, Any] | RunAgain]


class RemoteOutputs:
    """The part of the ledger that a job needs, which is the service's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def stored(self, series_key: ArchiveKey) -> tuple[Stored, ...]:
        """What was stored for a mask series and is not deleted since."""
        return tuple(map(Stored.of, self._ask("stored", series_key)))

    def announced(self, job_id: str) -> tuple[Stored, ...]:
        """What a job was about to store and did not come to an end with."""
        return tuple(map(Stored.of, self._ask("announced", job_id)))

    def stored_at(self, orthanc_id: ArchiveKey) -> Stored | None:
        """What was stored, or announced, at an address."""
        row = self._ask("stored_at", orthanc_id)
        return None if row is None else Stored.of(row)

    def exchange_stored(self, row: Stored, instead_of: Stored | None) -> bool:
        """Remember what was stored, unless what is known of its address is not `instead_of` any more; whether it is."""
        before = None if instead_of is None else asdict(instead_of)
        return bool(self._ask("exchange_stored", asdict(row), before))

    def note_stored(self, *stored: Stored) -> None:
        """Remember what was stored."""
        self._ask("note_stored", *map(asdict, stored))

    def drop_stored(self, *stored: Stored) -> None:
        """Forget what was deleted again, unless something else is known of its address since."""
        self._ask("drop_stored", *map(asdict, stored))

    def _ask(self, what: str, *arguments: Any) -> Any:
        send(self._connection, {"ask": what, "arguments": arguments})
        return receive(self._connection)["reply"]


class RemoteSteps:
    """Tells the service what its job is doing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, key: ArchiveKey, step: str) -> None:
        """Note that a step begins."""
        send(self._connection, {"step": step, "series": key})

    def end(self, key: ArchiveKey) -> None:
        """Note that the job is over; the service knows by itself."""

    def sized(self, pixel_bytes: int, planes: int) -> None:
        """Tell how large the work is, as the headers say."""
        send(self._connection, {"size": pixel_bytes, "planes": planes})


def main(arguments: list[str]) -> None:
    """Work until the service closes the pipe."""
    descriptor, parent = map(int, arguments)
    _die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group: the service decides when we end
        signal.signal(number, signal.SIG_IGN)
    connection = Connection(descriptor)
    settings: Settings
    settings, warm = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the service that started us
    logs.prepare(settings.log_level)
    if warm:
        _warm_up()
    from orthanc_mask2seg.service.archives import open_archive  # noqa: PLC0415 - see _warm_up

    archive = open_archive(settings)
    runner = _runner(archive, settings, connection) if warm else None
    _limit(settings.job_memory_mb)
    send(connection, {"ready": os.getpid()})
    while True:
        try:
            message = receive(connection)
        except (EOFError, OSError, ValueError):
            return
        send(connection, _done(message, archive, settings, runner))


def _warm_up() -> None:
    """Read highdicom's tables while there is little else in memory: nothing later takes as much."""
    from orthanc_mask2seg.core.encode import warm_up  # noqa: PLC0415 - not in the process that only looks

    warm_up()


def _runner(archive: Archive, settings: Settings, connection: Connection) -> Runner:
    """The work of a job, ready to begin at once."""
    from orthanc_mask2seg.service.worker import make_runner  # noqa: PLC0415 - not in the process that only looks

    return make_runner(archive, RemoteOutputs(connection), settings, steps=RemoteSteps(connection))


def _done(message: dict[str, Any], archive: Archive, settings: Settings, runner: Runner | None) -> dict[str, Any]:
    """Do what is asked, whatever comes of it."""
    try:
        if "run" in message and runner is not None:
            return answer_message(runner(JobRequest.of(message["run"])))
        if "draw" in message:
            return {"drawn": _drawn(archive, message["draw"], settings)}
        if "explain" in message:
            return {"explained": _explained(archive, message["explain"], settings)}
        return {"look": _look(archive, message["look"], settings)}
    except Exception as error:  # noqa: BLE001 - told to the service, which decides
        return fault_message(error)


def _look(archive: Archive, told: dict[str, Any], settings: Settings) -> str | None:
    from orthanc_mask2seg.service.sieve import passes_over  # noqa: PLC0415 - reads pixels

    series = Series(**{**told, "instance_keys": tuple(told["instance_keys"])})
    return passes_over(archive, series, settings)


def _explained(archive: Archive, told: dict[str, Any], settings: Settings) -> list[dict[str, Any]]:
    from orthanc_mask2seg.service.explaining import explained  # noqa: PLC0415 - reads pixels

    return explained(archive, str(told["series"]), str(told["source"]), settings)


def _drawn(archive: Archive, told: dict[str, Any], settings: Settings) -> list[str]:
    from orthanc_mask2seg.service.pictures import drawn  # noqa: PLC0415 - reads pixels

    return drawn(archive, str(told["series"]), str(told["kind"]), settings)


def _die_with(parent: int) -> None:
    """Be killed when the service ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _limit(megabytes: int) -> None:
    """Refuse this process more memory than so much (heap and private mappings), and leave no image of it on disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if megabytes:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * MEGABYTE, megabytes * MEGABYTE))


if __name__ == "__main__":
    main(sys.argv[1:])
