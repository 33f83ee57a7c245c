"""Keeps the service running for as long as Orthanc runs, and no longer."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""A service that ran for so long starts anew with the shortest pause."""
STOP_SECONDS = 9.0
JOIN_SECONDS = 0.5
LONGEST_LINE = 2000

Log = Mapping[str, Callable[[str], object]]
"""Level (info, warning, error) to what writes it."""

_LEVEL = re.compile(r"^[-0-9]+ [:,0-9]+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
_WORD = {"DEBUG": "info", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}


class Supervisor:
    """The service as a child process, restarted when it ends.

    Parameters
    ----------
    words
        The command.
    greeting
        Makes the first line of its stdin. The pipe then stays open: its end tells the child that we are gone.
    environment
        Its environment.
    log
        Where its lines go.
    """

    def __init__(
        self, words: Sequence[str], greeting: Callable[[], bytes], environment: Mapping[str, str], log: Log
    ) -> None:
        self._words, self._greeting, self._environment, self._log = list(words), greeting, dict(environment), log
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="mask2seg", daemon=True)
        self.address = ""

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the service to end, and end it if it does not."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None:
            with contextlib.suppress(OSError):
                child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            begin = time.monotonic()
            try:
                status = str(self._live())
            except Exception as error:  # noqa: BLE001 - the program may be missing, the machine out of memory
                status = type(error).__name__
            self.address = ""
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - begin > STEADY_SECONDS else failures + 1
            pause = pause_after(failures, random.random())  # noqa: S311 - jitter, no secret
            self._log["warning"](f"mask2seg: the service ended ({status}) and is started again in {pause:.1f} s")
            self._stopping.wait(pause)

    def _live(self) -> int:
        """One life of the child: its exit status."""
        with self._lock:
            if self._stopping.is_set():
                return 0
            child = subprocess.Popen(  # noqa: S603 - the site's own command
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,  # a Ctrl-C in Orthanc's terminal is Orthanc's
            )
            self._child = child
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        readers = [
            threading.Thread(target=read, args=(pipe,), name="mask2seg log", daemon=True)
            for read, pipe in ((self._read_address, child.stdout), (self._read_log, child.stderr))
        ]
        for reader in readers:
            reader.start()
        with contextlib.suppress(OSError):
            child.stdin.write(self._greeting())
            child.stdin.flush()
        status = child.wait()
        for reader in readers:
            reader.join(JOIN_SECONDS)
        with contextlib.suppress(OSError):
            child.stdin.close()
        return status

    def _read_address(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                self.address = str(json.loads(line)["serving"])
                self._log["warning"](f"mask2seg: the service is ready ({self.address})")

    def _read_log(self, pipe: IO[bytes]) -> None:
        for line in iter(lambda: pipe.readline(LONGEST_LINE), b""):
            text = "".join(c if c.isprintable() else "?" for c in line.decode("utf-8", "replace").rstrip())
            if text:
                found = _LEVEL.match(text)
                level, words = (_WORD[found[1]], text[found.end() :]) if found else ("warning", text)
                self._log[level](f"mask2seg: {words}")


def pause_after(failures: int, dice: float) -> float:
    """Seconds to wait after so many ends in a row: doubled each time up to a ceiling, with jitter."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30)) * (0.5 + 0.5 * dice)
