"""A hundred thousand histories of the service in memory: the real watcher, the real body of jobs, time made up.

    python -m tests.faults.simulation --histories 100000 --seed 1

One or two services and a sender share an archive. At each call of a port another one of them may go on, the call may
fail before or after it was done, or its service may die. Everything follows from the seed of the history. In the end,
when nothing fails any more, each mask has its one segmentation or its reason.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from greenlet import getcurrent, greenlet
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveBusy, ArchiveUnreachable, Mask2SegError, NotInArchive
from orthanc_mask2seg.jobs.engine import Backoff
from orthanc_mask2seg.jobs.port import JobRequest, JobState, RunAgain
from orthanc_mask2seg.model import ArchiveKey, Outcome, OutputReport, Reason, Result, Segmentation, Series
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.pacs.part10 import header_of, identity_of, series_of
from orthanc_mask2seg.pacs.port import ChangesPage
from orthanc_mask2seg.service.endings import note_end
from orthanc_mask2seg.service.pipeline import NotYet
from orthanc_mask2seg.service.storing import Gone
from orthanc_mask2seg.service.watcher import CURSOR, Watcher
from orthanc_mask2seg.service.worker import make_runner
from tests.faults.in_memory import Entry, MemoryJobs, MemoryLedger
from tests.faults.tiny import JOURNALLED, Tale, Told, seg_of, tale

SETTINGS = Settings(
    settle_seconds=1.5, partial_rest_seconds=4.0, poll_seconds=0.7, scan_seconds=8.0, workers=2, labels=False
)
CALM_SECONDS = 150.0
STILL_SECONDS = 25.0
WORKER_SECONDS = 0.4
BACKOFF = Backoff(first_seconds=0.5, ceiling_seconds=5.0)


class Dead(BaseException):
    """The process is gone: nothing of it goes on."""


class SimulatedArchive(MemoryArchive):
    """The archive in memory, which reads no header twice."""

    _homes: ClassVar[dict[ArchiveKey, ArchiveKey]] = {}

    def series(self, key: ArchiveKey) -> Series:
        known = self._instances_of(key)
        if not known:
            raise NotInArchive("There is no such series in memory")
        first = _first(key, next(iter(known.values())).content)
        arrivals = [one.arrival for one in known.values()]
        return replace(first, instance_keys=tuple(known), last_update=str(max(arrivals)))

    def headers(self, series: Series) -> tuple[Dataset, ...]:
        return tuple(_header(self.content(key)) for key in series.instance_keys)

    def _instances_of(self, series: ArchiveKey) -> dict[ArchiveKey, Any]:
        for key in self._instances.keys() - self._homes.keys():
            self._homes[key] = self._instances[key].identity.series_key
        homes = self._homes
        return {key: one for key, one in self._instances.items() if homes[key] == series}

    def start_anew(self) -> None:
        """The database is replaced by a copy whose journal begins at one."""
        with self._lock:
            self._sequence, self._journal = 0, []


_header = lru_cache(maxsize=20_000)(header_of)


@lru_cache(maxsize=20_000)
def _first(key: ArchiveKey, content: bytes) -> Series:
    study = identity_of(content).study_key
    return series_of(_header(content), key=key, study_key=study, instance_keys=(), last_update="")


@dataclass
class Shares:
    """How often something happens at a call; `spared` are places where nobody dies.

    A worker that stands still for longer than its lease has its job taken over, and goes on some time later.
    """

    fault: float = 0.02
    death: float = 0.004
    lost: float = 0.03
    doubled: float = 0.03
    late: float = 0.05
    still: float = 0.003
    spared: frozenset[str] = frozenset()


WITHOUT_SCAN = Shares(lost=0.0, spared=frozenset({"after remember", "before enqueue"}))
"""What can be borne without a scan: nothing is lost for good, or changed later, or remembered and not asked for."""


class World:
    """Time, and who goes on when."""

    def __init__(self, dice: random.Random, shares: Shares) -> None:
        self.dice, self.shares = dice, shares
        self.now = 0.0
        self.calm = False
        self.faults: Counter[str] = Counter()
        self._queue: list[tuple[float, int, greenlet]] = []
        self._order = itertools.count()
        self._hub = getcurrent()

    def spawn(self, work: Callable[[], None], delay: float = 0.0) -> None:
        """Let something go on by itself."""
        self._at(self.now + delay, greenlet(work, parent=self._hub))

    def sleep(self, seconds: float) -> None:
        """Let the others go on for so long."""
        self._at(self.now + seconds, getcurrent())
        self._hub.switch()

    def breathe(self) -> None:
        """The time that a call takes, in which others may go on."""
        roll = self.dice.random()
        if roll < 0.3:
            self.sleep(self.dice.random() * (0.05 if roll < 0.28 else 2.0))

    def run(self, until: float) -> None:
        """Go on until a time."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, one = heapq.heappop(self._queue)
            one.switch()
        self.now = until

    def end(self) -> None:
        """Let nothing go on: what waits would keep its history in memory for ever."""
        while self._queue:
            heapq.heappop(self._queue)[-1].throw()

    def _at(self, when: float, one: greenlet) -> None:
        heapq.heappush(self._queue, (when, next(self._order), one))


class Service:
    """One process: a watcher and workers on an archive, with a memory that outlives it."""

    def __init__(self, world: World, archive: SimulatedArchive, name: str, *, scanned: bool = True) -> None:
        self.world, self.archive, self.name = world, archive, name
        self.ledger, self.jobs = MemoryLedger(), MemoryJobs(lambda: world.now)
        if not scanned:
            self.ledger.move_cursor(CURSOR, 0)  # what is older than the service is found by the scan alone
        self.life = 0
        self.entries: dict[int, tuple[str, float]] = {}
        self.working: dict[greenlet, Entry] = {}
        self.start()

    def start(self) -> None:
        """Begin a life."""
        self.life += 1
        self.jobs.recover()
        life = self.life
        archive = Door(self, self.archive, life, faulty=True)
        ledger, jobs = Door(self, self.ledger, life), Door(self, self.jobs, life)
        run = make_runner(archive, ledger, SETTINGS, convert=convert)  # type: ignore[arg-type]
        self.world.spawn(lambda: self._watch(archive, ledger, jobs))
        for _ in range(SETTINGS.workers):
            self.world.spawn(lambda: self._work(run, ledger, life))

    def die(self) -> None:
        """End this life, and begin another one after a while."""
        self.life += 1
        self.world.faults["death"] += 1
        self.world.spawn(self.start, self.world.dice.choice([0.1, 1.0, 6.0]))

    def stand_still(self) -> None:
        """Let another worker take over the job of this one, which goes on later."""
        entry = self.working.get(getcurrent())
        if entry is None or entry.job.state is not JobState.RUNNING:
            return
        self.world.faults["worker stands still"] += 1
        self.jobs.put_back(entry, entry.job.request, 0.0, fault=False)
        self.world.sleep(self.world.dice.uniform(1.0, 30.0))

    def _watch(self, archive: Any, ledger: Any, jobs: Any) -> None:
        try:
            watcher = Watcher(archive, ledger, jobs, SETTINGS, sieve, lambda: self.world.now)
            watcher.run(Pause(self.world))  # type: ignore[arg-type]
        except Dead:
            return

    def _work(self, run: Any, ledger: Any, life: int) -> None:
        try:
            while life == self.life:
                entry = self.jobs.take()
                if entry is None:
                    self.world.sleep(WORKER_SECONDS)
                else:
                    self._do(run, ledger, entry, life)
        except Dead:
            return

    def _do(self, run: Any, ledger: Any, entry: Entry, life: int) -> None:
        request, attempt = entry.job.request, entry.job.attempts
        self.working[getcurrent()] = entry
        try:
            answer = self._answer(run, request, entry)
        finally:
            del self.working[getcurrent()]
        if life != self.life:
            raise Dead
        if entry.job.attempts != attempt or entry.job.state is not JobState.RUNNING:  # it was taken over meanwhile
            if not isinstance(answer, RunAgain):
                note_end(ledger, request, answer)
            elif entry.job.state is not JobState.RUNNING:
                self.jobs.put_back(entry, answer.request or request, answer.delay_seconds, fault=True)
            return
        if isinstance(answer, RunAgain):
            fault = bool(answer.why.get("fault"))
            self.jobs.put_back(entry, answer.request or request, answer.delay_seconds, fault=fault)
            return
        note_end(ledger, request, answer)
        self.world.breathe()
        if life != self.life:
            raise Dead
        self.jobs.finish(entry, answer)

    def _answer(self, run: Any, request: JobRequest, entry: Entry) -> dict[str, Any] | RunAgain:
        try:
            answer: dict[str, Any] | RunAgain = run(request)
        except Mask2SegError as error:
            if not error.retryable:
                return {"outcome": "failed", "reason": error.code, "detail": str(error)}
            delay = BACKOFF.delay(entry.faults + 1, self.world.dice.random)
            return RunAgain(delay_seconds=delay, why={"fault": True, "reason": error.code})
        return answer


class Pause:
    """In place of the event by which the watcher waits."""

    def __init__(self, world: World) -> None:
        self._world = world

    def wait(self, seconds: float) -> bool:
        self._world.sleep(seconds)
        return False


class Door:
    """Where a process calls a port: others go on, the call fails, or the process dies."""

    def __init__(self, service: Service, inner: Any, life: int, *, faulty: bool = False) -> None:
        self._service, self._inner, self._life, self._faulty = service, inner, life, faulty

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._inner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._pass(f"before {name}")
            answer = function(*arguments, **named)
            if isinstance(answer, Iterator):
                answer = self._each(answer)
            elif isinstance(answer, ChangesPage):
                answer = self._journal(answer)
            self._pass(f"after {name}")
            return answer

        self.__dict__[name] = call
        return call

    def _pass(self, where: str) -> None:
        service, world = self._service, self._service.world
        if service.life != self._life:
            raise Dead
        world.breathe()
        if service.life != self._life:
            raise Dead
        if world.calm:
            return
        if world.shares.still and world.dice.random() < world.shares.still:
            service.stand_still()
            if service.life != self._life:
                raise Dead
        roll = world.dice.random()
        if roll < world.shares.death and where not in world.shares.spared:
            service.die()
            raise Dead
        if self._faulty and roll < world.shares.death + world.shares.fault:
            world.faults["lost reply" if where.startswith("after") else "fault of the archive"] += 1
            raise world.dice.choice([ArchiveUnreachable, ArchiveBusy])

    def _each(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self._pass("before an item")
            yield item

    def _journal(self, page: ChangesPage) -> ChangesPage:
        world, shares, fates = self._service.world, self._service.world.shares, self._service.entries
        kept = []
        for change in page.changes:
            fate = fates.get(change.sequence)
            if fate is None:
                roll, fate = world.dice.random(), ("", 0.0)
                if world.calm:
                    pass
                elif roll < shares.lost:
                    fate = ("event lost", 0.0)
                elif roll < shares.lost + shares.late:
                    fate = ("event late", world.now + world.dice.uniform(0.2, 9.0))
                elif roll < shares.lost + shares.late + shares.doubled:
                    fate = ("event doubled", 0.0)
                if fate[0]:
                    world.faults[fate[0]] += 1
                fates[change.sequence] = fate
            if fate[0] == "event lost" or (fate[0] == "event late" and world.now < fate[1]):
                continue
            kept += [change] * (2 if fate[0] == "event doubled" else 1)
        return replace(page, changes=tuple(kept))


def sieve(series: Series) -> str | None:
    """What is called an image is passed over."""
    return None if series.series_description.startswith("mask") else "image"


def convert(archive: Any, masks: tuple[Series, ...], _settings: Settings, **asked: Any) -> Result | NotYet:
    """In place of the pipeline: reads what it reads, in its order, and stores one segmentation."""
    (mask,) = masks
    uids = (mask.series_instance_uid,)
    headers = archive.headers(mask)
    needed = str(headers[0].get("SeriesNumber") or "")
    others = archive.series_of_study(mask.study_instance_uid)
    sources = [s for s in others if s.modality == "CT" and s.series_description == f"image {needed}"]
    if not sources:
        reason = Reason.NO_SOURCE_IN_STUDY
        return Result(outcome=Outcome.REFUSED, reason=reason, detail="there is none", mask_series_uids=uids)
    source = sources[0]
    missing = len(archive.headers(source)) - len(mask.instance_keys)
    if missing and not asked["rested"]:
        return NotYet(detail="slices are missing", missing=missing)
    contents = tuple(archive.contents(mask.instance_keys))
    content = seg_of(mask.study_instance_uid, mask.series_instance_uid, contents)
    identity = identity_of(content)
    made = Segmentation(
        content=content, sop_instance_uid=identity.sop_instance_uid, segments=(),
        series_instance_uid=identity.series_instance_uid,
    )  # fmt: skip
    kept = asked["keep"](archive, made, masks, source)
    if isinstance(kept, Gone):
        return Result(outcome=Outcome.SKIPPED, reason=kept.reason, detail=kept.detail, mask_series_uids=uids)
    output = OutputReport(
        kind="SEG", sop_instance_uid=identity.sop_instance_uid, series_uid=identity.series_instance_uid,
        orthanc_id=kept.receipt.key,
    )  # fmt: skip
    return Result(
        outcome=Outcome.CONVERTED,
        mask_series_uids=uids,
        source_series_uid=source.series_instance_uid,
        outputs=(output,),
    )


@dataclass
class Ended:
    """How a history ended."""

    seed: str
    masks: int
    faults: Counter[str]
    complaints: list[str]


def play(seed: str, *, services: int = 0, shares: Shares | None = None, kinds: Sequence[str] = ()) -> Ended:
    """One history.

    Parameters
    ----------
    services
        How many; 0 lets the dice say whether it is one or two.
    kinds
        Of stories; all if none is named.
    """
    dice = random.Random(seed)
    world = World(dice, shares or Shares())
    archive = SimulatedArchive()
    scanned = shares is not WITHOUT_SCAN
    tales = [tale(dice, number, kinds if scanned else JOURNALLED) for number in range(dice.choice([1, 1, 2, 3]))]
    running = [Service(world, archive, name, scanned=scanned) for name in "AB"[: services or dice.choice([1, 1, 2])]]
    for one in tales:
        world.spawn(lambda one=one: _tell(world, archive, one), dice.random() * 5)
    if scanned and dice.random() < 0.05:
        world.spawn(archive.start_anew, dice.uniform(3, 20))
    world.run(max(one.seconds for one in tales) + 8)
    world.calm = True
    end = world.now + CALM_SECONDS
    complaints = _judge(tales, archive, running)
    still = world.now + STILL_SECONDS
    while world.now < (end if complaints else still):  # what is not right may be mended; what is right has to stay so
        world.run(world.now + 5)
        before, complaints = complaints, _judge(tales, archive, running)
        still = world.now + STILL_SECONDS if before else still
    world.end()
    return Ended(seed, sum(len(t.masks) for t in tales), world.faults, complaints)


def _tell(world: World, archive: SimulatedArchive, one: Tale) -> None:
    for step in one.steps:
        if step.pause:
            world.sleep(step.pause)
        for content in step.send:
            archive.add(content)
            if world.dice.random() < 0.5:
                world.sleep(world.dice.random() * 0.2)
        if step.delete:
            held = list(archive.all_series())
            for series in held:
                if series.series_instance_uid in step.delete or series.study_instance_uid in step.delete:
                    archive.delete(series.key)


def _judge(tales: list[Tale], archive: SimulatedArchive, services: list[Service]) -> list[str]:
    """What is not as it has to be."""
    complaints = []
    held = {key: one.content for key, one in archive._instances.items()}
    segs: Counter[bytes] = Counter()
    others = set()
    for content in held.values():
        if b"SEG " in content[:700]:
            segs[content] += 1
        else:
            others.add(content)
    wanted: set[bytes] = set()
    for one in tales:
        wanted |= one.standing
        for mask in one.masks:
            complaints += _judge_mask(one, mask, segs, services)
    complaints += [f"a SEG that nobody wanted ({count})" for count in segs.values() if count]
    if others != wanted:
        complaints.append(f"{len(wanted - others)} files are lost, {len(others - wanted)} are new")
    return complaints


def _judge_mask(one: Tale, mask: Told, segs: Counter[bytes], services: list[Service]) -> list[str]:
    name = f"{one.kind} {mask.uid}"
    now = segs.pop(mask.seg, 0) if mask.seg else 0
    past = sum(segs.pop(seg, 0) for seg in mask.past if seg != mask.seg)
    if one.deleted:
        return [f"{name}: resurrected"] if now + past else []
    if mask.seg is None:
        return [f"{name}: {past} SEGs of a deleted mask"] if past > 1 else []
    if not mask.reason:
        return [] if (now, past) == (1, 0) else [f"{name}: {now} SEGs of the last version, {past} of earlier ones"]
    if mask.optional and now == 1 and not past:
        return []
    reasons = [_reason(service, mask) for service in services]
    if now + past or any(reason != mask.reason for reason in reasons):
        return [f"{name}: {now} and {past} SEGs, the history says {reasons}"]
    return []


def _reason(service: Service, mask: Told) -> str | None:
    for entry in reversed(service.jobs.entries.values()):
        if entry.job.request.series_instance_uid == mask.uid:
            return str((entry.job.result or {}).get("reason"))
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Many histories of the service, in memory.")
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", action="store_true", help="end with the first history that is wrong")
    parser.add_argument("--without-scan", action="store_true", help="only what can be borne without a scan")
    parser.add_argument("--kinds", default="", help="of stories, with commas")
    arguments = parser.parse_args()
    kinds = tuple(filter(None, arguments.kinds.split(",")))
    shares = WITHOUT_SCAN if arguments.without_scan else Shares()
    logging.disable(logging.CRITICAL)
    begun, masks, faults, wrong = time.monotonic(), 0, Counter[str](), 0
    for number in range(arguments.histories):
        ended = play(f"{arguments.seed} {number}", shares=shares, kinds=kinds)
        masks += ended.masks
        faults += ended.faults
        if ended.complaints:
            wrong += 1
            print(f"history {ended.seed}: {'; '.join(ended.complaints)}", flush=True)
            if arguments.first:
                break
        if (number + 1) % 5000 == 0:
            print(f"{number + 1} histories, {time.monotonic() - begun:.0f} s", flush=True)
    print(*(f"{count:9} {kind}" for kind, count in sorted(faults.items())), sep="\n")
    print(f"histories {number + 1} masks {masks} faults {faults.total()} wrong {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
