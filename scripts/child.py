"""A server that runs as a child process: logged to a file, stopped with patience, never left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Child:
    """A running child process.

    It dies with the thread that started it, however that ends (`setpriv --pdeathsig` of util-linux, which every
    Debian has). It is in a session of its own, so that a Ctrl-C in the terminal reaches us alone and we decide who
    stops first.

    Arguments
    ---------
    name
        What people call it.
    words
        The command.
    log
        File that its output is appended to.
    folder
        Where it runs; by default where we do.
    on_parent_death
        Signal that it gets when we die: TERM to let it finish, KILL to have it gone.
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        on_parent_death: str = "TERM",
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", on_parent_death, "--", *words],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll()

    def stop(self, patience_s: float = 30) -> bool:
        """Ask it to end and wait until it has; False if it had to be killed."""
        if self.status is None:
            self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
