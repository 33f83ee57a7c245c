"""How far long work has come, in a terminal and without one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from orthanc_mask2seg.cli import bars as module
from orthanc_mask2seg.cli.bars import Bars


def test_a_terminal_shows_how_much_how_fast_and_how_long() -> None:
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True, width=120)).shown() as bars:
        for done in range(1, 301):
            bars("looking through", done, 1000)
        bars("converting", 2, 7)
        bars._progress.refresh()
        last = out.getvalue()
    assert "looking through" in last
    assert "300/1000" in last
    assert "2/7" in last
    assert "/s" in last
    assert "0:00:0" in last, "the time that is left"


def test_a_file_gets_a_line_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with Bars(Console(file=out, width=200)).shown() as bars:
        for done in range(1, 301):
            now = 100.0 + done / 10
            bars("looking through", done, 1000)
    assert out.getvalue().splitlines() == [
        "looking through: 100 of 1,000, 10/s, 90 s left",
        "looking through: 200 of 1,000, 10/s, 80 s left",
        "looking through: 300 of 1,000, 10/s, 70 s left",
    ]


def test_machines_are_told_nothing() -> None:
    out = io.StringIO()
    with Bars(Console(file=out), quiet=True).shown() as bars:
        bars._line_at = 0.0
        bars("looking through", 5, 10)
    assert out.getvalue() == ""
