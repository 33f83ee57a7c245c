"""One table of features for a whole project: the rows of every segmentation, each once, whatever is done again."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

SEG = "seg_sop_instance_uid"
Row = dict[str, str]


def append(table: Path, content: bytes, replaced: Collection[str] = ()) -> None:
    """Put the rows of one segmentation into a table, in place of those that it has of it.

    Several processes may do so at a time. Whoever reads the table meanwhile sees it as it was, or as it will be.

    Parameters
    ----------
    table
        CSV file; made, with its folder, where there is none. Columns that it does not have yet come last.
    content
        As `outputs.table.to_csv` gives it.
    replaced
        SOPInstanceUIDs of segmentations that are gone: so are their rows.

    Raises
    ------
    OSError
        It cannot be written.
    ValueError
        The file is no table of features.
    """
    table.parent.mkdir(parents=True, exist_ok=True)
    with _alone(table):
        columns, rows = _read(table.read_bytes()) if table.exists() else ([], [])
        if rows and SEG not in columns:
            raise ValueError("it has no column seg_sop_instance_uid")
        new_columns, new_rows = _read(content)
        gone = {*replaced, *(row[SEG] for row in new_rows)}
        columns = [*columns, *(name for name in new_columns if name not in columns)]
        _write(table, columns, [*(row for row in rows if row.get(SEG) not in gone), *new_rows])


@contextmanager
def _alone(table: Path) -> Iterator[None]:
    """Keep others from the table; the system gives it back however this process ends."""
    descriptor = os.open(table.with_name(f".{table.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(content: bytes) -> tuple[list[str], list[Row]]:
    reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    rows = [{str(name): value or "" for name, value in row.items() if name is not None} for row in reader]
    return list(reader.fieldnames or ()), rows


def _write(table: Path, columns: list[str], rows: list[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    descriptor, name = tempfile.mkstemp(dir=table.parent, prefix=f".{table.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(table)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
