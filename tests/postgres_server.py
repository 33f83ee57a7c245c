"""A real PostgreSQL for tests: started on a free port, killed, restarted, never left behind.

Debian's own server, unpacked beside the Orthancs and run by its own loader. PostgreSQL refuses to run as root: then
it runs as nobody, with leave to reach the folder that the test was given.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import get_debian
import psycopg
from child import Child
from orthanc_server import free_port

ROOT = Path(__file__).resolve().parent.parent
SUITE, VERSION = "trixie", "17"
PACKAGES = (f"postgresql-{VERSION}",)
PROGRAMS = Path("usr/lib/postgresql") / VERSION / "bin"
NOBODY = 65534
READY_S = 30
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--pdeathsig=KILL", "--"),
)
"""A test's folder and the checkout may lie where only root may look."""


class PostgresServer:
    """PostgreSQL with a data folder and a port of its own; the user has a password that an address must escape.

    It dies with the thread that started it.

    Arguments
    ---------
    folder
        Made if need be; holds the log (postgres.log) and the data.
    settings
        Of postgresql.conf, over those that are here by default.
    """

    username = "tester"
    password = "correct/horse@battery:staple"

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self.data = self.folder / "data"
        self._programs = _programs(fetch())
        self._child: Child | None = None
        self._settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # what a killed process has written the system still has
            "max_connections": "200",
            "dynamic_shared_memory_type": "mmap",
            **(settings or {}),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.data.exists():
            self._initialise()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.status is None

    @property
    def log(self) -> str:
        """All that it has said, over all its starts."""
        return (self.folder / "postgres.log").read_text(encoding="utf-8", errors="replace")

    def url(self, database: str = "postgres") -> str:
        """Address of a database, with user and password."""
        return f"postgresql://{self.username}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str = "") -> str:
        """Make an empty database and return its address."""
        name = name or f"test_{secrets.token_hex(6)}"
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement; the rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def start(self) -> PostgresServer:
        """Start it and wait until it answers."""
        assert not self.running, "PostgreSQL runs already"
        deadline = time.monotonic() + READY_S
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        while True:
            if not self.running:  # just killed, it waits for the last of its processes to leave
                assert time.monotonic() < deadline, f"PostgreSQL did not start:\n{self.log[-2000:]}"
                self._child = self._run("postgres", ["-D", str(self.data), *options])
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{self.log[-2000:]}"
                time.sleep(0.1)
            else:
                return self

    def stop(self) -> None:
        """End it in order, also the connections that are open ("smart shutdown" would wait for them)."""
        if self._child is not None and self._child.status is None:
            os.kill(self._child.pid, 2)
            self._child.stop()

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL)."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> PostgresServer:
        """Stop it, if it runs, and start it on the same port and data."""
        self.stop()
        return self.start()

    def _initialise(self) -> None:
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self.data, NOBODY, NOBODY)
        secret = self.folder / "password"
        secret.write_text(self.password, encoding="utf-8")
        words = ["-D", str(self.data), f"--username={self.username}", f"--pwfile={secret}", "--auth=scram-sha-256"]
        child = self._run("initdb", [*words, "--no-locale", "--encoding=UTF8", "--no-sync", "--no-instructions"])
        while child.status is None:
            time.sleep(0.02)
        assert child.status == 0, f"initdb failed:\n{child.tail()}"

    def _run(self, program: str, arguments: Sequence[str]) -> Child:
        words = [str(self._programs / program), *arguments]
        return Child(
            "PostgreSQL",
            [*AS_NOBODY, *words] if os.geteuid() == 0 else words,
            self.folder / "postgres.log",
            environment={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            on_parent_death="KILL",
        )


def fetch() -> Path:
    """Folder of the unpacked server; downloads it where it is not there yet."""
    return get_debian.fetch(SUITE, PACKAGES, ROOT / ".state" / "debian" / f"{SUITE}-postgresql")


def _programs(tree: Path) -> Path:
    """Folder of scripts that run the server's programs with their own loader.

    The programs look for one another, and for what they read, beside the path that they were called by. So there is
    a copy of the tree in links, where their names are scripts.
    """
    tree = tree.resolve()
    with get_debian.locked(tree):
        folder = tree / "relocated" / PROGRAMS
        if not folder.exists():
            folder.mkdir(parents=True)
            for path in (Path("usr/share"), PROGRAMS.parent / "lib"):
                (tree / "relocated" / path).symlink_to(tree / path)
            for program in ("initdb", "postgres"):
                words = get_debian.command(tree, str(PROGRAMS / program))
                loader = " ".join(f"'{word}'" for word in words[:-1])
                script = folder / program
                script.write_text(f'#!/bin/sh\nexec {loader} --argv0 "$0" \'{words[-1]}\' "$@"\n', encoding="utf-8")
                script.chmod(0o755)
    return folder
