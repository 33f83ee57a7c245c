"""Pauses the service while the archive takes nothing in, or nobody in: an alarm, no attempts, and on by itself.

A job that meets a full disk or a refused password keeps its place and waits; the others wait behind it. From time to
time one of them tries. The first that gets through ends the pause for all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from orthanc_mask2seg.errors import ArchiveDenied, ArchiveError, ArchiveFull
from orthanc_mask2seg.jobs.alarms import Alarm
from orthanc_mask2seg.jobs.port import JobRequest, Run, RunAgain
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.service.orders import Steps

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 60.0
"""Time between two tries: doubled from the first up to the longest."""

REMINDER_SECONDS = 600.0
STEP = "paused"

_log = logging.getLogger(__name__)


class Pause:
    """The pause of one service.

    Parameters
    ----------
    stop
        Set when the service stops: then nobody waits any more.
    tell
        Told the alarm when it begins and each time that it is found to stand, and None when it is over.
    """

    def __init__(
        self,
        stop: threading.Event,
        steps: Steps,
        first_seconds: float = FIRST_SECONDS,
        longest: float = LONGEST_SECONDS,
        tell: Callable[[Alarm | None], None] = lambda _alarm: None,
    ) -> None:
        self._tell = tell
        self._stop, self._steps, self._first, self._longest = stop, steps, first_seconds, longest
        self._changed = threading.Condition()
        self._alarm: Alarm | None = None
        self._trying = False
        self._met: set[str] = set()
        self._wait = first_seconds
        self._try_at = self._remind_at = 0.0

    def alarm(self) -> Alarm | None:
        """Why the service is paused; None where it is not."""
        with self._changed:
            return self._alarm

    def wrap(self, run: Run) -> Run:
        """The work of a job, which waits while the service is paused."""

        def run_when_possible(request: JobRequest) -> dict[str, Any] | RunAgain:
            while True:
                trying = self._turn(request)
                try:
                    answer = run(request)
                except (ArchiveFull, ArchiveDenied) as error:
                    self._begin(error, request)
                    if self._stop.is_set():
                        self._tell(None)
                        raise
                    continue
                except BaseException as error:
                    over = not getattr(error, "retryable", False)
                    self._judge(request, trying=trying, proven=False, over=over)
                    raise
                over = not isinstance(answer, RunAgain)
                self._judge(request, trying=trying, proven=self._proves(answer), over=over)
                return answer

        return run_when_possible

    def _turn(self, request: JobRequest) -> bool:
        """Wait until there is no pause, or until it is our turn to try; whether it is."""
        with self._changed:
            while self._alarm is not None and not self._stop.is_set():
                self._steps.begin(request.series_key, STEP)
                rest = self._try_at - time.monotonic()
                if rest <= 0 and not self._trying:
                    self._trying = True
                    return True
                self._changed.wait(min(max(rest, 0.05), 0.5))  # `stop` does not notify
            return False

    def _proves(self, answer: dict[str, Any] | RunAgain) -> bool:
        """Whether this could not have been answered in the state that the pause is for."""
        alarm = self.alarm()
        if alarm is None or alarm.code == ArchiveDenied.code:
            return True
        return not isinstance(answer, RunAgain) and answer["outcome"] == Outcome.CONVERTED

    def _judge(self, request: JobRequest, *, trying: bool, proven: bool, over: bool) -> None:
        """End the pause where it is proven to be over, or nobody is left who could prove it."""
        if proven or (over and self._was_the_last(request)):
            self._end()
        else:
            self._let_go(trying=trying)

    def _was_the_last(self, request: JobRequest) -> bool:
        """Whether none is left of the jobs that met what the pause is for: their masks may be gone."""
        with self._changed:
            met = request.key in self._met
            self._met.discard(request.key)
            return met and not self._met

    def _begin(self, error: ArchiveError, request: JobRequest) -> None:
        with self._changed:
            self._met.add(request.key)
            now = time.monotonic()
            if self._alarm is None:
                self._wait, self._remind_at = self._first, now
                self._alarm = Alarm(error.code, str(error), error.hint, time.time())
            else:
                self._wait = min(self._wait * 2, self._longest)
            if now >= self._remind_at:
                self._remind_at = now + REMINDER_SECONDS
                _log.error("PAUSED: %s (%s). %s", error.code, error, error.hint)
            self._trying, self._try_at = False, now + self._wait
            alarm = self._alarm
            self._changed.notify_all()
        self._tell(alarm)

    def _end(self) -> None:
        with self._changed:
            over = self._alarm
            if over is not None:
                _log.warning("going on: the PACS takes the work again (%s is over)", over.code)
            self._alarm, self._trying = None, False
            self._met.clear()
            self._changed.notify_all()
        if over is not None:
            self._tell(None)

    def _let_go(self, *, trying: bool) -> None:
        """What proves nothing about the pause leaves it as it is: the next one tries."""
        with self._changed:
            if trying:
                self._trying, self._try_at = False, time.monotonic() + self._wait
                self._changed.notify_all()
