"""The port of the durable queue: what the rest of the house may ask of it, whatever library fulfils it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Protocol

from orthanc_mask2seg.model import ArchiveKey, Uid

BUTTON = "button"
"""Origin of what a person waits for."""
SCAN = "scan"
"""Origin of what was in the archive already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What to convert: one version of one mask series. Or what to deliver: one of its results.

    Attributes
    ----------
    version
        `Series.version` at the time of asking.
    rested
        The series has been quiet for long: convert it even if slices of its source lack a mask.
    origin
        Who asked: "watcher" (it has arrived), "scan", "study" (its study has changed), "button", "backfill"; "delivery"
        for one of its results.
    study_version
        Digest of the other series of the study, for work that is done again because they have changed.
    job_id
        Name of the job that does it, told by the queue.
    destination, instance_key
        Where a result goes, and which; `version` is then its SOPInstanceUID.
    named_as_mask
        A person said that this is a mask: whether it looks like one is not asked.
    source_series_uid
        The images that a person named; '' for those that the mask is found to lie on.
    deaths
        How often the process that worked on it died.
    """

    series_key: ArchiveKey
    series_instance_uid: Uid
    study_instance_uid: Uid
    version: str
    rested: bool = False
    origin: str = "watcher"
    study_version: str = ""
    job_id: str = field(default="", compare=False)
    destination: str = ""
    instance_key: str = ""
    named_as_mask: bool = False
    source_series_uid: str = ""
    deaths: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """Name of the job (24 hexadecimal digits): the same work has the same name, whoever asks for it."""
        parts = [self.series_key, self.version, str(self.rested), self.study_version]
        if self.named_as_mask:
            parts.append("named")
        if self.source_series_uid:
            parts.append(f"on {self.source_series_uid}")
        if self.destination:
            parts = [self.destination, self.instance_key, self.version]
        text = "\n".join(parts)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> JobRequest:
        """From the JSON form, also that of another release."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})


FOR_EVER = 1e11
"""Seconds since 1970: later than any job."""


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the history shows it.

    Attributes
    ----------
    result
        The result document (docs/result.md), once it is done.
    error
        Why it failed, or why it waits to be tried again: "outcome", "reason", "detail", "hint".
    created_at, updated_at
        Seconds since 1970, UTC.
    attempts
        How often it was started.
    """

    id: str
    request: JobRequest
    state: JobState
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    attempts: int = 0

    def document(self) -> dict[str, Any]:
        """JSON document of the public interface."""
        return {**asdict(self), "state": str(self.state)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAgain:
    """Answer of a job that is not complete yet: run it again after `delay_seconds`.

    Attributes
    ----------
    why
        Shown in the history meanwhile: "reason", "detail", "hint".
    request
        What to run then, where that differs (`rested`); the job keeps its name.
    """

    delay_seconds: float
    why: Mapping[str, Any] = field(default_factory=dict)
    request: JobRequest | None = None


Run = Callable[[JobRequest], dict[str, Any] | RunAgain]
"""The work itself: returns the result document, or asks to be run again."""

Ended = Callable[[JobRequest, dict[str, Any]], None]
"""Called with the result document before a job is recorded as ended; may be called twice for the same end."""


class Jobs(Protocol):
    """The durable queue and its history."""

    def enqueue(self, request: JobRequest, delay_seconds: float = 0.0) -> str:
        """Ask for a job and return its id; nothing happens where the same job was asked for before."""

    def get(self, job_id: str) -> Job | None:
        """The job with that id."""

    def list(
        self,
        limit: int = 50,
        offset: int = 0,
        states: Sequence[JobState] = (),
        since: float = 0.0,
        until: float = FOR_EVER,
    ) -> tuple[Job, ...]:
        """The history, newest first; of all states where none is named, asked for from then on and before (s)."""

    def count(self, *states: JobState) -> int:
        """How many jobs are in these states."""

    def oldest(self, *states: JobState) -> float | None:
        """When the oldest job in these states was asked for, s since 1970; None where there is none."""

    def retry(self, job_id: str) -> str:
        """Run an ended job again, or a waiting one at once, and return its id.

        Raises
        ------
        StateError
            There is no such job.
        """


class Verdict(StrEnum):
    """What became of a version of a series."""

    PASSED_OVER = "passed_over"
    ENQUEUED = "enqueued"
    CONVERTED = "converted"
    REFUSED = "refused"
    SKIPPED = "skipped"
    FAILED = "failed"


STALE = "stale"
"""In place of `Seen.study_version`: the study has got other images since the mask was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the service remembers of a series: the newest version that it dealt with, and how.

    Attributes
    ----------
    reason
        Code of the refusal, or why the series was passed over.
    job_id
        The job that was asked for, if any.
    study_version
        Digest of the rest of the study at that time, or `STALE`.
    """

    series_key: ArchiveKey
    series_instance_uid: Uid
    study_instance_uid: Uid
    version: str
    verdict: Verdict
    reason: str = ""
    job_id: str = ""
    study_version: str = ""


_UNKNOWN = Uid("")


class StoredState(StrEnum):
    """Where an instance that this service stores is in its life."""

    ANNOUNCED = "announced"
    CURRENT = "current"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended: what a worker tells the watcher, which may be on another host.

    Attributes
    ----------
    study_instance_uid
        The study to look at again, as what the mask lacks may have come meanwhile; empty if there is no need.
    is_image
        The series turned out to be an image: the other masks of the study may belong to it.
    """

    study_instance_uid: Uid
    outcome: str
    reason: str = ""
    is_image: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An instance that this service stored, or is about to store, in the archive for a mask series.

    Attributes
    ----------
    base_uid
        SOPInstanceUID that the segmentation has without a number.
    number
        Which version of the mask it is, where versions are numbered.
    state
        Announced before it is stored, current afterwards; superseded where it stays beside a newer one, marked.
    job_id
        The job that stored it.
    sha256
        Of its file, hexadecimal: what a person has changed since is not ours to delete. Empty where it is not known.
    """

    series_key: ArchiveKey
    orthanc_id: ArchiveKey
    sop_instance_uid: Uid
    series_instance_uid: Uid = _UNKNOWN
    source_series_uid: Uid = _UNKNOWN
    base_uid: Uid = _UNKNOWN
    number: int = 1
    state: StoredState = StoredState.CURRENT
    job_id: str = ""
    sha256: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Stored:
        """From a row, or its JSON form."""
        return cls(**{**row, "state": StoredState(row["state"])})


class Outputs(Protocol):
    """The memory of what was stored."""

    def stored(self, series_key: ArchiveKey) -> tuple[Stored, ...]:
        """What was stored for a mask series and is not deleted since."""

    def announced(self, job_id: str) -> tuple[Stored, ...]:
        """What a job was about to store and did not come to an end with."""

    def stored_at(self, orthanc_id: ArchiveKey) -> Stored | None:
        """What was stored, or announced, at an address."""

    def note_stored(self, *stored: Stored) -> None:
        """Remember what was stored."""

    def exchange_stored(self, row: Stored, instead_of: Stored | None) -> bool:
        """Remember what was stored, unless what is known of its address is not `instead_of` any more; whether it is."""

    def drop_stored(self, *stored: Stored) -> None:
        """Forget what was deleted again, unless something else is known of its address since."""


class Ledger(Outputs, Protocol):
    """The memory of the watcher: how far it has read, what it has dealt with, what was stored."""

    def cursor(self, name: str) -> int | None:
        """How far a journal has been read; None before the first time."""

    def move_cursor(self, name: str, position: int) -> None:
        """Remember how far a journal has been read."""

    def seen(self, series_key: ArchiveKey) -> Seen | None:
        """What became of a series."""

    def remember(self, *seen: Seen) -> None:
        """Remember what became of series, in place of what was known of them."""

    def end(self, seen: Seen, ending: Ending) -> None:
        """Remember how the job on a version of a series ended, and tell the watcher, wherever it is."""

    def tell(self, ending: Ending) -> None:
        """Tell the watcher of a job that is nothing to remember."""

    def endings(self, most: int) -> tuple[Ending, ...]:
        """Take what the workers told since."""

    def mark_stale(self, *series_keys: ArchiveKey) -> None:
        """Note that the studies of these masks have got other images since they were asked for."""

    def forget(self, *series_keys: ArchiveKey) -> None:
        """Forget series that are gone from the archive."""

    def versions(self) -> dict[ArchiveKey, str]:
        """The version dealt with, of every series known."""

    def unfinished(self, study_instance_uid: Uid | None = None) -> tuple[Seen, ...]:
        """Series refused, skipped, still enqueued, or converted but stale, of one study or of all."""

    def unsettled(self, most: int) -> tuple[Stored, ...]:
        """What was announced and nobody came to an end with, yet or ever."""

    def current(self, after: ArchiveKey, most: int) -> tuple[Stored, ...]:
        """What stands for its mask, in the order of the addresses, those beyond one."""

    def count_refused(self, reason: str) -> int:
        """How many series stand refused for a reason."""

    def of_study(self, study_instance_uid: Uid) -> tuple[Seen, ...]:
        """Series of a study, except those that were passed over."""

    def dealt_with(
        self, verdict: Verdict | None, reason: str, study_instance_uid: Uid | None, most: int
    ) -> tuple[Seen, ...]:
        """Series that there was a job on, of which this is so; '' and None for whatever."""

    def refused_in_study(self, study_instance_uid: Uid) -> tuple[Seen, ...]:
        """Series of a study that were refused."""
