"""Wires the service together, and stops it cleanly."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from orthanc_mask2seg import __version__, logs
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.encode import warm_up
from orthanc_mask2seg.errors import Mask2SegError
from orthanc_mask2seg.jobs.engine import Engine
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.service.archives import archive_url, open_archive
from orthanc_mask2seg.service.destinations import Deliveries
from orthanc_mask2seg.service.naming import naming_of
from orthanc_mask2seg.service.sieve import passes_over
from orthanc_mask2seg.service.status import ServiceState
from orthanc_mask2seg.service.watcher import Source, Watcher
from orthanc_mask2seg.service.worker import make_runner

StartPage = Callable[[ServiceState, str, int], Callable[[], None]]
"""Starts the status page on a host and port; returns what stops it."""

WATCHER_STOP_SECONDS = 2.0
JOBS_STOP_SECONDS = 6.0

_log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    *,
    archive: Source | None = None,
    start_page: StartPage | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until a signal, or `stop`, says otherwise.

    Parameters
    ----------
    archive
        What to watch; the archive of the settings by default.
    start_page
        The status page, which lives in a room above this one.

    Raises
    ------
    StateError
        Another service uses the state folder.
    ConfigurationError
        The status page cannot have its address.
    """
    logs.prepare(settings.log_level)
    stop = stop or threading.Event()
    source = archive or open_archive(settings)
    naming_of(settings)  # a label table that cannot be read is said now, not at the first mask
    state = Path(settings.state)
    deliveries = Deliveries(source, settings.destinations, settings.timeout_seconds)
    engine = Engine(state, workers=settings.workers, destinations=[d.label for d in settings.destinations])
    ledger = SqlLedger(state)
    watcher = Watcher(source, ledger, engine, settings, lambda series: passes_over(source, series, settings))
    about = ServiceState(
        version=__version__, archive=archive_url(settings), state=state, jobs=engine, watcher=watcher.status
    )
    engine.start(deliveries.wrap(make_runner(source, ledger, settings), engine), watcher.job_ended)
    stop_page = _nothing
    if start_page is not None and settings.status_port:
        try:
            stop_page = start_page(about, settings.status_host, settings.status_port)
        except Mask2SegError:
            engine.stop(0.0)
            raise
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    thread = threading.Thread(target=watcher.run, args=(stop,), name="watcher", daemon=True)
    thread.start()
    sys.stdout.write(_banner(settings, page=stop_page is not _nothing))
    sys.stdout.flush()
    with _signals(stop):
        stop.wait()
    _log.info("stopping")
    stop_page()
    thread.join(WATCHER_STOP_SECONDS)
    given_back = engine.stop(JOBS_STOP_SECONDS)
    _log.info("stopped%s", f"; {given_back} jobs given back, to run again after the next start" if given_back else "")
    if given_back or thread.is_alive():
        _leave()


def _nothing() -> None:
    """Stop no page."""


def _banner(settings: Settings, *, page: bool) -> str:
    address = f"status page http://{settings.status_host}:{settings.status_port}/; " if page else ""
    return f"mask2seg {__version__} serving {archive_url(settings)}; {address}state in {settings.state}\n"


def _leave() -> None:
    """End the process although a thread is still busy: what it does is done again after the next start."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Stop at the first SIGINT or SIGTERM, and at once at the second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if not stop.is_set():
                signal.signal(number, handler)
