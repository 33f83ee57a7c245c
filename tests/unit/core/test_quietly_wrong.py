"""What must never be converted, or named, without anybody noticing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, image_series, mask_series, same_points, segments_of, study

GRID = Grid()


def convert(made: Study, settings: Settings | None = None, *, named: bool = False) -> tuple[Result, MemoryArchive]:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=named), settings or Settings())
    assert not isinstance(ended, pipeline.NotYet)
    return ended[0], archive


@pytest.mark.parametrize("mean", [0.05, 0.3, 1.0])
def test_a_faint_image_is_no_mask(mean: float) -> None:
    """A few counts per voxel, as in nuclear medicine, are few values without regions."""
    image = image_series(GRID)
    counts = np.random.default_rng(0).poisson(mean, (6, 24, 20)).astype(np.uint16)
    faint = mask_series(image, counts, own_uids=True, description="PET low", Modality="PT")
    result, _ = convert(Study(grid=GRID, image=image, mask=faint, labels=counts))
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "not_a_mask")


def test_a_threshold_is_for_named_masks_alone() -> None:
    """The site's Threshold never cuts an ordinary image."""
    made = study(own_uids=True)
    result, _ = convert(replace_roles(made), Settings(threshold=1000.0))
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "not_a_mask")


def replace_roles(made: Study) -> Study:
    return replace(made, image=made.mask, mask=made.image)


def test_an_inherited_rescale_does_not_spoil_a_threshold() -> None:
    """A copy of a CT has intercept -1024; its probabilities from 0 to 255 are the stored values."""
    rows, columns = np.mgrid[:24, :20]
    plane = (255 / (1 + np.exp((np.hypot(rows - 9.3, columns - 11.1) - 4) / 1.5))).astype(np.uint16)
    made = study(labels=np.stack([plane] * 6))
    result, archive = convert(made, Settings(threshold=128.0), named=True)
    assert result.outcome is Outcome.CONVERTED
    assert result.outputs[0].orthanc_id is not None
    (points,) = segments_of(archive.content(result.outputs[0].orthanc_id)).values()
    assert same_points(points, GRID.points((made.labels >= 128).astype(np.uint8))[1])
    missed, _ = convert(made, Settings(threshold=300.0), named=True)
    assert (missed.outcome, missed.reason) == (Outcome.REFUSED, "not_discrete")
    assert missed.evidence[0] == f"values from 0 to {plane.max()}"


def test_given_numbers_are_not_looked_up_in_a_table(tmp_path) -> None:
    """Labels that were numbered here are not the table's; labels right after rescale are."""
    table = tmp_path / "table.json"
    table.write_text('{"1": "liver", "2": "spleen", "3": "left kidney", "7": "right kidney"}')
    settings = Settings(label_table=str(table))
    labels = blob(GRID)
    labels[:, 20:22, 3:6] = 2
    coloured = labels.astype(np.int16)
    coloured[labels == 1], coloured[labels == 2] = -100, 200
    result, _ = convert(study(labels=labels, stored=lambda _: coloured), settings, named=True)
    assert not {"liver", "spleen"} & {s.label for s in result.segments}

    rescaled = np.choose(labels, (1024, 1027, 1031)).astype(np.uint16)
    result, _ = convert(study(labels=labels, stored=lambda _: rescaled), settings, named=True)
    assert {s.label for s in result.segments} == {"left kidney", "right kidney"}


def test_the_image_that_a_mask_was_made_from_is_the_image() -> None:
    """A CT of 0 and 1 is an image when it is the one that others refer to, whatever it is called."""
    values = np.repeat(blob(GRID, centre=(0.5, 0.6, 0.4)), 1, axis=0).astype(np.uint16)
    image = image_series(GRID, values=values, SeriesDescription="CT ROI recon")
    mask = mask_series(image, blob(GRID), own_uids=True, description="liver")
    for source, data in zip(image, mask, strict=True):
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
        data.SourceImageSequence = [reference]
    made = Study(grid=GRID, image=image, mask=mask, labels=blob(GRID))
    result, _ = convert(made)
    assert result.outcome is Outcome.CONVERTED
    assert result.source_series_uid == image[0].SeriesInstanceUID
    swapped, _ = convert(replace_roles(made))
    assert (swapped.outcome, swapped.reason) == (Outcome.SKIPPED, "not_a_mask")
