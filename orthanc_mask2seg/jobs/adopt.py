"""Takes the memory of an embedded database along to a PostgreSQL, so that nothing is converted again there."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from orthanc_mask2seg.jobs.database import connect, create_tables, upsert


def adopt(source_url: str, target_url: str, tables: Sequence[sa.Table]) -> bool:
    """Copy tables of ours into a database in which they are empty; whether there was anything to copy.

    All or nothing: a sudden end leaves the target as it was. DBOS's history of jobs stays where it is; the memory says
    what was done, and what was not done yet is asked for again.
    """
    source, target = connect(source_url), connect(target_url)
    try:
        with source.connect() as reading, target.begin() as writing:
            if any(writing.execute(sa.select(table).limit(1)).first() for table in tables):
                return False
            create_tables(source, tables[0].metadata)  # with the columns that an earlier release did not have
            copied = False
            for table in tables:
                if not sa.inspect(source).has_table(table.name):
                    continue
                for rows in reading.execute(sa.select(table)).mappings().partitions(500):
                    writing.execute(upsert(target, table), [dict(row) for row in rows])
                    copied = True
            return copied
    finally:
        source.dispose()
        target.dispose()
