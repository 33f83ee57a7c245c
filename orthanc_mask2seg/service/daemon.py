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
from functools import partial
from pathlib import Path
from types import FrameType

from orthanc_mask2seg import __version__, logs
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ConfigurationError, Mask2SegError, StateError
from orthanc_mask2seg.jobs.engine import Engine
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.notify.notifier import Notifier
from orthanc_mask2seg.service.archives import archive_url, open_archive
from orthanc_mask2seg.service.checkup import Checkup
from orthanc_mask2seg.service.destinations import Deliveries
from orthanc_mask2seg.service.endings import note_end
from orthanc_mask2seg.service.leader import LEASE_SECONDS, Leader
from orthanc_mask2seg.service.naming import naming_of
from orthanc_mask2seg.service.news import Lookout, notifier_of, telling
from orthanc_mask2seg.service.orders import Orders, Steps
from orthanc_mask2seg.service.pause import Pause
from orthanc_mask2seg.service.pictures import Gallery
from orthanc_mask2seg.service.status import Page, ServiceState, state_alarm
from orthanc_mask2seg.service.undo import Undoing
from orthanc_mask2seg.service.watcher import Source, Watcher
from orthanc_mask2seg.service.workshop import Apart, Here, Workshop

StartPage = Callable[[ServiceState, str, int], Page]
"""Starts the status page on a host and port; 0 is any free port."""

WATCHER_STOP_SECONDS = 2.0
STOP_SECONDS = 5.0
LONGEST_STOP_SECONDS = 8.5
"""All in all; the engine takes up to 2 s more where its database does not answer."""
WATCHER = "watcher"
SUDDEN_ENDS = 1000
"""A job is put aside after so many sudden ends of the service in the middle of it: they are power cuts, as jobs run in
processes of their own, whose deaths the workshop counts."""
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
    watches: bool = True,
    works: bool = True,
    as_json: bool = False,
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
    watches, works
        The parts of the service: the watcher with the status page, and the workers. Each alone needs a database that
        it shares with the other.
    as_json
        Tell the address of the status page as a JSON document, once it serves.

    Raises
    ------
    StateError
        Another service uses the state folder, or the database cannot be used.
    ConfigurationError
        The status page cannot have its address, or a part of the service is alone.
    """
    if not (watches and works) and not settings.database_url:
        raise ConfigurationError(
            "the watcher and the workers need a database that they share",
            hint="Set DatabaseUrlFile (see docs/scale.md), or use mask2seg serve.",
        )
    logs.prepare(settings.log_level)
    stop = stop or threading.Event()
    source = archive or open_archive(settings)
    notifier = _notifier(settings)
    naming_of(settings)  # a label table that cannot be read is said now, not at the first mask
    state = Path(settings.state)
    url = settings.database_url
    deliveries = Deliveries(source, settings.destinations, settings.timeout_seconds)
    engine = _engine(settings, stop, workers=settings.workers if works else 0, patient=embedded)
    if embedded:
        logs.also_to(state / LOG)
    ledger = SqlLedger(state, url)
    steps = Steps()
    shared = engine.alarms() if url else None
    pause = Pause(stop, steps) if shared is None else Pause(stop, steps, tell=shared.tell)
    workshop: Workshop = Apart(settings, works=works, looks=watches) if archive is None else Here(archive, settings)
    watcher = Leader(
        lambda: Watcher(source, ledger, engine, settings, workshop.look), engine.lease(WATCHER, LEASE_SECONDS)
    )
    about = ServiceState(
        version=__version__,
        archive=archive_url(settings),
        state=state,
        jobs=engine,
        watcher=watcher.status,
        orders=Orders(source, ledger, engine, workshop.look, steps),
        gallery=Gallery(workshop.draw),
        explain=workshop.explain,
        findings=Checkup(source).findings,
        undoing=Undoing(archive=source, ledger=ledger, jobs=engine, undone=engine.undone(), settings=settings),
        token=settings.service_token,
        names=settings.status_names,
        certificate_file=settings.status_certificate_file,
        key_file=settings.status_key_file,
        alarm=lambda: pause.alarm() or state_alarm(watcher.status()) or (shared.oldest() if shared else None),
    )
    lookout = Lookout(notifier, about.alarm, engine, settings.stuck_minutes * 60)
    workshop.open()
    run = deliveries.wrap(pause.wrap(workshop.runner(ledger, steps)), engine)
    engine.start(run, telling(partial(note_end, ledger), notifier), partial(lane_of, settings.merge))
    page = None
    if start_page is not None and watches and (settings.status_port or embedded):
        try:
            page = _page(start_page, about, settings, any_port=embedded)
        except Mask2SegError:
            engine.stop(0.0)
            workshop.close()
            raise
    thread = threading.Thread(target=watcher.run, args=(stop,), name="leader", daemon=True)
    if watches:
        thread.start()
        threading.Thread(target=lookout.run, args=(stop,), name="lookout", daemon=True).start()
        engine.forget_after(settings.history_days, ledger, stop)
    told = embedded or as_json
    sys.stdout.write(_address(settings, page) if told else _banner(settings, page, watches=watches, works=works))
    sys.stdout.flush()
    with _signals(stop):
        stop.wait()
    _stopped(page, thread if watches else None, engine, workshop, notifier)


def _stopped(
    page: Page | None, leader: threading.Thread | None, engine: Engine, workshop: Workshop, notifier: Notifier
) -> None:
    """Finish what can be finished, and give the rest back."""
    _log.info("stopping")
    deadline = time.monotonic() + STOP_SECONDS
    if page is not None:
        page.stop()
    if leader is not None:
        leader.join(WATCHER_STOP_SECONDS)
    given_back = engine.stop(max(deadline - time.monotonic(), 0.0))
    notifier.close()
    _log.info("stopped%s", f"; {given_back} jobs given back, to run again after the next start" if given_back else "")
    if given_back or (leader is not None and leader.is_alive()):
        _leave()  # the processes of the workshop are killed with this one
    workshop.close()


def lane_of(merge: str, request: JobRequest) -> str:
    """What no two jobs may work on at a time: a mask, or a study where its masks become one segmentation."""
    return request.study_instance_uid if merge == "study" else request.series_key


def _engine(settings: Settings, stop: threading.Event, *, workers: int, patient: bool) -> Engine:
    """The engine, once whoever has the state folder gives it back: an Orthanc that was killed has left a service."""
    deadline = time.monotonic() + (LOCK_SECONDS if patient else 0.0)
    labels = [destination.label for destination in settings.destinations]
    while True:
        try:
            return Engine(
                Path(settings.state),
                workers=workers,
                destinations=labels,
                url=settings.database_url,
                deaths=SUDDEN_ENDS,
                longest_wait_seconds=settings.partial_rest_seconds,
            )
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


def _banner(settings: Settings, page: Page | None, *, watches: bool, works: bool) -> str:
    where = "PostgreSQL" if settings.database_url else settings.state
    does = "serving" if watches and works else "watching" if watches else "working for"
    address = f"status page {settings.status_url(page.port)}/; " if page else ""
    return f"mask2seg {__version__} {does} {archive_url(settings)}; {address}state in {where}\n"


def _notifier(settings: Settings) -> Notifier:
    try:
        return notifier_of(settings)
    except ValueError as error:
        raise ConfigurationError(f"WebhookTemplate: {error}") from None


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
        last = threading.Timer(LONGEST_STOP_SECONDS, _leave)  # whatever does not come to its end: it is done again
        last.daemon = True
        last.start()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if not stop.is_set():
                signal.signal(number, handler)
