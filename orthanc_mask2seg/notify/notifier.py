"""Sends messages in the background: tried again, not too many, and never in the way of the work."""

from __future__ import annotations

import http.client
import logging
import queue
import smtplib
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from orthanc_mask2seg.notify.channels import Channel, Undelivered
from orthanc_mask2seg.notify.message import Event, Message

WAITS = (2.0, 10.0)
"""Before the second and the third try, s."""
MOST_WAITING = 1000
HOUR = 3600.0
STOP_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Notifier:
    """Tells all channels of the events that they are to hear of.

    Parameters
    ----------
    per_hour
        Most messages of a channel in an hour; the next one after that says how many were left out.
    """

    def __init__(
        self, channels: Sequence[Channel], events: Collection[Event], per_hour: int, waits: Sequence[float] = WAITS
    ) -> None:
        self._events, self._stop = frozenset(events), threading.Event()
        self._lines = [_Line(channel, per_hour, waits, self._stop) for channel in channels]

    def tell(self, message: Message) -> None:
        """Tell, or let it be where nobody wants to hear of it; returns at once."""
        if message.event in self._events:
            for line in self._lines:
                line.take(message)

    def close(self) -> None:
        """Stop, after a moment for what waits."""
        end = time.monotonic() + STOP_SECONDS
        for line in self._lines:
            line.close(end)


class _Line:
    """One channel, its thread and what waits for it."""

    def __init__(self, channel: Channel, per_hour: int, waits: Sequence[float], stop: threading.Event) -> None:
        self._channel, self._per_hour, self._waits, self._stop = channel, per_hour, waits, stop
        self._queue: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._sent: deque[float] = deque()
        self._lock = threading.Lock()
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name=f"notify {channel.name}", daemon=True)
        self._thread.start()

    def take(self, message: Message) -> None:
        with self._lock:
            now = time.monotonic()
            while self._sent and self._sent[0] < now - HOUR:
                self._sent.popleft()
            if len(self._sent) >= self._per_hour or self._queue.full():
                self._left_out += 1
                return
            self._sent.append(now)
            message, self._left_out = replace(message, suppressed=self._left_out), 0
            self._queue.put_nowait(message)

    def close(self, end: float) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._stop.set()
        self._thread.join(max(end - time.monotonic(), 0.0))
        self._stop.set()

    def _run(self) -> None:
        while (message := self._queue.get()) is not None and not self._stop.is_set():
            for wait in (*self._waits, None):
                if self._sends(message, last=wait is None) or wait is None or self._stop.wait(wait):
                    break

    def _sends(self, message: Message, *, last: bool) -> bool:
        try:
            self._channel.send(message)
        except (Undelivered, http.client.HTTPException, smtplib.SMTPException, OSError, ValueError) as error:
            if last:
                what = str(error) if isinstance(error, Undelivered) else type(error).__name__
                _log.warning("%s could not be told of %s: %s", self._channel.name, message.event, what)
            return False
        return True
