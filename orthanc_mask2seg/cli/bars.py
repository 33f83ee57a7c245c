"""How far long work has come: bars in a terminal, a line from time to time elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_SECONDS = 10.0
"""Time between two lines where there is no terminal."""


class Rate(ProgressColumn):
    """Things done per second."""

    def render(self, task: Task) -> Text:
        """In the last half minute."""
        return Text("" if task.speed is None else f"{task.speed:.3g}/s", style="progress.data.speed")


class Bars:
    """A bar for each step, which appears when the step is first heard of."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._started = self._line_at = time.monotonic()

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """So much of a step is done, of so much, where that is known."""
        if self._progress.disable:
            self._say(step, done, total)
            return
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)

    @contextmanager
    def shown(self) -> Iterator[Bars]:
        """Show them."""
        with self._progress:
            yield self

    def _say(self, step: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self._quiet or now < self._line_at + LINE_SECONDS or not done:
            return
        self._line_at = now
        rate = done / (now - self._started)
        left = "" if total is None else f", {(total - done) / rate:,.0f} s left"
        of = "" if total is None else f" of {total:,}"
        self._console.print(Text(f"{step}: {done:,}{of}, {rate:.3g}/s{left}"))
