"""The database of the state, and the lock on its folder."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from orthanc_mask2seg.errors import StateError

_LOCK = "lock"
_DATABASE = "mask2seg.sqlite"
_TABLES_LOCK = 6_033_512_734
_UNREACHABLE = "the database cannot be used"
_UNREACHABLE_HINT = "Check that PostgreSQL runs, and DatabaseUrl: host, name, user and password."
_CONNECTION = {
    "application_name": "mask2seg",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A server that has vanished without a word is noticed in seconds, not in hours."""


def database_file(state: Path) -> Path:
    """The embedded database in a state folder."""
    return state / _DATABASE


def database_url(state: Path) -> str:
    """Address of the embedded database in a state folder."""
    return f"sqlite:///{database_file(state)}"


def is_embedded(url: str) -> bool:
    """Whether an address means a file in the state folder of one service."""
    return url.startswith("sqlite")


def address(state: Path, url: str = "") -> str:
    """Address of the database: the one that is named, as SQLAlchemy wants it, or the embedded one."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        return f"postgresql+psycopg{separator}{rest}"
    return url or database_url(state)


def connect(url: str) -> sa.Engine:
    """Pool of connections whose errors do not show what was written."""
    if is_embedded(url):
        engine = sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
        sa.event.listen(engine, "connect", _write_at_once)
        return engine
    return sa.create_engine(
        url, hide_parameters=True, pool_pre_ping=True, pool_size=5, max_overflow=5, connect_args=dict(_CONNECTION)
    )


def prepare(url: str) -> None:
    """Set SQLite's journal so that readers and the writer do not wait for each other; see that PostgreSQL is there.

    Raises
    ------
    StateError
        The database cannot be used.
    """
    embedded = is_embedded(url)
    try:
        engine = sa.create_engine(url, hide_parameters=True, connect_args={} if embedded else dict(_CONNECTION))
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("PRAGMA journal_mode=WAL" if embedded else "SELECT 1"))
        finally:
            engine.dispose()
    except (sa.exc.DatabaseError, sa.exc.ArgumentError, ValueError) as error:
        if embedded:
            raise StateError("the history of jobs cannot be read: the file is damaged or read-only") from error
        raise StateError(_UNREACHABLE, hint=_UNREACHABLE_HINT) from None  # its message may hold the whole address


def create_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Make the tables and columns that are not there yet, though another process may be about to do the same."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TABLES_LOCK})
        metadata.create_all(connection)
        for table in metadata.sorted_tables:  # of an earlier release, which had fewer columns
            there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
            for column in (c for c in table.columns if c.name not in there):
                words = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {words}"))


def upsert(engine: sa.Engine, table: sa.Table) -> Any:
    """An INSERT that takes the place of a row with the same primary key."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    values = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def insert_if_new(engine: sa.Engine, table: sa.Table) -> Any:
    """An INSERT that does nothing where there is a row with the same primary key."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing(index_elements=[column.name for column in table.primary_key])


def now(engine: sa.Engine) -> sa.ColumnElement[float]:
    """The database's own clock, s since 1970: the clocks of many hosts differ."""
    if engine.dialect.name == "postgresql":
        return sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Float())
    return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float())


_PASSING = ("08", "25006", "53", "57")
"""Beginnings of SQLSTATE: the connection, read-only (a standby before it takes over), resources, an operator."""


def is_passing(error: BaseException) -> bool:
    """Whether an error is one of the connection or of a full disk, which passes, and none of ours."""
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    return error.connection_invalidated or str(getattr(error.orig, "sqlstate", "") or "").startswith(_PASSING)


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
