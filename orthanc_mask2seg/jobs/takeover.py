"""Takes over the jobs of hosts that have died for ever. For a database that many hosts share.

Every executor writes into a small table that it lives, on the database's clock. One that has itself done so without a
gap for a whole `ttl_seconds` gives the jobs of those that stopped back to the queue. Whoever was frozen, or could not
reach the database, judges nobody for that long: after an outage the others may be just as alive. DBOS fences the stale
owner, and to give a job back twice is to do it once.

DBOS has no public call for this: `_recover_pending_workflows` is used here and nowhere else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from dbos import DBOS

from orthanc_mask2seg.jobs import rows
from orthanc_mask2seg.jobs.database import create_tables, now, upsert

KEPT_SECONDS = 86400.0
"""Time after which a host that is gone is not even remembered."""

_metadata = sa.MetaData()
_executors = sa.Table(
    "mask2seg_executor",
    _metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("beat_at", sa.Double, nullable=False),
)
_log = logging.getLogger(__name__)


class Pulse(NamedTuple):
    """How often an executor says that it lives, and how long the silence of one that is taken for dead."""

    beat_seconds: float = 5.0
    ttl_seconds: float = 20.0


def recover(executors: Sequence[str]) -> None:
    """Give the running jobs of dead executors back to the queue."""
    DBOS._recover_pending_workflows(list(executors))  # noqa: SLF001


class Heart(threading.Thread):
    """Says that this executor lives, and takes over from those that do not.

    Parameters
    ----------
    engine
        The shared database.
    executor
        Name of this executor, another one after each start.
    """

    def __init__(
        self,
        engine: sa.Engine,
        executor: str,
        *,
        pulse: Pulse = Pulse(),  # noqa: B008 - it is frozen
        recover: Callable[[Sequence[str]], None] = recover,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="heart", daemon=True)
        self._engine, self._executor, self._recover, self._clock = engine, executor, recover, clock
        self._beat_seconds, self._ttl_seconds = pulse
        self._stop_asked = threading.Event()
        self._faltered = False
        create_tables(engine, _metadata)
        self._beat()
        self._last = self._healthy_since = clock()

    def run(self) -> None:
        """Beat until stopped. Nothing that the database does ends this."""
        while not self._stop_asked.wait(self._beat_seconds):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001  (a host whose heart has stopped loses its jobs to others)
                self._healthy_since = self._clock()
                if not self._faltered:
                    _log.warning("the database of jobs is away (%s)", type(error).__name__)
                self._faltered = True
            else:
                if self._faltered:
                    _log.warning("the database of jobs is there again")
                self._faltered = False

    def tick(self) -> None:
        """One beat, and a look at the others."""
        if self._clock() - self._last > 2 * self._beat_seconds:
            self._healthy_since = self._clock()
        self._beat()
        self._last = self._clock()
        if self._last - self._healthy_since < self._ttl_seconds:
            return
        dead = sorted(rows.owners(self._engine) - self._alive())
        if dead:
            _log.warning("taking over the jobs of %s, not heard of for %.0f s", ", ".join(dead), self._ttl_seconds)
            self._recover(dead)

    def stop(self) -> None:
        """Say good-bye; what this executor leaves behind may be taken over at once."""
        self._stop_asked.set()
        if self.is_alive():
            self.join(self._beat_seconds)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_executors).where(_executors.c.executor_id == self._executor))

    def _beat(self) -> None:
        moment = now(self._engine)
        with self._engine.begin() as connection:
            values = upsert(self._engine, _executors).values(executor_id=self._executor, beat_at=moment)
            connection.execute(values)
            connection.execute(sa.delete(_executors).where(_executors.c.beat_at < moment - KEPT_SECONDS))

    def _alive(self) -> set[str]:
        query = sa.select(_executors.c.executor_id).where(_executors.c.beat_at > now(self._engine) - self._ttl_seconds)
        with self._engine.connect() as connection:
            return {executor for (executor,) in connection.execute(query)} | {self._executor}
