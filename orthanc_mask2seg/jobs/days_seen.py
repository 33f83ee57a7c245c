"""The days on which a service was there to see them: they say how much time has passed, whatever one clock says.

A clock that is a year ahead for a minute would make all jobs a year old, and one that was a year behind for a minute
has made new jobs that look a year old.
"""

from __future__ import annotations

import sqlalchemy as sa

from orthanc_mask2seg.jobs.database import create_tables, upsert

DAY = 86400.0
MOST = 30
"""So many days of service have to lie between the end of a job and now, before it may be forgotten."""

_metadata = sa.MetaData()
_days = sa.Table(
    "mask2seg_day",
    _metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seen", sa.Integer, nullable=False),
)


class DaysSeen:
    """The days of service, in the database of jobs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        create_tables(engine, _metadata)

    def see(self, now: float) -> None:
        """The service is there now (s since 1970)."""
        with self._engine.begin() as connection:
            connection.execute(upsert(self._engine, _days).values(day=int(now // DAY), seen=1))

    def back(self, now: float, days: float) -> float | None:
        """A moment that lies so many days back, and as many days of service, up to `MOST`.

        Returns
        -------
        float or None
            Seconds since 1970; None where the service has not been there for long enough.
        """
        wanted = min(int(days), MOST)
        moment = now - days * DAY
        if not wanted:
            return moment
        query = sa.select(_days.c.day).where(_days.c.day < int(now // DAY)).order_by(_days.c.day.desc()).limit(wanted)
        with self._engine.connect() as connection:
            seen = connection.execute(query).scalars().all()
        return min(moment, seen[-1] * DAY) if len(seen) == wanted else None
