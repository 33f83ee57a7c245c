"""Which jobs a person has undone. The history of a job stays; what it stored is gone."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from orthanc_mask2seg.jobs.database import create_tables, upsert
from orthanc_mask2seg.jobs.port import Job

_metadata = sa.MetaData()
_undone = sa.Table(
    "mask2seg_undone",
    _metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("undone_at", sa.Double, nullable=False),
)
_CHUNK = 500


class Undone:
    """The jobs that were undone, in the database of jobs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def note(self, job: Job, moment: float) -> None:
        """Remember that a job was undone (s since 1970)."""
        create_tables(self._engine, _metadata)
        with self._engine.begin() as connection:
            values = {"job_id": job.id, "undone_at": max(moment, job.updated_at)}
            connection.execute(upsert(self._engine, _undone).values(**values))

    def among(self, jobs: Iterable[Job]) -> dict[str, float]:
        """Those of some jobs that are undone, and when (s since 1970); one that has run again since is not."""
        by_id = {job.id: job for job in jobs}
        ids = list(by_id)
        found: dict[str, float] = {}
        with self._engine.connect() as connection:
            if not sa.inspect(connection).has_table(_undone.name):
                return {}
            for start in range(0, len(ids), _CHUNK):
                query = sa.select(_undone).where(_undone.c.job_id.in_(ids[start : start + _CHUNK]))
                found |= {row.job_id: row.undone_at for row in connection.execute(query)}
        return {job_id: moment for job_id, moment in found.items() if moment >= by_id[job_id].updated_at}
