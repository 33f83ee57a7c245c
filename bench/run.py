"""make bench: this project against its named peers and against the floor, in turns, in one session.

python -m bench.run [--full] [--cases S,M] [--out bench/results.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.cases import CASES, Made, make
from bench.check import wrong_voxels
from bench.ways import WAYS, Site
from tests.orthanc_server import OrthancServer

ROUNDS = {"S": 7, "M": 5, "L": 3, "XL": 3}
ROUNDS_OF_PEERS = {"S": 3, "M": 2, "L": 1, "XL": 1}
PEERS = ("tutorial", "dcmqi")

Run = Mapping[str, Any]


class Runner:
    """A way in a process of its own, that runs when it is told to."""

    def __init__(self, way: str, site: Path) -> None:
        command = [sys.executable, "-m", "bench.child", way, str(site)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._answer()

    def run(self) -> Run:
        """Run once."""
        self._input.write("\n")
        self._input.flush()
        found: Run = json.loads(self._answer())
        return found

    def close(self) -> None:
        """End the process."""
        self._input.close()
        self._process.wait()

    def _answer(self) -> str:
        line = self._output.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} failed")
        return line


@contextmanager
def uploaded(server: OrthancServer, made: Made) -> Iterator[Site]:
    """Put a study into Orthanc, and take it out again."""
    with ThreadPoolExecutor(2) as threads:
        for files in (made.images(), made.masks()):
            list(threads.map(lambda content: server.post("/instances", content), files))
    yield Site(
        url=server.url,
        user=server.username,
        password=server.password,
        image_uid=made.image_uid,
        mask_uid=made.mask_uid,
        labels=made.case.labels,
    )
    for entry in server.post("/tools/lookup", made.study_uid.encode()).json():
        if entry["Type"] == "Study":
            server.delete(f"/studies/{entry['ID']}")


def measure(
    server: OrthancServer, site: Site, made: Made, folder: Path, rounds: int, peers: int
) -> dict[str, list[Run]]:
    """Let the ways take turns; the voxels of each are checked in its first run."""
    path = folder / "site.json"
    path.write_text(json.dumps(asdict(site)))
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    seg = folder / "seg.dcm"

    def one(way: str, runner: Runner) -> None:
        done = runner.run()
        if not runs[way] and way != "floor":
            content = server.get(f"/instances/{done['key']}/file").content
            wrong = wrong_voxels(content, made.labels)
            if wrong:
                raise SystemExit(f"{made.case.name} {way}: {wrong} wrong voxels")
            if way == "us":
                seg.write_bytes(content)
        server.delete(f"/instances/{done['key']}")
        runs[way].append(done)
        print(
            f"  {made.case.name:3} {way:9} {done['seconds']:8.2f} s  {done['cpu']:7.2f} CPU s  {done['rss']:6.0f} MB",
            flush=True,
        )

    ours = Runner("us", path)
    one("us", ours)
    runs["us"].clear()  # the first run of a process is not warm
    path.write_text(json.dumps(asdict(replace(site, seg=str(seg)))))
    bottom = Runner("floor", path)
    for _ in range(rounds):
        one("floor", bottom)
        one("us", ours)
    ours.close()
    bottom.close()
    for _ in range(peers):
        for way in (*PEERS, "cold", "service"):
            runner, ours = Runner(way, path), Runner("us", path)
            one(way, runner)
            ours.run()
            one("us", ours)
            runner.close()
            ours.close()
    return runs


def rows_of(
    case: str, runs: Mapping[str, Sequence[Run]], encoding: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """Ratios of medians, with the spread of what they are made from."""
    rows = [ratio_row(case, "end_to_end_vs_floor", _seconds(runs["us"]), _seconds(runs["floor"]))]
    rows += [ratio_row(case, f"{way}_vs_us", _seconds(runs[way]), _seconds(runs["us"])) for way in PEERS if runs[way]]
    if runs["service"]:
        rows.append(ratio_row(case, "service_vs_us", _seconds(runs["service"]), _seconds(runs["us"])))
    rows += [ratio_row(case, f"encode_vs_{way}", encoding[way], encoding["us"]) for way in encoding if way != "us"]
    for way in WAYS:
        if runs[way]:
            rows.append(_value(case, f"peak_mb_{way}", [run["rss"] for run in runs[way]]))
    if runs["cold"]:
        rows.append(_value(case, "cold_convert_cpu_s", [run["cpu"] for run in runs["cold"]]))
    return rows


def _seconds(runs: Sequence[Run]) -> list[float]:
    return [float(run["seconds"]) for run in runs]


def ratio_row(case: str, metric: str, above: Sequence[float], below: Sequence[float]) -> dict[str, Any]:
    """A ratio of medians, with the spread of both."""
    return {
        "case": case,
        "metric": metric,
        "ratio": round(statistics.median(above) / statistics.median(below), 3),
        "runs": min(len(above), len(below)),
        "ratio_of_minima": round(min(above) / min(below), 3),
        "seconds": [_spread(above), _spread(below)],
    }


def _value(case: str, metric: str, values: Sequence[float]) -> dict[str, Any]:
    return {"case": case, "metric": metric, "value": round(statistics.median(values), 2), "runs": len(values)}


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}
    return {name: round(value, 4) for name, value in found.items()}


def encode_alone(case: str, repeats: int) -> dict[str, list[float]]:
    """Seconds of encoding, in a process of its own."""
    command = [sys.executable, "-m", "bench.encoding", case, str(repeats)]
    found: dict[str, list[float]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def outputs_of(case: str) -> list[dict[str, Any]]:
    """What follows from a segmentation, in a process of its own."""
    command = [sys.executable, "-m", "bench.outputs", case]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows for people."""
    lines = [f"{'case':5}{'metric':24}{'median':>10}{'of minima':>11}{'runs':>6}   median [minimum .. maximum] s"]
    for row in rows:
        spreads = "  /  ".join(
            f"{s['median']:.2f} [{s['minimum']:.2f} .. {s['maximum']:.2f}]" for s in row.get("seconds", ())
        )
        value = row.get("ratio", row.get("value"))
        lines.append(
            f"{row['case']:5}{row['metric']:24}{value:>10}{row.get('ratio_of_minima', ''):>11}{row['runs']:>6}"
            f"   {spreads}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all cases, more rounds")
    parser.add_argument("--cases", default="")
    parser.add_argument("--out", type=Path, default=Path("bench/results.json"))
    options = parser.parse_args()
    cases = options.cases.split(",") if options.cases else list(CASES) if options.full else ["S"]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mask2seg-bench-") as name:
        server = OrthancServer(Path(name) / "orthanc").start()
        try:
            for case in cases:
                made = make(CASES[case])
                rounds, peers = (ROUNDS[case], ROUNDS_OF_PEERS[case]) if options.full else (5, 1)
                with uploaded(server, made) as site:
                    runs = measure(server, site, made, Path(name), rounds, peers)
                rows += rows_of(case, runs, encode_alone(case, max(3, peers)))
                options.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        finally:
            server.stop()
    if options.full:
        rows += outputs_of("M" if "M" in cases else cases[0])
        options.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
