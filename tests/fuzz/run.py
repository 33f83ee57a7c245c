"""Fuzz the readers: `python -m tests.fuzz.run [--runs N] [--seed S] [--plain] [TARGET ...]`.

Guided by coverage (atheris) where that is installed; else, or with --plain, by seeded changes of the seeds. An input
that is a finding is written to .state/fuzz/TARGET/. The last line says what was tried.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARES = {
    "conversion": 0.005,
    "multipart": 0.295,
    "part10": 0.2,
    "pixels": 0.1,
    "folder": 0.1,
    "dicomweb": 0.1,
    "orthanc": 0.1,
    "configuration": 0.1,
}
SLOWEST_SECONDS = 20
MOST_FINDINGS = 5
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
MOST_MEGABYTES = 2048


class TooSlow(Exception):
    """An input kept a reader busy for too long."""


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *SHARES])
    parser.add_argument("--runs", type=int, default=100_000, help="inputs in total, shared out over the targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--guided", metavar="TARGET", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.guided:
        return _guided(wanted.guided, wanted.runs, wanted.seed)
    targets = wanted.targets or list(SHARES)
    whole = sum(SHARES[t] for t in targets)
    plain = wanted.plain or importlib.util.find_spec("atheris") is None
    tried = findings = 0
    for target in targets:
        runs = max(1, round(wanted.runs * SHARES[target] / whole))
        began = time.monotonic()
        runs, found = _plain(target, runs, wanted.seed) if plain else _apart(target, runs, wanted.seed)
        print(f"{target}: {runs} inputs, {found} findings, {time.monotonic() - began:.0f} s", flush=True)
        tried, findings = tried + runs, findings + found
    print(f"inputs {tried} findings {findings}" + (" (plain)" if plain else ""))
    return 1 if findings else 0


def _kept(target: str) -> Path:
    folder = ROOT / ".state" / "fuzz" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _plain(target: str, runs: int, seed: int) -> tuple[int, int]:
    """How many were tried, and how many were findings."""
    from tests.fuzz.mutate import inputs
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

    findings: dict[str, bytes] = {}
    tried = 0
    signal.signal(signal.SIGALRM, _too_slow)
    for data in inputs(seeds(target), runs, seed):
        tried += 1
        signal.setitimer(signal.ITIMER_REAL, SLOWEST_SECONDS)
        try:
            TARGETS[target](data)
        except Exception as error:  # noqa: BLE001 - whatever escapes is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{type(error).__name__}-{Path(where.filename).stem}-{where.lineno}"
            if name not in findings:
                findings[name] = data
                (_kept(target) / name).write_bytes(data)
                traceback.print_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return tried, len(findings)


def _too_slow(_number: int, _frame: object) -> None:
    raise TooSlow(f"more than {SLOWEST_SECONDS} s")


def _apart(target: str, runs: int, seed: int) -> tuple[int, int]:
    """A process of its own: the engine ends it at the first finding, so it is started again on the rest."""
    tried = findings = 0
    while tried < runs and findings < MOST_FINDINGS:
        words = [sys.executable, "-m", "tests.fuzz.run", "--guided", target]
        words += ["--runs", str(runs - tried), "--seed", str(seed + findings)]
        done = subprocess.run(words, cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
        executed = _EXECUTED.findall(done.stderr)
        tried += int(executed[-1]) if executed else 0
        if done.returncode == 0 and executed:
            break
        findings += 1
        print(done.stderr[-4000:], flush=True)
    return tried, findings


def _guided(target: str, runs: int, seed: int) -> int:
    import atheris

    with atheris.instrument_imports(include=["orthanc_mask2seg", "pydicom", "json5"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.seeds import seeds

    corpus = _kept(target) / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(seeds(target)):
        (corpus / f"seed{number}").write_bytes(data)
    longest = max(map(len, seeds(target))) * 2
    options = [
        f"-runs={runs}", f"-seed={seed}", f"-max_len={longest}", f"-timeout={SLOWEST_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}", f"-artifact_prefix={_kept(target)}/", "-verbosity=1", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
