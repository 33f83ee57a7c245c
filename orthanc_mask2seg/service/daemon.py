"""Wires the service together, and stops it cleanly."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from orthanc_mask2seg import __version__, logs
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.encode import warm_up
from orthanc_mask2seg.errors import ConfigurationError, Mask2SegError, StateError
from orthanc_mask2seg.jobs.engine import Engine
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.service.archives import archive_url, open_archive
from orthanc_mask2seg.service.destinations import Deliveries
from orthanc_mask2seg.service.naming import naming_of
from orthanc_mask2seg.service.orders import Orders, Steps
from orthanc_mask2seg.service.sieve import passes_over
from orthanc_mask2seg.service.status import Page, ServiceState
from orthanc_mask2seg.service.watcher import Source, Watcher
from orthanc_mask2seg.service.worker import make_runner

StartPage = Callable[[ServiceState, str, int], Page]
"""Starts the status page on a host and port; 0 is any free port."""

WATCHER_STOP_SECONDS = 2.0
JOBS_STOP_SECONDS = 6.0
LOCK_SECONDS = 30.0
LOCK_RETRY_SECONDS = 0.2
LOG = "service.log"

_log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    *,
    archive: Source | None = None,
    start_page: StartPage | None = None,
    stop: threading.Event | None = None,
    embedded: bool = False,
) -> None:
    """Serve until a signal, or `stop`, says otherwise.

    Parameters
    ----------
    archive
        What to watch; the archive of the settings by default.
    start_page
        The status page, which lives in a room above this one.
    embedded
        Orthanc's plugin is our parent (see `embedded`): wait for a service before us to give the state folder back,
        take any port where the one of the settings is taken, tell the address on stdout, and log to a file too.

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
    engine = _engine(state, settings, stop, wait_seconds=LOCK_SECONDS if embedded else 0.0)
    if embedded:
        logs.also_to(state / LOG)
    ledger = SqlLedger(state)
    steps = Steps()
    watcher = Watcher(source, ledger, engine, settings, lambda series: passes_over(source, series, settings))
    about = ServiceState(
        version=__version__,
        archive=archive_url(settings),
        state=state,
        jobs=engine,
        watcher=watcher.status,
        orders=Orders(source, ledger, engine, settings, steps),
        token=settings.service_token,
        names=settings.status_names,
        certificate_file=settings.status_certificate_file,
        key_file=settings.status_key_file,
    )
    engine.start(deliveries.wrap(make_runner(source, ledger, settings, steps=steps), engine), watcher.job_ended)
    page = None
    if start_page is not None and (settings.status_port or embedded):
        try:
            page = _page(start_page, about, settings, any_port=embedded)
        except Mask2SegError:
            engine.stop(0.0)
            raise
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    thread = threading.Thread(target=watcher.run, args=(stop,), name="watcher", daemon=True)
    thread.start()
    sys.stdout.write(_address(settings, page) if embedded else _banner(settings, page))
    sys.stdout.flush()
    with _signals(stop):
        stop.wait()
    _log.info("stopping")
    if page is not None:
        page.stop()
    thread.join(WATCHER_STOP_SECONDS)
    given_back = engine.stop(JOBS_STOP_SECONDS)
    _log.info("stopped%s", f"; {given_back} jobs given back, to run again after the next start" if given_back else "")
    if given_back or thread.is_alive():
        _leave()


def _engine(state: Path, settings: Settings, stop: threading.Event, *, wait_seconds: float) -> Engine:
    """The engine, once whoever has the state folder gives it back: an Orthanc that was killed has left a service."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return Engine(state, workers=settings.workers, destinations=[d.label for d in settings.destinations])
        except StateError:
            if time.monotonic() > deadline or stop.wait(LOCK_RETRY_SECONDS):
                raise


def _page(start_page: StartPage, about: ServiceState, settings: Settings, *, any_port: bool) -> Page:
    try:
        return start_page(about, settings.status_host, settings.status_port)
    except ConfigurationError:
        if not any_port:
            raise
        _log.warning("port %d is taken: the status page is on another one", settings.status_port)
        return start_page(about, settings.status_host, 0)


def _address(settings: Settings, page: Page | None) -> str:
    """Tell the plugin where we serve."""
    return json.dumps({"serving": settings.status_url(page.port) if page else ""}) + "\n"


def _banner(settings: Settings, page: Page | None) -> str:
    address = f"status page {settings.status_url(page.port)}/; " if page else ""
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
