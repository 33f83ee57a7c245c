"""Finds jobs that nobody would work on, and lets them go on.

Some this process has begun, as the database knows, and nobody works on them: a thread may end without a word where its
database is away or its disk is full at the wrong moment. The host lives, so nobody takes them over.

Others wait for a moment that a wrong clock named: it was a day ahead, and has been set right since.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

import sqlalchemy as sa

from orthanc_mask2seg.jobs import rows

LOOKS = 3
"""A job that has just been taken from the queue is not worked on yet; it is after this many looks."""

FUTURE_SECONDS = 60.0
"""What was made so far ahead of now was made by a clock that has been set back; hosts differ by less."""

_log = logging.getLogger(__name__)


class Orphans(threading.Thread):
    """Gives jobs back to the queue that nobody works on.

    Parameters
    ----------
    active
        What this process works on.
    give_back
        Puts an attempt back into its queue.
    wake
        Lets an attempt that waits for its time run now.
    longest_seconds
        Longest time that an attempt is put off.
    """

    def __init__(
        self,
        engine: sa.Engine,
        executor: str,
        active: Callable[[], Collection[str]],
        give_back: Callable[[str], object],
        wake: Callable[[str], object],
        look_seconds: float,
        longest_seconds: float,
    ) -> None:
        super().__init__(name="orphans", daemon=True)
        self._engine, self._executor, self._active, self._give_back = engine, executor, active, give_back
        self._wake, self._look_seconds, self._longest_seconds = wake, look_seconds, longest_seconds
        self._looks: dict[str, int] = {}
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Look until stopped. Nothing that the database does ends this."""
        while not self._stop_asked.wait(self._look_seconds):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  (the next time will do)
                _log.debug("no look at the running jobs: %s", type(error).__name__)

    def look(self) -> None:
        """Look once."""
        begun = rows.running_on(self._engine, self._executor)
        idle = begun - set(self._active())
        self._looks = {name: self._looks.get(name, 0) + 1 for name in idle}
        for name, looks in self._looks.items():
            if looks >= LOOKS:
                _log.warning("job %s is begun, but nobody works on it: it is queued again", name)
                self._give_back(name)
        soon = time.time() + FUTURE_SECONDS  # the moment of making is the database's, that of waking a host's
        for name in rows.waiting_by_another_clock(self._engine, soon, soon + self._longest_seconds):
            _log.warning("job %s waits by a clock that has been set back since: it goes on now", name)
            self._wake(name)

    def stop(self) -> None:
        """End it."""
        self._stop_asked.set()
