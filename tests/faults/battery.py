"""Everything is broken, again and again, and at the end the truth is told.

    python -m tests.faults --masks 500 --seed 1 --setup sqlite

A real Orthanc, one or two services, a proxy before each. The feed goes on as the faults go on, so that both end
together; then nothing is broken any more, and what is not right after a while will never be.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests
from orthanc_server import OrthancServer
from postgres_server import PostgresServer

from tests.faults.feeder import Feeder
from tests.faults.launch import INSIDE
from tests.faults.oracle import History, Pacs, Verdict, judge
from tests.faults.plan import Plan, Tally
from tests.faults.proxy import STEPS, Proxy
from tests.faults.services import Service
from tests.faults.stories import Author
from tests.faults.surroundings import Clock, Disk

SETTINGS: Mapping[str, Any] = {
    "SettleSeconds": 1.5,
    "PartialRestSeconds": 5.0,
    "ScanSeconds": 5.0,
    "PollSeconds": 0.25,
    "TimeoutSeconds": 3.0,
    "Workers": 2,
}
AHEAD = 25
"""Masks that are sent before there are faults in proportion."""
STEP_SECONDS = 12.0
"""Longest wait for a service to come to a step."""
ACTS = 120
"""Greater faults of a full run, at least: every one once, and those again that found nothing to strike."""
CALM_SECONDS = 120.0
"""So long nothing may change, after the last fault, for what is not right to be lost."""
JUMPS = (-86400 * 400, -7200, -60, 60, 3600, 86400, 86400 * 400)


@dataclass(kw_only=True)
class Options:
    """What is asked for.

    Attributes
    ----------
    masks, faults
        At least so many.
    setup
        "sqlite": one service; "race": two on one Orthanc, each with its own state; "postgres": two hosts that watch
        and work, with the queue on PostgreSQL, and Orthanc's index on another one.
    bug
        Name of a bug that is built into the service.
    watcher
        "service", or "naive": the program that everybody writes first.
    settings
        Over `SETTINGS`.
    without
        Names of faults that are left out.
    calm, still
        How long what is not right may stay as it is before it counts, after the last fault; and how long what is
        right has to stay so, s.
    per_act
        Of so many faults one is of the greater ones: deaths, full disks, jumps of the clock.
    """

    folder: Path
    masks: int = 500
    faults: int = 1000
    seed: int = 1
    setup: str = "sqlite"
    bug: str = ""
    watcher: str = "service"
    settings: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    calm: float = CALM_SECONDS
    still: float = 12.0
    per_act: int = 6
    say: Callable[[str], None] = print


@dataclass(kw_only=True)
class Report:
    """How it went; `requests` are counted by the kinds that the proxy knows them by."""

    masks: int
    kinds: Counter[str]
    faults: Counter[str]
    verdict: Verdict
    recoveries: list[float]
    requests: Counter[str]
    seconds: float
    crashes: list[str] = field(default_factory=list)
    late_stops: int = 0
    unreached: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """What is not as it has to be, beside the masks."""
        slow = statistics.median(self.recoveries) if self.recoveries else 0.0
        return [
            *self.crashes,
            *([f"{self.late_stops} times a service took more than 10 s to stop"] if self.late_stops else []),
            *([f"a killed service came back in {slow:.1f} s (median)"] if slow > RECOVERY_SECONDS else []),
            *(f"never killed at: {step}" for step in self.unreached),
        ]

    @property
    def last_line(self) -> str:
        return f"masks {self.masks} faults {self.faults.total()} {self.verdict.counts}"


class Battery:
    """One run."""

    def __init__(self, options: Options) -> None:
        self.options, self.say = options, options.say
        self.dice = random.Random(options.seed)
        self.tally = Tally()
        self.plan = Plan(options.seed, self.tally, without=options.without)
        self.folder = options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.queue: PostgresServer | None = None
        self._shared: dict[str, str] = {}
        self._closing: list[Callable[[], object]] = []
        self._begun = time.monotonic()
        self._acted = 0

    def run(self) -> Report:
        """Break everything, and judge."""
        try:
            self._prepare()
            return self._run()
        finally:
            for close in reversed(self._closing):
                close()

    # --- the scene

    def _prepare(self) -> None:
        self.disks = {name: self._disk(folder, size) for name, folder, size in DISKS}
        self.clocks = {}
        settings = {"OverwriteInstances": True, "StableAge": 2}
        preload: dict[str, str] = {}
        if "clock" not in self.options.without:
            self.clocks = {n: Clock(self.folder / f"{n}.clock", s) for n, s in SUITES.items()}
            preload = self.clocks["service"].environment
        index = self._databases() if self.options.setup == "postgres" else ""
        self.orthanc = OrthancServer(
            self.folder / "orthanc", settings=settings, plugins=(), index=index,
            clock=self.clocks["orthanc"].environment if self.clocks else None,
        )  # fmt: skip
        self._closing.append(self.orthanc.kill)
        self.orthanc.start()
        self.services = [self._service(name, preload) for name in NAMES[self.options.setup]]
        for service in self.services:
            service.start()
        self.pacs = Pacs(self.orthanc.url, self.orthanc.auth)

    def _databases(self) -> str:
        """PostgreSQL for the queue, which may die, and another one for Orthanc; the address for Orthanc."""
        self.queue, of_orthanc = (PostgresServer(self.folder / name) for name in ("queue", "index"))
        for server in (self.queue, of_orthanc):
            self._closing.append(server.kill)
            server.start()
        self._shared["DatabaseUrl"] = self.queue.create_database()
        return of_orthanc.create_database()

    def _disk(self, name: str, megabytes: int) -> Disk | None:
        try:
            disk = Disk(self.folder / name, megabytes)
        except PermissionError as error:
            self.say(f"no full disks: {error}")
            return None
        self._closing.append(disk.close)
        return disk

    def _service(self, name: str, preload: dict[str, str]) -> Service:
        proxy = Proxy(name, ("127.0.0.1", self.orthanc.port), self.plan)
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        words = ("watch", "work") if self.options.setup == "postgres" else ("serve",)
        words = ("naive",) if self.options.watcher == "naive" else words
        service = Service(
            folder, self.folder / "state" / name, proxy, self.orthanc.auth,
            {**SETTINGS, **self._shared, **self.options.settings},
            words=words, bug=self.options.bug, preload=preload,
        )  # fmt: skip
        self._closing += [proxy.close, service.kill]
        return service

    # --- the run

    def _run(self) -> Report:
        options = self.options
        settings = {**SETTINGS, **options.settings}
        author = Author(options.seed, settle=settings["SettleSeconds"], rest=settings["PartialRestSeconds"])
        self.feeder = Feeder(self.orthanc.url, self.orthanc.auth, author.stories(options.masks), self._may_feed)
        self.feeder.start()
        self._break_things()
        self._end_faults()
        self.feeder.join(60)
        if self.feeder.is_alive() or self.feeder.fault:
            raise RuntimeError(f"the feeder did not end: {self.feeder.fault}")
        verdict = self._calm()
        return Report(
            masks=self.feeder.masks, kinds=Counter(m.kind for s in self.feeder.begun for m in s.masks),
            faults=self.tally.counts, verdict=verdict, recoveries=[r for s in self.services for r in s.recoveries],
            requests=sum((Counter(s.proxy.requests) for s in self.services), Counter()),
            seconds=time.monotonic() - self._begun,
            crashes=[c for s in self.services for c in s.crashes], late_stops=sum(s.late_stops for s in self.services),
            unreached=self._unreached() if self._full else [],
        )  # fmt: skip

    def _unreached(self) -> list[str]:
        """Steps at which no service was killed yet."""
        return [step for step in (*STEPS, *INSIDE) if not self.tally.counts[f"kill at: {step}"]]

    @property
    def _full(self) -> bool:
        """Whether the run is long enough to come to every step."""
        return self.options.masks >= FULL and self.options.watcher == "service" and not self.options.bug

    def _may_feed(self, masks: int) -> bool:
        """The feed is as far on as the faults are, in a full run the greater ones too, and a little further."""
        progress = self.tally.total / max(self.options.faults, 1)
        if self._full:
            progress = min(progress, self._acted / ACTS)
        return masks <= AHEAD + self.options.masks * progress

    def _break_things(self) -> None:
        acts = self._acts()
        told = 0.0
        while self.tally.total < self.options.faults or self.feeder.is_alive():
            if self._acted * self.options.per_act <= self.tally.total:
                next(acts)()
                self._acted += 1
            for service in self.services:
                service.start()
            if not self.orthanc.running:
                self.orthanc.start()
            if time.monotonic() - told > 15:
                told = time.monotonic()
                minutes = (told - self._begun) / 60
                self.say(f"{minutes:5.1f} min: {self.feeder.masks} masks, {self.tally.total} faults")
            time.sleep(self.dice.uniform(0.3, 2.0))

    def _acts(self) -> Iterator[Callable[[], None]]:
        """The greater faults, in an order that the seed gives; a step comes again while it was not reached."""
        while True:
            acts: list[Callable[[], None]] = [partial(self._kill_at, step) for step in self._unreached() or STEPS]
            acts += [self._kill_sometime] * 4 + [self._stop] * 2 + [self._kill_orthanc] * 4 + [self._stop_orthanc]
            acts += [self._fill_orthanc, self._fill_service] * 2
            acts += [self._jump] * 4 if self.clocks else []
            acts += [self._kill_queue] * 3 if self.queue is not None else []
            acts += [self._freeze] * 2 if len(self.services) > 1 else []
            self.dice.shuffle(acts)
            yield from acts

    def _kill_at(self, step: str) -> None:
        service = self.dice.choice(self.services)
        end = time.monotonic() + STEP_SECONDS
        if step in INSIDE:
            if self.options.watcher == "naive":
                return
            service.arm(step)
            while service.armed(step) and time.monotonic() < end:
                time.sleep(0.05)
            hit = not service.armed(step)
            service.disarm()
        else:
            armed = service.proxy.arm(step, service.kill)
            hit = armed.done.wait(STEP_SECONDS)
            service.proxy.disarm()
        if hit:
            time.sleep(0.05)
            service.kill()
            self._again(service, f"kill at: {step}")

    def _again(self, service: Service, what: str) -> None:
        """Start a service after a while."""
        self._note(what)
        time.sleep(self.dice.choice([0.0, 0.0, 1.0, 3.0]))
        service.start()
        if self.queue is None and not service.wait():  # of several hosts, one polls and the others stand by
            self.say(f"{service.name} did not come back after: {what}")

    def _note(self, what: str) -> None:
        """Count a fault, and write down when it was."""
        self.tally.add(what)
        with (self.folder / "faults.log").open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {time.monotonic() - self._begun:7.1f} {what}\n")

    def _kill_sometime(self) -> None:
        service = self.dice.choice(self.services)
        time.sleep(self.dice.uniform(0.0, 2.0))
        service.kill()
        self._again(service, "kill, at any time")

    def _stop(self) -> None:
        service = self.dice.choice(self.services)
        if not service.stop():
            self.say(f"{service.name} took more than 10 s to stop")
        self._again(service, "stop (SIGTERM)")

    def _freeze(self) -> None:
        """One host stands still for longer than its lease while another one goes on."""
        service = self.dice.choice(self.services)
        time.sleep(self.dice.uniform(0.0, 2.0))
        service.freeze(self.dice.uniform(18.0, 32.0))
        self._note("host stands still")

    def _kill_orthanc(self) -> None:
        self.orthanc.kill()
        self._note("kill of Orthanc")
        time.sleep(self.dice.uniform(0.0, 3.0))
        self.orthanc.start()

    def _stop_orthanc(self) -> None:
        self.orthanc.stop()
        self._note("restart of Orthanc")
        self.orthanc.start()

    def _kill_queue(self) -> None:
        assert self.queue is not None
        self.queue.kill()
        self._note("kill of the database of jobs")
        time.sleep(self.dice.uniform(0.0, 3.0))
        self.queue.start()

    def _fill_orthanc(self) -> None:
        self._fill("orthanc")

    def _fill_service(self) -> None:
        self._fill("service")

    def _fill(self, name: str) -> None:
        disk = self.disks[name]
        if disk is None:
            return
        disk.fill()
        self._note(f"full disk of {name}")
        time.sleep(self.dice.uniform(1.5, 5.0))
        disk.free()

    def _jump(self) -> None:
        name = self.dice.choice(sorted(self.clocks))
        self.clocks[name].jump(self.dice.choice(JUMPS))
        self._note(f"clock of {name} jumps")
        if self.dice.random() < 0.5:
            time.sleep(self.dice.uniform(0.5, 3.0))
            self.clocks[name].jump(0)

    def _end_faults(self) -> None:
        self.plan.on = False
        for disk in self.disks.values():
            if disk is not None:
                disk.free()
        for clock in self.clocks.values():
            clock.jump(0)
        if not self.orthanc.running:
            self.orthanc.start()
        for service in self.services:
            service.proxy.disarm()
            service.disarm()
            service.start()
        self.say(f"{(time.monotonic() - self._begun) / 60:5.1f} min: no more faults")

    # --- the end

    def _calm(self) -> Verdict:
        """Wait until all is right and stays so."""
        verdict, moved = self._judged(), time.monotonic()
        while not verdict.right and time.monotonic() - moved < self.options.calm:
            time.sleep(8)
            before, verdict = verdict, self._judged()
            if verdict.lines() != before.lines():
                moved = time.monotonic()
        time.sleep(self.options.still)
        return self._judged(last=True)

    def _judged(self, *, last: bool = False) -> Verdict:
        histories: list[History] = []
        try:
            if self.options.watcher != "naive":
                histories = [s.history() for s in (self.services[:1] if self.queue is not None else self.services)]
            segmentations = self.pacs.segmentations(anew=last)
            digests = self.pacs.digests() if last else None
        except requests.RequestException as error:
            return Verdict(lost=[f"Orthanc does not answer: {type(error).__name__}"])
        if last:
            for number, history in enumerate(histories):
                (self.folder / f"history{number}.json").write_text(json.dumps(history, indent=1))
        stores = [store for service in self.services for store in service.proxy.stores] if last else []
        settle = {**SETTINGS, **self.options.settings}["SettleSeconds"] - 0.5
        return judge(self.feeder.begun, segmentations, histories, digests, stores, settle)


FULL = 500
"""Masks of a run that has to come to every step."""
RECOVERY_SECONDS = 10.0
DISKS = (("orthanc", "orthanc/storage", 400), ("service", "state", 200))
"""Small disks: name, folder, size (MB)."""
SUITES = {"orthanc": "trixie", "service": "bookworm"}
NAMES = {"sqlite": ("A",), "race": ("A", "B"), "postgres": ("A", "B")}


def clean(folder: Path) -> None:
    """Remove what an earlier run left."""
    shutil.rmtree(folder, ignore_errors=True)
