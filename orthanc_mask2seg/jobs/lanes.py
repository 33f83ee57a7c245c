"""One job at a time for what must not be done twice at once: two versions of a mask, two masks that are merged.

A lane is a row that says which job has it. A job that died has it still, and gets it again when it runs again, on
whatever host; one that is over, or was handed on, has lost it. DBOS's own partitioned queues would do this too, but
they take the partitions in any order, and what a person waits for would no longer go first.
"""

from __future__ import annotations

import sqlalchemy as sa

from orthanc_mask2seg.jobs import rows
from orthanc_mask2seg.jobs.database import create_tables

_metadata = sa.MetaData()
_lanes = sa.Table(
    "mask2seg_lane",
    _metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("workflow_id", sa.Text, nullable=False),
)


class Lanes:
    """The lanes in a database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        create_tables(engine, _metadata)

    def enter(self, lane: str, workflow_id: str) -> bool:
        """Take a lane, if no other job that runs has it."""
        if self._take_free(lane, workflow_id):
            return True
        holder = self._holder(lane)
        if holder is None or holder == workflow_id:
            return holder is not None or self._take_free(lane, workflow_id)
        if rows.is_running(self._engine, holder):
            return False
        with self._engine.begin() as connection:
            stale = (_lanes.c.lane == lane) & (_lanes.c.workflow_id == holder)
            return connection.execute(sa.update(_lanes).where(stale).values(workflow_id=workflow_id)).rowcount == 1

    def leave(self, lane: str, workflow_id: str) -> None:
        """Give a lane back."""
        with self._engine.begin() as connection:
            own = (_lanes.c.lane == lane) & (_lanes.c.workflow_id == workflow_id)
            connection.execute(sa.delete(_lanes).where(own))

    def _holder(self, lane: str) -> str | None:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_lanes.c.workflow_id).where(_lanes.c.lane == lane)).scalar()

    def _take_free(self, lane: str, workflow_id: str) -> bool:
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_lanes).values(lane=lane, workflow_id=workflow_id))
        except sa.exc.IntegrityError:
            return False
        return True
