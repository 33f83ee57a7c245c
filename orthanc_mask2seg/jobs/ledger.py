"""The memory of the watcher, in the same database as the jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orthanc_mask2seg.jobs.adopt import adopt
from orthanc_mask2seg.jobs.database import (
    address,
    connect,
    create_tables,
    database_file,
    database_url,
    insert_if_new,
    is_embedded,
    prepare,
    upsert,
)
from orthanc_mask2seg.jobs.port import STALE, Ending, Seen, Stored, StoredState, Verdict
from orthanc_mask2seg.model import ArchiveKey, Uid

_log = logging.getLogger(__name__)
_metadata = sa.MetaData()
_cursor = sa.Table(
    "mask2seg_cursor",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
_seen = sa.Table(
    "mask2seg_seen",
    _metadata,
    sa.Column("series_key", sa.Text, primary_key=True),
    sa.Column("series_instance_uid", sa.Text, nullable=False),
    sa.Column("study_instance_uid", sa.Text, nullable=False, index=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("study_version", sa.Text, nullable=False),
)
_stored = sa.Table(
    "mask2seg_stored",
    _metadata,
    sa.Column("orthanc_id", sa.Text, primary_key=True),
    sa.Column("series_key", sa.Text, nullable=False, index=True),
    sa.Column("sop_instance_uid", sa.Text, nullable=False),
    sa.Column("series_instance_uid", sa.Text, nullable=False, server_default=""),
    sa.Column("source_series_uid", sa.Text, nullable=False, server_default=""),
    sa.Column("base_uid", sa.Text, nullable=False, server_default=""),
    sa.Column("number", sa.Integer, nullable=False, server_default="1"),
    sa.Column("state", sa.Text, nullable=False, server_default="current"),
    sa.Column("job_id", sa.Text, nullable=False, server_default=""),
    sa.Column("sha256", sa.Text, nullable=False, server_default=""),
)
_ended = sa.Table(
    "mask2seg_ended",
    _metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("study_instance_uid", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("is_image", sa.Boolean, nullable=False),
)
_SETTLED = (Verdict.CONVERTED, Verdict.ENQUEUED)
_CHUNK = 500
"""Rows written or deleted by one statement."""


class SqlLedger:
    """The `Ledger` port on SQLAlchemy."""

    def __init__(self, state: Path, url: str = "") -> None:
        url = address(state, url)
        prepare(url)
        self._engine = connect(url)
        create_tables(self._engine, _metadata)
        if not is_embedded(url) and database_file(state).exists():
            self._move_house(database_url(state), url)

    def _move_house(self, source: str, target: str) -> None:
        if adopt(source, target, (_cursor, _seen, _stored)):
            _log.info("took along to PostgreSQL what was remembered in the state folder")

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def cursor(self, name: str) -> int | None:
        """How far a journal has been read; None before the first time."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_cursor.c.position).where(_cursor.c.name == name)).scalar()

    def move_cursor(self, name: str, position: int) -> None:
        """Remember how far a journal has been read."""
        self._replace(_cursor, [{"name": name, "position": position}])

    def seen(self, series_key: ArchiveKey) -> Seen | None:
        """What became of a series."""
        found = self._find(_seen.c.series_key == series_key)
        return found[0] if found else None

    def remember(self, *seen: Seen) -> None:
        """Remember what became of series, in place of what was known of them."""
        self._replace(_seen, [asdict(each) for each in seen])

    def end(self, seen: Seen, ending: Ending) -> None:
        """Remember how the job on a version of a series ended, and tell the watcher, wherever it is."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(_seen)
                .where(_seen.c.series_key == seen.series_key, _seen.c.version == seen.version)
                .values(verdict=seen.verdict, reason=seen.reason, job_id=seen.job_id)
            )
            connection.execute(sa.insert(_ended).values(**asdict(ending)))

    def tell(self, ending: Ending) -> None:
        """Tell the watcher of a job that is nothing to remember."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_ended).values(**asdict(ending)))

    def endings(self, most: int) -> tuple[Ending, ...]:
        """Take what the workers told since."""
        with self._engine.begin() as connection:
            first = sa.select(_ended).order_by(_ended.c.number).limit(most)
            rows = connection.execute(first).mappings().all()
            if rows:
                connection.execute(sa.delete(_ended).where(_ended.c.number.in_([row["number"] for row in rows])))
        return tuple(Ending(**{name: value for name, value in row.items() if name != "number"}) for row in rows)

    def mark_stale(self, *series_keys: ArchiveKey) -> None:
        """Note that the studies of these masks have got other images since they were asked for."""
        with self._engine.begin() as connection:
            for start in range(0, len(series_keys), _CHUNK):
                chosen = _seen.c.series_key.in_(series_keys[start : start + _CHUNK]) & _seen.c.verdict.in_(_SETTLED)
                connection.execute(sa.update(_seen).where(chosen).values(study_version=STALE))

    def forget(self, *series_keys: ArchiveKey) -> None:
        """Forget series that are gone from the archive."""
        self._delete(_seen.c.series_key, series_keys)

    def versions(self) -> dict[ArchiveKey, str]:
        """The version dealt with, of every series known."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_seen.c.series_key, _seen.c.version))
            return {ArchiveKey(key): version for key, version in rows}

    def unfinished(self, study_instance_uid: Uid | None = None) -> tuple[Seen, ...]:
        """Series refused, skipped, still enqueued, or converted but stale, of one study or of all."""
        wanted: sa.ColumnElement[bool] = _seen.c.verdict.in_([Verdict.REFUSED, Verdict.SKIPPED, Verdict.ENQUEUED])
        wanted |= (_seen.c.verdict == Verdict.CONVERTED) & (_seen.c.study_version == STALE)
        if study_instance_uid is not None:
            wanted &= _seen.c.study_instance_uid == study_instance_uid
        return self._find(wanted)

    def count_refused(self, reason: str) -> int:
        """How many series stand refused for a reason."""
        wanted = (_seen.c.verdict == Verdict.REFUSED) & (_seen.c.reason == reason)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(_seen).where(wanted)).scalar_one()

    def of_study(self, study_instance_uid: Uid) -> tuple[Seen, ...]:
        """Series of a study, except those that were passed over."""
        return self._find((_seen.c.study_instance_uid == study_instance_uid) & (_seen.c.verdict != Verdict.PASSED_OVER))

    def dealt_with(
        self, verdict: Verdict | None, reason: str, study_instance_uid: Uid | None, most: int
    ) -> tuple[Seen, ...]:
        """Series that there was a job on, of which this is so; '' and None for whatever."""
        wanted = _seen.c.job_id != ""
        if verdict is not None:
            wanted &= _seen.c.verdict == verdict
        if reason:
            wanted &= _seen.c.reason == reason
        if study_instance_uid is not None:
            wanted &= _seen.c.study_instance_uid == study_instance_uid
        return self._find(wanted, most)

    def refused_in_study(self, study_instance_uid: Uid) -> tuple[Seen, ...]:
        """Series of a study that were refused."""
        return tuple(s for s in self.unfinished(study_instance_uid) if s.verdict is Verdict.REFUSED)

    def stored(self, series_key: ArchiveKey) -> tuple[Stored, ...]:
        """What was stored for a mask series and is not deleted since."""
        return self._find_stored(_stored.c.series_key == series_key)

    def announced(self, job_id: str) -> tuple[Stored, ...]:
        """What a job was about to store and did not come to an end with."""
        return self._find_stored((_stored.c.job_id == job_id) & (_stored.c.state == StoredState.ANNOUNCED))

    def unsettled(self, most: int) -> tuple[Stored, ...]:
        """What was announced and nobody came to an end with, yet or ever."""
        query = sa.select(_stored).where(_stored.c.state == StoredState.ANNOUNCED).limit(most)
        with self._engine.connect() as connection:
            return tuple(Stored.of(dict(row)) for row in connection.execute(query).mappings())

    def current(self, after: ArchiveKey, most: int) -> tuple[Stored, ...]:
        """What stands for its mask, in the order of the addresses, those beyond one."""
        wanted = (_stored.c.state == StoredState.CURRENT) & (_stored.c.orthanc_id > after)
        query = sa.select(_stored).where(wanted).order_by(_stored.c.orthanc_id).limit(most)
        with self._engine.connect() as connection:
            return tuple(Stored.of(dict(row)) for row in connection.execute(query).mappings())

    def note_stored(self, *stored: Stored) -> None:
        """Remember what was stored."""
        self._replace(_stored, [asdict(each) for each in stored])

    def stored_at(self, orthanc_id: ArchiveKey) -> Stored | None:
        """What was stored, or announced, at an address."""
        found = self._find_stored(_stored.c.orthanc_id == orthanc_id)
        return found[0] if found else None

    def exchange_stored(self, row: Stored, instead_of: Stored | None) -> bool:
        """Remember what was stored, unless what is known of its address is not `instead_of` any more; whether it is."""
        with self._engine.begin() as connection:
            if instead_of is None:
                return connection.execute(insert_if_new(self._engine, _stored), asdict(row)).rowcount == 1
            change = sa.update(_stored).where(_same(instead_of)).values(**asdict(row))
            return connection.execute(change).rowcount == 1

    def drop_stored(self, *stored: Stored) -> None:
        """Forget what was deleted again, unless something else is known of its address since."""
        with self._engine.begin() as connection:
            for each in stored:
                connection.execute(sa.delete(_stored).where(_same(each)))

    def _find_stored(self, wanted: sa.ColumnElement[bool]) -> tuple[Stored, ...]:
        with self._engine.connect() as connection:
            return tuple(
                Stored.of(dict(row)) for row in connection.execute(sa.select(_stored).where(wanted)).mappings()
            )

    def _find(self, wanted: sa.ColumnElement[bool], most: int | None = None) -> tuple[Seen, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_seen).where(wanted).limit(most)).mappings()
            return tuple(Seen(**{**row, "verdict": Verdict(row["verdict"])}) for row in rows)

    def _replace(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Write rows in place of those with the same primary key, in one transaction."""
        if not rows:
            return
        with self._engine.begin() as connection:
            for start in range(0, len(rows), _CHUNK):
                connection.execute(upsert(self._engine, table), rows[start : start + _CHUNK])

    def _delete(self, column: sa.Column[Any], values: Iterable[str]) -> None:
        values = list(values)
        with self._engine.begin() as connection:
            for start in range(0, len(values), _CHUNK):
                connection.execute(sa.delete(column.table).where(column.in_(values[start : start + _CHUNK])))


def _same(row: Stored) -> sa.ColumnElement[bool]:
    """What is remembered is this and nothing else."""
    return sa.and_(*(_stored.c[name] == value for name, value in asdict(row).items()))
