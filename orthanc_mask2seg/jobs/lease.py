"""Who of several may do what only one should do: a row with an end, on the database's clock."""

from __future__ import annotations

import sqlalchemy as sa

from orthanc_mask2seg.jobs.database import create_tables, now

_metadata = sa.MetaData()
_leases = sa.Table(
    "mask2seg_lease",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("ends_at", sa.Double, nullable=False),
)


class Lease:
    """A lease that one of several owners holds at a time; it ends by itself when its owner does not renew it."""

    def __init__(self, engine: sa.Engine, name: str, owner: str, seconds: float) -> None:
        self._engine, self._name, self._owner, self._seconds = engine, name, owner, seconds
        create_tables(engine, _metadata)
        with engine.begin() as connection:
            if connection.execute(sa.select(_leases.c.name).where(_leases.c.name == name)).first() is None:
                free = sa.insert(_leases).values(name=name, owner="", ends_at=0.0)
                with connection.begin_nested() as attempt:
                    try:
                        connection.execute(free)
                    except sa.exc.IntegrityError:
                        attempt.rollback()  # another one was faster

    def hold(self) -> bool:
        """Take the lease, or renew it; whether it is ours now."""
        moment = now(self._engine)
        mine = (_leases.c.name == self._name) & ((_leases.c.owner == self._owner) | (_leases.c.ends_at < moment))
        taken = sa.update(_leases).where(mine).values(owner=self._owner, ends_at=moment + self._seconds)
        with self._engine.begin() as connection:
            return connection.execute(taken).rowcount == 1

    def give_up(self) -> None:
        """Let another one have it at once."""
        mine = (_leases.c.name == self._name) & (_leases.c.owner == self._owner)
        with self._engine.begin() as connection:
            connection.execute(sa.update(_leases).where(mine).values(owner="", ends_at=0.0))
