"""What the service tells about itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orthanc_mask2seg.jobs.alarms import Alarm
from orthanc_mask2seg.jobs.port import Jobs
from orthanc_mask2seg.service.orders import Orders
from orthanc_mask2seg.service.pictures import Gallery
from orthanc_mask2seg.service.undo import Undoing

Explain = Callable[[str, str], list[dict[str, Any]]]
"""Documents of the results of a series, on a source that is named or ''."""

STATE_UNAVAILABLE = "state_unavailable"
"""Code of what is wrong where the database of the state cannot be written or reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherStatus:
    """A moment of the watcher.

    Attributes
    ----------
    reachable
        The archive answered last time.
    error
        Code of what is wrong, empty if nothing is.
    since
        When `reachable` last changed, seconds since 1970.
    known, pending
        Series dealt with, and under observation.
    passed_over
        Series that are no masks, by reason.
    outcomes
        Jobs that ended, by outcome.
    """

    reachable: bool
    error: str
    since: float
    known: int
    pending: int
    enqueued: int
    polls: int
    scans: int
    passed_over: Mapping[str, int]
    outcomes: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


@dataclass(slots=True)
class Counters:
    """What the watcher counts since its start."""

    reachable: bool = False
    error: str = "starting"
    since: float = field(default_factory=time.time)
    enqueued: int = 0
    polls: int = 0
    scans: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def status(self, known: int, pending: int) -> WatcherStatus:
        """A copy that does not change."""
        return WatcherStatus(
            reachable=self.reachable,
            error=self.error,
            since=self.since,
            known=known,
            pending=pending,
            enqueued=self.enqueued,
            polls=self.polls,
            scans=self.scans,
            passed_over=dict(self.passed_over),
            outcomes=dict(self.outcomes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What the status page may read, and ask for.

    Attributes
    ----------
    token
        What those must know who ask for work, where it is set.
    names
        Names that browsers may call the page by, beside those of this machine.
    certificate_file, key_file
        For TLS (PEM); '' for none.
    gallery
        Pictures of what was stored.
    findings
        What the doctor says of the PACS, as documents.
    undoing
        Takes back what a job stored.
    explain
        What would become of a series, on images that a person names or '': nothing is stored.
    alarm
        Why the service is paused, if it is.
    """

    version: str
    archive: str
    state: Path
    jobs: Jobs
    watcher: Callable[[], WatcherStatus]
    orders: Orders
    gallery: Gallery
    undoing: Undoing | None = None
    findings: Callable[[], tuple[dict[str, Any], ...]] = tuple
    token: str = field(default="", repr=False)
    names: tuple[str, ...] = ()
    certificate_file: str = ""
    key_file: str = ""
    alarm: Callable[[], Alarm | None] = lambda: None
    explain: Explain | None = None


def state_alarm(status: WatcherStatus) -> Alarm | None:
    """The alarm of a state that cannot be written: nothing is taken in until it can."""
    if status.error != STATE_UNAVAILABLE:
        return None
    detail = "The state of the service cannot be written: its disk is full or read-only, or its database is away"
    hint = "Make room, or start the database; the service goes on by itself and loses nothing."
    return Alarm(STATE_UNAVAILABLE, detail, hint, status.since)


@dataclass(frozen=True, slots=True)
class Page:
    """A status page that is served."""

    port: int
    stop: Callable[[], None]
