"""Workers for a while: for a command that asks for jobs and waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import StateError
from orthanc_mask2seg.jobs.database import database_file
from orthanc_mask2seg.jobs.engine import Engine
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import Jobs, Ledger
from orthanc_mask2seg.jobs.reader import JobReader
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.daemon import SUDDEN_ENDS, lane_of
from orthanc_mask2seg.service.destinations import Deliveries
from orthanc_mask2seg.service.endings import note_end
from orthanc_mask2seg.service.orders import Steps
from orthanc_mask2seg.service.pause import Pause
from orthanc_mask2seg.service.workshop import Workshop

STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Where jobs are asked for.

    Attributes
    ----------
    alone
        Nobody else uses the state: the jobs are done here.
    """

    jobs: Jobs
    ledger: Ledger
    alone: bool


@contextmanager
def working(settings: Settings, archive: Archive, workshop: Workshop) -> Iterator[Queue]:
    """The queue of the state, and somebody who works on it.

    Where a service uses the state, that is the service. Else, or where the state is a PostgreSQL, which any number of
    hosts may share, it is this process: what it does not come to an end with is given back, and is done by whoever
    works on the state next.

    Raises
    ------
    StateError
        The state cannot be used.
    """
    state = Path(settings.state)
    try:
        engine = _engine(settings)
    except StateError as error:
        try:
            history = JobReader(state, settings.database_url)
        except StateError:
            raise error from None
        with closing(history), closing(SqlLedger(state, settings.database_url)) as ledger:
            yield Queue(jobs=history, ledger=ledger, alone=False)
        return
    with closing(SqlLedger(state, settings.database_url)) as ledger:
        stop, steps = threading.Event(), Steps()
        deliveries = Deliveries(archive, settings.destinations, settings.timeout_seconds)
        run = Pause(stop, steps).wrap(workshop.runner(ledger, steps))
        engine.start(deliveries.wrap(run, engine), partial(note_end, ledger), partial(lane_of, settings.merge))
        try:
            yield Queue(jobs=engine, ledger=ledger, alone=not settings.database_url)
        finally:
            stop.set()
            engine.stop(STOP_SECONDS)


def has_memory(settings: Settings) -> bool:
    """Whether a service has used the state before."""
    return bool(settings.database_url) or database_file(Path(settings.state)).exists()


def _engine(settings: Settings) -> Engine:
    return Engine(
        Path(settings.state),
        workers=settings.workers,
        destinations=[destination.label for destination in settings.destinations],
        url=settings.database_url,
        deaths=SUDDEN_ENDS,
        longest_wait_seconds=settings.partial_rest_seconds,
    )
