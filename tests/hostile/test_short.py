"""A short form of the hostile files through Orthanc: each kind a few times."""

from pathlib import Path

from orthanc_mask2seg.core.pixels import decode
from tests.builders import Grid, study
from tests.hostile.files import KINDS, hostile
from tests.hostile.through_orthanc import run

FILES = 6 * len(KINDS)


def test_files_through_orthanc(tmp_path: Path) -> None:
    report = run(tmp_path, files=FILES, seed=1000)
    assert report.good, (report.faults, report.without_reason, str(report))
    assert report.files == FILES
    assert len(report.endings) > 4, str(report)


def test_they_are_what_they_say_and_the_same_again() -> None:
    """Every kind can be made, in many forms, and is refused or read, never raised."""
    mask = study(Grid(rows=32, columns=32, planes=3)).mask[1]
    made = [hostile(mask, seed) for seed in range(3 * len(KINDS))]
    assert {kind for kind, _ in made} == {kind.__name__ for kind in KINDS}
    assert made[:5] == [hostile(mask, seed) for seed in range(5)]
    outcomes = [decode(content) for kind, content in made if kind not in {"items", "deflated"}]
    assert len({getattr(outcome, "reason", None) for outcome in outcomes}) >= 4
