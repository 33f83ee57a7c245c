"""DBOS's own table of jobs, for the few questions that its client does not answer without loading every row.

Of the release that `pyproject.toml` pins: another one may have other columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

SCHEMA = "dbos"
"""Where DBOS keeps its tables in PostgreSQL."""


def table(engine: sa.Engine) -> sa.TableClause:
    """The table of jobs."""
    columns = ("workflow_uuid", "name", "status", "executor_id", "priority", "queue_name", "created_at", "updated_at",
               "delay_until_epoch_ms")  # fmt: skip
    schema = SCHEMA if engine.dialect.name == "postgresql" else None
    return sa.table("workflow_status", *(sa.column(name) for name in columns), schema=schema)


def index_by_state(engine: sa.Engine) -> None:
    """See that jobs of one state are found, newest first, without reading all others: DBOS has no index for it."""
    name = f"{SCHEMA}.workflow_status" if engine.dialect.name == "postgresql" else "workflow_status"
    words = f"CREATE INDEX IF NOT EXISTS mask2seg_jobs_by_state ON {name} (name, status, created_at)"
    with engine.begin() as connection:
        connection.execute(sa.text(words))


def newest(
    engine: sa.Engine, name: str, statuses: Sequence[str], limit: int, offset: int, since: float, until: float
) -> tuple[str, ...]:
    """Names of attempts in these states, the newest first, by the index of when they were asked for (s since 1970).

    Nearly all are in one of so many states, which no index by state helps to find: SQLite would sort them all.
    """
    rows = table(engine)
    kind, status = sa.func.coalesce(rows.c.name, ""), sa.func.coalesce(rows.c.status, "")
    query = (
        sa.select(rows.c.workflow_uuid)
        .where(kind == name, status.in_(statuses))
        .where(rows.c.created_at >= int(since * 1000), rows.c.created_at < int(until * 1000))
        .order_by(rows.c.created_at.desc())
        .limit(limit)
        .offset(offset)
    )
    with engine.connect() as connection:
        return tuple(workflow_id for (workflow_id,) in connection.execute(query))


def oldest(engine: sa.Engine, name: str, statuses: Sequence[str]) -> float | None:
    """When the oldest attempt in these states was asked for, s since 1970."""
    rows = table(engine)
    query = sa.select(sa.func.min(rows.c.created_at)).where(rows.c.status.in_(statuses), rows.c.name == name)
    with engine.connect() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else found / 1000


def count(engine: sa.Engine, name: str, statuses: Sequence[str]) -> int:
    """How many attempts are in these states."""
    rows = table(engine)
    query = sa.select(sa.func.count()).select_from(rows).where(rows.c.status.in_(statuses), rows.c.name == name)
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def raise_priority(engine: sa.Engine, workflow_id: str, priority: int) -> None:
    """Let what waits under this name go before others of a higher number."""
    rows = table(engine)
    waits = (rows.c.workflow_uuid == workflow_id) & rows.c.status.in_(["ENQUEUED", "DELAYED"])
    with engine.begin() as connection:
        connection.execute(sa.update(rows).where(waits, rows.c.priority > priority).values(priority=priority))


def owners(engine: sa.Engine) -> set[str]:
    """The executors that jobs are running on, dead or alive."""
    rows = table(engine)
    query = sa.select(rows.c.executor_id).where(rows.c.status == "PENDING").distinct()
    with engine.connect() as connection:
        return {owner for (owner,) in connection.execute(query) if owner}


def running_on(engine: sa.Engine, executor: str) -> set[str]:
    """The attempts that an executor has begun, as far as the database knows."""
    rows = table(engine)
    query = sa.select(rows.c.workflow_uuid).where(rows.c.status == "PENDING", rows.c.executor_id == executor)
    with engine.connect() as connection:
        return {workflow_id for (workflow_id,) in connection.execute(query)}


def is_running(engine: sa.Engine, workflow_id: str) -> bool:
    """Whether an attempt is running, as far as the database knows."""
    rows = table(engine)
    query = sa.select(rows.c.workflow_uuid).where(rows.c.workflow_uuid == workflow_id, rows.c.status == "PENDING")
    with engine.connect() as connection:
        return connection.execute(query).first() is not None


def waiting_by_another_clock(engine: sa.Engine, made_after: float, until_after: float) -> tuple[str, ...]:
    """Attempts that wait for their time, and were made after one moment, or wait beyond another (s since 1970)."""
    rows = table(engine)
    wrong = (rows.c.created_at > int(made_after * 1000)) | (rows.c.delay_until_epoch_ms > int(until_after * 1000))
    query = sa.select(rows.c.workflow_uuid).where(rows.c.status == "DELAYED", wrong)
    with engine.connect() as connection:
        return tuple(workflow_id for (workflow_id,) in connection.execute(query))


def ended_before(engine: sa.Engine, name: str, seconds: float, after: str, most: int) -> tuple[str, ...]:
    """Attempts that are over, or were handed on, since before a moment (s since 1970); pages by their names."""
    rows = table(engine)
    over = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
    query = (
        sa.select(rows.c.workflow_uuid)
        .where(rows.c.name == name, rows.c.status.in_(over), rows.c.updated_at < int(seconds * 1000))
        .where(rows.c.workflow_uuid > after)
        .order_by(rows.c.workflow_uuid)
        .limit(most)
    )
    with engine.connect() as connection:
        return tuple(workflow_id for (workflow_id,) in connection.execute(query))
