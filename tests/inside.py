"""The conversion of folders within this process, for tests that change something on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.pacs.folder import FolderArchive
from orthanc_mask2seg.service import folders


def convert_inside(masks: Sequence[Path], source: Path, out: Path, settings: Settings | None = None) -> Path:
    """Convert masks of one source into one SEG file."""
    archive = FolderArchive([*masks, source], out)
    results = folders.run(archive, masks, source, settings or Settings(), store=True)
    assert [r.outcome for r in results] == [Outcome.CONVERTED], results
    return out
