"""What a person asks of one series of an archive, and what would become of it: the pipeline without its store."""

from __future__ import annotations

from typing import Any

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.pipeline import NotYet, Task, run


def task_of(archive: Archive, series: str, source: str, *, store: bool) -> Task:
    """The work on a series that a person calls a mask, on a source that is named or ''."""
    return Task(
        masks=(archive.find_series(series),),
        sources=(archive.find_series(source),) if source else None,
        named_as_mask=True,
        store=store,
    )


def explained(archive: Archive, series: str, source: str, settings: Settings) -> list[dict[str, Any]]:
    """Documents of what would become of a series that a person calls a mask, on a source that is named or ''."""
    ended = run(archive, task_of(archive, series, source, store=False), settings)
    assert not isinstance(ended, NotYet)  # it is taken as it is
    return [result.document() for result in ended]
