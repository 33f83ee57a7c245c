"""Bugs that are built into our own code, one at a time: the battery or the simulation has to see each.

    python -m tests.faults.bugs [NAME ...]

A bug changes a module of the product when it is loaded, in every process of the service, and is nowhere in the product.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.faults.plan import NAMES_OF_FAULTS

ROOT = Path(__file__).resolve().parents[2]
SIMULATION, BATTERY = "simulation", "battery"
NO_SCAN = 1e9


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A bug.

    Attributes
    ----------
    says
        What is wrong.
    module, spoil
        What is loaded, and what is done to it.
    seen_by
        The simulation or the battery.
    settings
        Of the battery.
    only
        Faults of requests that the battery keeps, so that the one which shows the bug is met often; empty for all.
    options
        Further words of the command.
    """

    says: str
    module: str
    spoil: Callable[[Any], None]
    seen_by: str = SIMULATION
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    setup: str = "sqlite"
    masks: int = 16
    faults: int = 60


def _cursor_first(watcher: Any) -> None:
    def save(self: Any) -> None:
        self._ledger.move_cursor(watcher.CURSOR, self._cursor.frontier)

    watcher.Watcher._save_cursor = save
    _no_scan(watcher)


def _no_scan(watcher: Any) -> None:
    watcher.Watcher._scanned_one = lambda self, series, _now: self._scanned.add(series.key)


def _gaps_passed(watcher: Any) -> None:
    watcher.journal.PATIENCE_SECONDS = 0.0
    _no_scan(watcher)


def _no_settle(settle: Any) -> None:
    settle.Settle.settled = lambda _self, _quiet: True

    def ripe(self: Any, key: Any) -> Any:
        watched = self._watched.get(key)
        return None if watched is None else settle.Due(key=key, version=watched.version, rested=True)

    settle.Settle.ripe = ripe


def _random_uids(images: Any) -> None:
    from pydicom.uid import generate_uid

    images.derived_uid = lambda *_parts: generate_uid()


def _no_proof(store: Any) -> None:
    store._prove = lambda _held, _digest: None
    store.OrthancStore._is_damaged = lambda _self, _instance, _digest: False


def _faults_are_final(errors: Any) -> None:
    errors.ArchiveUnreachable.retryable = errors.ArchiveBusy.retryable = False


def _pages_are_answers(errors: Any) -> None:
    errors.ArchiveGarbled.retryable = False


def _downloads_unproven(store: Any) -> None:
    store.OrthancStore.content = lambda self, instance: self._downloaded(instance)[0]


def _refused_for_good(dispatch: Any) -> None:
    dispatch.Dispatch.study_changed = lambda _self, _study: None


def _no_corrections(model: Any) -> None:
    model.Series.version = property(lambda self: f"{self.key} {sorted(self.instance_keys)}"[:200])


def _never_superseded(keeping: Any) -> None:
    keeping.Keeper._retired = lambda _self, _archive, _old: None


def _not_taken_back(keeping: Any) -> None:
    keeping.Keeper.withdraw = lambda _self, _archive: None


def _late_host_not_noticed(keeping: Any) -> None:
    """What was right before the store is taken for right after it, and a row is written over whatever is there."""
    honest = keeping.Keeper._gone

    def gone(self: Any, study: Any, masks: Any, source: Any) -> Any:
        found = honest(self, study, masks, source)
        return None if found is not None and found.reason == "superseded" else found

    keeping.Keeper._gone = gone
    keeping.Keeper._exchange = lambda self, row, _there: self.outputs.note_stored(row)


def _flipped(planes: Any) -> None:
    honest = planes.planes_of_mask

    def read(*arguments: Any, **named: Any) -> Any:
        found = honest(*arguments, **named)
        if not isinstance(found, planes.Planes):
            return found
        return planes.Planes([planes.cropped(plane[:, ::-1]) for plane in found])

    planes.planes_of_mask = read


def _deletes_the_mask(keeping: Any) -> None:
    honest = keeping.Keeper._retired

    def retired(self: Any, archive: Any, old: Any) -> Any:
        for instance in archive.series(self.request.series_key).instance_keys[:1]:
            archive.delete_instance(instance)
        return honest(self, archive, old)

    keeping.Keeper._retired = retired


def _power_cuts_count(daemon: Any) -> None:
    daemon.SUDDEN_ENDS = 2


def _forgets_what_runs(engine: Any) -> None:
    engine.Engine.get = lambda _self, _job: None


BUGS: dict[str, Bug] = {
    "cursor first": Bug(
        says="the cursor is saved before the job is asked for, and nothing is scanned",
        module="orthanc_mask2seg.service.watcher",
        spoil=_cursor_first,
        options=("--without-scan",),
    ),
    "gaps passed": Bug(
        says="the cursor passes numbers that are missing, and nothing is scanned",
        module="orthanc_mask2seg.service.watcher",
        spoil=_gaps_passed,
        options=("--without-scan",),
    ),
    "no scan": Bug(
        says="what the journal loses is never looked for",
        module="orthanc_mask2seg.service.watcher",
        spoil=_no_scan,
    ),
    "faults are final": Bug(
        says="a fault that passes ends the job", module="orthanc_mask2seg.errors", spoil=_faults_are_final
    ),
    "refused for good": Bug(
        says="a mask that came before its image is never looked at again",
        module="orthanc_mask2seg.service.dispatch",
        spoil=_refused_for_good,
    ),
    "never superseded": Bug(
        says="the SEG of an earlier version stays beside the new one",
        module="orthanc_mask2seg.service.keeping",
        spoil=_never_superseded,
    ),
    "not taken back": Bug(
        says="a SEG that was announced before a sudden end, and is not wanted any more, stays",
        module="orthanc_mask2seg.service.keeping",
        spoil=_not_taken_back,
        options=("--kinds", "study deleted"),
    ),
    "late host": Bug(
        says="a worker that stood still stores what was superseded meanwhile",
        module="orthanc_mask2seg.service.keeping",
        spoil=_late_host_not_noticed,
    ),
    "no corrections": Bug(
        says="other pixels in the same instances are no new version",
        module="orthanc_mask2seg.model",
        spoil=_no_corrections,
    ),
    "deletes the mask": Bug(
        says="an original is deleted with what is superseded",
        module="orthanc_mask2seg.service.keeping",
        spoil=_deletes_the_mask,
    ),
    "no settling": Bug(
        says="a mask is converted while it arrives",
        module="orthanc_mask2seg.service.settle",
        spoil=_no_settle,
        seen_by=BATTERY,
        settings={"SettleSeconds": 8.0, "PartialRestSeconds": 16.0},
        only=frozenset({"latency"}),
        faults=10,
    ),
    "random UIDs": Bug(
        says="the same mask gets other UIDs each time",
        module="orthanc_mask2seg.core.source_images",
        spoil=_random_uids,
        seen_by=BATTERY,
        setup="race",
        faults=20,
    ),
    "no proof": Bug(
        says="what was stored is not compared", module="orthanc_mask2seg.pacs.orthanc_store", spoil=_no_proof,
        seen_by=BATTERY, only=frozenset({"false acknowledgement"}), faults=4,
    ),
    "downloads unproven": Bug(
        says="what was downloaded is not compared",
        module="orthanc_mask2seg.pacs.orthanc_store",
        spoil=_downloads_unproven,
        seen_by=BATTERY,
        only=frozenset({"corrupted bytes"}),
        faults=20,
    ),
    "flipped": Bug(
        says="every plane of the mask is read upside down",
        module="orthanc_mask2seg.core.mask_planes",
        spoil=_flipped,
        seen_by=BATTERY,
        faults=10,
    ),
    "pages are answers": Bug(
        says="a page of somebody between ends the job",
        module="orthanc_mask2seg.errors",
        spoil=_pages_are_answers,
        seen_by=BATTERY,
        only=frozenset({"HTML with 200"}),
        faults=60,
    ),
    "power cuts count": Bug(
        says="a job is put aside when the service was killed twice",
        module="orthanc_mask2seg.service.daemon",
        spoil=_power_cuts_count,
        seen_by=BATTERY,
        options=("--per-act", "1"),
        faults=80,
    ),
}  # fmt: skip


class _Spoiler(importlib.abc.MetaPathFinder):
    """Spoils a module after it was loaded."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> Any:
        if name != self._bug.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        honest = spec.loader.exec_module
        spec.loader.exec_module = partial(self._load, honest)  # type: ignore[method-assign]
        return spec

    def _load(self, honest: Callable[[ModuleType], None], module: ModuleType) -> None:
        honest(module)
        self._bug.spoil(module)


def install(bug: Bug) -> None:
    """Build a bug into this process, before the product is loaded."""
    if bug.module in sys.modules:
        bug.spoil(sys.modules[bug.module])
    else:
        sys.meta_path.insert(0, _Spoiler(bug))


def caught(name: str, folder: Path, *, histories: int = 3000) -> str:
    """Run the simulation or the battery with a bug; its last line, or '' where it saw nothing."""
    bug = BUGS[name]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "faults" / "site"), str(ROOT)])}
    if bug.seen_by == SIMULATION:
        words = ["tests.faults.simulation", "--histories", str(histories), "--first", *bug.options]
        environment["FAULTS_BUG"] = name
    else:
        words = ["tests.faults", "--bug", name, "--masks", str(bug.masks), "--faults", str(bug.faults), "--calm", "60"]
        words += [f"--setting={name}={value}" for name, value in bug.settings.items()]
        words += [
            *bug.options,
            "--setup",
            bug.setup,
            "--folder",
            str(folder),
            "--without",
            ",".join(["clock", *(NAMES_OF_FAULTS - bug.only if bug.only else ())]),
        ]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return ""
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith(("masks", "histories")):
        raise RuntimeError(f"{name}: {done.stdout[-500:]} {done.stderr[-2000:]}")
    return lines[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Is every bug seen?")
    parser.add_argument("names", nargs="*", default=list(BUGS))
    missed = 0
    for name in parser.parse_args().names:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mask2seg-bug-") as folder:
            line = caught(name, Path(folder))
        missed += not line
        said = f"seen by the {BUGS[name].seen_by}: {line}" if line else f"NOT SEEN by the {BUGS[name].seen_by}"
        print(f"{name}: {said} ({time.monotonic() - begun:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
