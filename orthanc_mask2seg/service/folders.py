"""The same pipeline on folders of DICOM files, without a PACS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Outcome, Refusal, Result, Series
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service import pipeline
from orthanc_mask2seg.service.reading import unreadable

Root_contra = TypeVar("Root_contra", contravariant=True)
"""A folder, or what stands for one."""
Root = TypeVar("Root")


class Rooted(Archive, Protocol[Root_contra]):
    """An archive of several folders that are told apart."""

    def series_under(self, root: Root_contra) -> tuple[Series, ...]:
        """Every series of one of the roots."""

    def unreadable(self, root: Root_contra) -> tuple[tuple[str, str], ...]:
        """What claims to be DICOM and cannot be read: (name, why)."""

    @property
    def one_file(self) -> bool:
        """Whether there is room for one segmentation only."""


def run(
    archive: Rooted[Root], masks: Sequence[Root], source: Root, settings: Settings, *, store: bool
) -> tuple[Result, ...]:
    """Convert the mask series in some folders; those of one source become one segmentation.

    Parameters
    ----------
    archive
        Over all these folders, or what it takes in their place.
    masks
        Folders of masks, in the order of the segments.
    source
        Folder of the image series among which the match decides. Where it is also a folder of masks, it has to be found
        out which series are masks.
    store
        Write the segmentation; False only shows what would happen.
    """
    broken = [problem for root in (*masks, source) for problem in archive.unreadable(root)]
    if broken:
        return (_refused(unreadable(broken)),)
    series: list[Series] = []
    for root in masks:
        found = archive.series_under(root)
        if not found:
            name = root.name if isinstance(root, Path) else "A group of data sets"
            raise ConfigurationError(f"{name} holds no DICOM images", hint="Name the folder of the mask series.")
        series += sorted(found, key=lambda s: s.series_instance_uid)
    task = pipeline.Task(
        masks=tuple(series),
        sources=archive.series_under(source),
        named_as_mask=all(not _same(root, source) for root in masks),
        store=store,
        one_output=store and archive.one_file,
    )
    ended = pipeline.run(archive, task, settings)
    assert not isinstance(ended, pipeline.NotYet)
    return ended


def _same(root: object, other: object) -> bool:
    """Whether both are the same folder, or the same data sets."""
    if isinstance(root, Path) and isinstance(other, Path):
        return root.resolve() == other.resolve()
    return root is other


def _refused(refusal: Refusal) -> Result:
    return Result(
        outcome=Outcome.REFUSED,
        reason=refusal.reason,
        detail=refusal.detail,
        hint=refusal.hint,
        evidence=refusal.evidence,
    )
