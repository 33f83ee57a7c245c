"""The alarms of all hosts that share a database: who watches shows what those who work have met."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from orthanc_mask2seg.jobs.database import create_tables, upsert

VALID_SECONDS = 180.0
"""A host repeats its alarm more often than this, or is dead, or its alarm is over."""

_metadata = sa.MetaData()
_alarms = sa.Table(
    "mask2seg_alarms",
    _metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("repeated", sa.Double, nullable=False),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why a service waits for a person.

    Attributes
    ----------
    since
        Seconds since 1970.
    """

    code: str
    detail: str
    hint: str
    since: float

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class Alarms:
    """The alarms in the database of jobs.

    Parameters
    ----------
    host
        Name of this process among those that share the database.
    """

    def __init__(self, engine: sa.Engine, host: str) -> None:
        self._engine, self._host = engine, host

    def tell(self, alarm: Alarm | None) -> None:
        """Raise, repeat or end the alarm of this host. Nothing depends on it: a database that is away is told of."""
        try:
            create_tables(self._engine, _metadata)
            with self._engine.begin() as connection:
                if alarm is None:
                    connection.execute(sa.delete(_alarms).where(_alarms.c.host == self._host))
                else:
                    row = {"host": self._host, "repeated": time.time(), **asdict(alarm)}
                    connection.execute(upsert(self._engine, _alarms).values(**row))
        except sa.exc.SQLAlchemyError as error:
            _log.warning("an alarm cannot be told to the other hosts: %s", type(error).__name__)

    def oldest(self) -> Alarm | None:
        """The alarm that stands for longest, of whatever host; None where there is none, or the database is away."""
        query = sa.select(_alarms).where(_alarms.c.repeated > time.time() - VALID_SECONDS).order_by(_alarms.c.since)
        try:
            with self._engine.connect() as connection:
                if not sa.inspect(connection).has_table(_alarms.name):
                    return None
                row = connection.execute(query).first()
        except sa.exc.SQLAlchemyError:  # which is an alarm of its own
            return None
        return None if row is None else Alarm(row.code, row.detail, row.hint, row.since)
