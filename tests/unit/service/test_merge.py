"""One SEG per study: every mask of a source in one object, the newest replacing the one before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.pipeline import NotYet, Task, run
from orthanc_mask2seg.service.worker import make_runner
from tests.builders import Grid, Study, blob, image_series, mask_series, segments_of, to_bytes


def request(archive: MemoryArchive, uid: str) -> JobRequest:
    series = archive.find_series(uid)
    return JobRequest(
        series_key=series.key,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        version=series.version,
        rested=True,
        origin="watch",
    )


def segs(archive: MemoryArchive) -> list[list[str]]:
    """Segment labels of each SEG that the archive holds."""
    held = [s for s in archive.all_series() if s.modality == "SEG"]
    return [list(segments_of(archive.content(s.instance_keys[0]))) for s in held]


def test_masks_of_a_study_become_one_seg(tmp_path: Path) -> None:
    """The second mask brings a SEG of both; the SEG of the first alone is gone."""
    grid = Grid()
    image = image_series(grid)
    liver = mask_series(image, blob(grid), own_uids=True, description="liver mask")
    spleen = mask_series(image, blob(grid, centre=(0.4, 0.6, 0.4)), own_uids=True, description="spleen mask")
    archive = Study(grid=grid, image=image, mask=liver, labels=blob(grid)).archive()
    run = make_runner(archive, SqlLedger(tmp_path), Settings(merge="study"))
    run(request(archive, str(liver[0].SeriesInstanceUID)))
    assert segs(archive) == [["liver"]]
    for data in spleen:
        archive.add(to_bytes(data))
    run(request(archive, str(spleen[0].SeriesInstanceUID)))
    (both,) = segs(archive)
    assert sorted(both) == ["liver", "spleen"]
    run(request(archive, str(liver[0].SeriesInstanceUID)))
    assert segs(archive) == [both], "in whatever order, the same object"


def test_one_seg_per_mask_by_default(tmp_path: Path) -> None:
    """Each arrives when it arrives."""
    grid = Grid()
    image = image_series(grid)
    liver = mask_series(image, blob(grid), own_uids=True, description="liver mask")
    spleen = mask_series(image, blob(grid, centre=(0.4, 0.6, 0.4)), own_uids=True, description="spleen mask")
    archive = Study(grid=grid, image=image, mask=liver, labels=blob(grid), others=[spleen]).archive()
    run = make_runner(archive, SqlLedger(tmp_path), Settings())
    for series in (liver, spleen):
        run(request(archive, str(series[0].SeriesInstanceUID)))
    assert sorted(segs(archive)) == [["liver"], ["spleen"]]


@pytest.mark.parametrize("spoil", ["pixels", "values"])
def test_a_refused_member_does_not_take_the_others_with_it(spoil: str) -> None:
    """Two masks of one source are merged; one of them turns out to be damaged when its pixels are read, or no mask."""
    grid = Grid()
    image = image_series(grid)
    liver = mask_series(image, blob(grid), own_uids=True, description="liver mask")
    spleen = mask_series(image, blob(grid, centre=(0.4, 0.6, 0.4)), own_uids=True, description="spleen mask")
    if spoil == "pixels":
        spleen[1].PixelData = spleen[1].PixelData[:100]
    else:
        noise = np.random.default_rng(1).integers(0, 250, (grid.rows, grid.columns))
        noise = noise.astype("<u2" if spleen[1].BitsAllocated == 16 else "u1")
        spleen[1].PixelData = noise.tobytes()
    archive = MemoryArchive()
    for data in (*image, *liver, *spleen):
        archive.add(to_bytes(data))
    masks = tuple(archive.find_series(str(m[0].SeriesInstanceUID)) for m in (liver, spleen))
    results = run(archive, Task(masks=masks, named_as_mask=True), Settings(merge="study"))
    assert not isinstance(results, NotYet)
    assert [r.outcome for r in results] == [Outcome.CONVERTED, Outcome.REFUSED]
    assert results[0].mask_series_uids == (masks[0].series_instance_uid,)
    assert results[1].mask_series_uids == (masks[1].series_instance_uid,)
    assert results[1].reason == ("corrupt_pixel_data" if spoil == "pixels" else "not_discrete")
    assert segs(archive) == [["liver"]]
