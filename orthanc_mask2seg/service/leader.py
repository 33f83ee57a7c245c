"""One watcher at a time for one archive, however many hosts run one: the others stand by.

Two at a time would do no harm: they ask for the same jobs under the same names, and the cursor never passes what is
not asked for. But they would look at everything twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from orthanc_mask2seg.service.status import Counters, WatcherStatus

LEASE_SECONDS = 15.0
RENEW_SECONDS = 3.0
STOP_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Lease(Protocol):
    """Held by one owner at a time; it ends by itself."""

    def hold(self) -> bool:
        """Take the lease, or renew it; whether it is ours now."""

    def give_up(self) -> None:
        """Let another one have it at once."""


class Watching(Protocol):
    """A watcher."""

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop."""

    def status(self) -> WatcherStatus:
        """How it goes."""


class Leader:
    """Runs a watcher while this process holds the lease.

    Parameters
    ----------
    make
        Makes a watcher, which remembers what the one before it did, wherever that was.
    """

    def __init__(
        self,
        make: Callable[[], Watching],
        lease: Lease,
        *,
        lease_seconds: float = LEASE_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._make, self._lease = make, lease
        self._lease_seconds, self._renew_seconds = lease_seconds, renew_seconds
        self._watcher: Watching | None = None
        self._standby = Counters(reachable=True, error="standby").status(0, 0)

    def status(self) -> WatcherStatus:
        """How the watcher goes, if it runs here."""
        watcher = self._watcher
        return self._standby if watcher is None else watcher.status()

    def run(self, stop: threading.Event) -> None:
        """Watch, or stand by, until told to stop."""
        while not stop.is_set():
            if self._holds():
                try:
                    self._lead(stop)
                except Exception as error:  # noqa: BLE001  (a watcher that never comes again is worse)
                    _log.warning("the watcher cannot start: %s", type(error).__name__)
            stop.wait(self._renew_seconds)

    def _lead(self, stop: threading.Event) -> None:
        _log.info("watching")
        ended = threading.Event()
        self._watcher = self._make()
        thread = threading.Thread(target=self._watcher.run, args=(ended,), name="watcher", daemon=True)
        thread.start()
        renewed = time.monotonic()
        while not stop.wait(self._renew_seconds):
            asked = time.monotonic()
            if self._holds():
                renewed = asked
            elif time.monotonic() - renewed > self._lease_seconds - self._renew_seconds:
                _log.warning("another host may be watching now: standing by")
                break
        ended.set()
        thread.join(STOP_SECONDS)
        self._watcher = None
        if stop.is_set() and not thread.is_alive():
            with suppress(Exception):  # it ends by itself
                self._lease.give_up()

    def _holds(self) -> bool:
        try:
            return self._lease.hold()
        except Exception as error:  # noqa: BLE001  (the database may be away for a while)
            _log.warning("the lease of the watcher cannot be renewed: %s", type(error).__name__)
            return False
