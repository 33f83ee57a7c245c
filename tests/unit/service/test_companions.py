"""A fault of one output harms neither the segmentation nor the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ArchiveDenied, ArchiveFull, ArchiveUnreachable, NotInArchive
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, study


def run(archive: MemoryArchive, mask_uid: str, **settings: object) -> object:
    masks = (archive.find_series(mask_uid),)
    ended = pipeline.run(archive, pipeline.Task(masks=masks), Settings(**settings))  # type: ignore[arg-type]
    assert isinstance(ended, tuple)
    return ended[0]


@pytest.mark.parametrize("error", [TypeError("of the engine"), NotInArchive("gone")])
def test_a_fault_of_the_measurements_is_said_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def fails(*_: object) -> object:
        nonlocal tries
        tries += 1
        raise error

    tries = 0
    monkeypatch.setattr("orthanc_mask2seg.outputs.measured.measure_all", fails)
    made = study(Grid(), seed=3)
    archive = made.archive()
    result = run(
        archive, str(made.mask[0].SeriesInstanceUID), outputs=("seg", "sr", "csv", "rtstruct"),
        feature_table=str(tmp_path / "all.csv"),
    )  # fmt: skip
    assert result.outcome is Outcome.CONVERTED
    assert [o.kind for o in result.outputs] == ["SEG", "RTSTRUCT"]
    assert [e for e in result.evidence if "failed" in e and e.startswith("output sr")]
    assert tries == 1


@pytest.mark.parametrize("error", [ArchiveUnreachable, ArchiveFull, ArchiveDenied])
def test_what_is_wrong_with_the_whole_archive_passes_and_costs_no_output(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The segmentation is stored by then: the job runs again, finds it, and makes what lacks."""
    made = study(Grid(), seed=3)
    archive = made.archive()
    store, stored = archive.store, []

    def second_fails(content: bytes) -> object:
        stored.append(content)
        if len(stored) == 2:
            raise error
        return store(content)

    monkeypatch.setattr(archive, "store", second_fails)
    with pytest.raises(error):
        run(archive, str(made.mask[0].SeriesInstanceUID), outputs=("seg", "rtstruct"))
    result = run(archive, str(made.mask[0].SeriesInstanceUID), outputs=("seg", "rtstruct"))
    assert [o.kind for o in result.outputs] == ["SEG", "RTSTRUCT"]
    assert stored[2] == stored[0]
