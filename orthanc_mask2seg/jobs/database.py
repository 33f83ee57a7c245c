"""The database of the state, and the lock on its folder."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orthanc_mask2seg.errors import StateError

_LOCK = "lock"
_DATABASE = "mask2seg.sqlite"


def database_file(state: Path) -> Path:
    """The embedded database in a state folder."""
    return state / _DATABASE


def database_url(state: Path) -> str:
    """Address of the embedded database in a state folder."""
    return f"sqlite:///{database_file(state)}"


def connect(url: str) -> sa.Engine:
    """Pool of connections whose errors do not show what was written."""
    engine = sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _write_at_once)
    return engine


def prepare(url: str) -> None:
    """Set SQLite's journal so that readers and the writer do not wait for each other."""
    if not url.startswith("sqlite"):
        return
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("PRAGMA journal_mode=WAL"))
    except sa.exc.DatabaseError as error:
        raise StateError("the history of jobs cannot be read: the file is damaged or read-only") from error
    finally:
        engine.dispose()


def lock(state: Path) -> int:
    """Take the state folder for this process; the system gives it back when the process ends, however it ends.

    Raises
    ------
    StateError
        Another process has it, or it cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"the state folder cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateError("the state folder is in use by another service") from error
    return descriptor


def _write_at_once(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"  # writers queue up instead of failing when they collide
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA foreign_keys=ON")
    if sqlite3.sqlite_version_info < (3, 42):  # DBOS 3.4.0 asks for unixepoch('subsec') on Python 3.12 and later
        connection.create_function("unixepoch", 1, lambda _modifier: time.time())
