"""One measured run, in a process of its own: python -m bench.child WAY SITE.json REPEATS.

Prints one JSON line per run: seconds, CPU seconds (children included), peak resident megabytes, id of the SEG. Waits
for a line on its standard input before each run, so that the ways take turns.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from bench.ways import WAYS, Site


def main() -> None:
    """Run."""
    site = Site(**json.loads(Path(sys.argv[2]).read_text()))
    run = WAYS[sys.argv[1]](site)
    print("ready", flush=True)
    for _ in sys.stdin:
        cpu, start = _cpu(), time.perf_counter()
        key = run()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "cpu": _cpu() - cpu, "rss": _peak(), "key": key}), flush=True)


def _cpu() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in both)


def _peak() -> float:
    """Megabytes, of this process or of the largest that it started.

    What `getrusage` says of a process itself counts what it was forked from; the kernel's high-water mark does not.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, started) / 1024


if __name__ == "__main__":
    main()
