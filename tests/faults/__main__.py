"""`python -m tests.faults`: see `battery`."""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "scripts")]

from tests.faults.battery import CALM_SECONDS, NAMES, Battery, Options, Report  # noqa: E402 - see above


def table(report: Report) -> str:
    """Masks and faults by kind."""
    lines = ["", "masks", *(f"{n:6} {kind}" for kind, n in sorted(report.kinds.items()))]
    lines += ["", "requests", *(f"{n:6} {kind}" for kind, n in sorted(report.requests.items()))]
    lines += ["", "faults", *(f"{n:6} {kind}" for kind, n in sorted(report.faults.items()))]
    if report.recoveries:
        slowest, middle = max(report.recoveries), statistics.median(report.recoveries)
        lines += ["", f"a service came back in {middle:.1f} s (median), {slowest:.1f} s (longest)"]
    return "\n".join([*lines, f"{report.seconds / 60:.1f} min", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description="Break everything, thousands of times, and tell the truth.")
    parser.add_argument("--masks", type=int, default=500)
    parser.add_argument("--faults", type=int, help="by default two per mask")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--setup", choices=sorted(NAMES), default="sqlite")
    parser.add_argument("--bug", default="")
    parser.add_argument("--watcher", choices=("service", "naive"), default="service")
    parser.add_argument("--without", default="", help="names of faults to leave out, with commas")
    parser.add_argument("--setting", action="append", default=[], help="NAME=SECONDS, of the service")
    parser.add_argument("--per-act", type=int, default=6, help="faults of requests for each of the greater faults")
    parser.add_argument("--calm", type=float, default=CALM_SECONDS, help="so long what is wrong may stay so, s")
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and nothing is left behind
    with tempfile.TemporaryDirectory(prefix="mask2seg-faults-") as temporary:
        options = Options(
            folder=(arguments.folder or Path(temporary)).absolute(), masks=arguments.masks,
            faults=arguments.faults or 2 * arguments.masks, seed=arguments.seed, setup=arguments.setup,
            bug=arguments.bug, calm=arguments.calm, per_act=arguments.per_act,
            settings={name: float(value) for name, value in (s.split("=") for s in arguments.setting)},
            watcher=arguments.watcher, without=frozenset(filter(None, arguments.without.split(","))),
            say=lambda text: print(text, flush=True),
        )  # fmt: skip
        print(f"seed {options.seed}, setup {options.setup}", flush=True)
        report = Battery(options).run()
    print(*report.verdict.lines(), *report.complaints, sep="\n")
    print(table(report))
    print(report.last_line, flush=True)
    return 0 if report.verdict.right and not report.complaints else 1


if __name__ == "__main__":
    sys.exit(main())
