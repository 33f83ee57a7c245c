"""A SEG names the images that it lies on and the mask that it came from, and nothing that does not exist."""

from __future__ import annotations

import io

import pytest
from pydicom import Dataset, dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.service.pipeline import NotYet, convert_series
from tests.builders import Grid, Study, blob, image_series, mask_series


def converted(*, own_uids: bool) -> tuple[Study, Dataset]:
    """A study, and the SEG of its mask."""
    grid = Grid()
    image = image_series(grid)
    made = Study(
        grid=grid,
        image=image,
        mask=mask_series(image, blob(grid), own_uids=own_uids, description="liver mask"),
        labels=blob(grid),
    )
    archive = made.archive()
    result = convert_series(archive, [archive.find_series(str(made.mask[0].SeriesInstanceUID))], Settings())
    assert not isinstance(result, NotYet)
    assert result.outputs[0].key is not None
    return made, dcmread(io.BytesIO(archive.content(result.outputs[0].key)))


def named(data: Dataset, purpose: str) -> set[str]:
    """SOPInstanceUIDs with a purpose of reference."""
    return {
        str(item.ReferencedSOPInstanceUID)
        for item in data.SourceImageSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == purpose
    }


@pytest.mark.parametrize("own_uids", [True, False])
def test_sources_and_masks_are_named(own_uids: bool) -> None:
    """121322: the source slices that have a frame; 121321: the mask, where it can be told from its source."""
    made, data = converted(own_uids=own_uids)
    images = {str(d.SOPInstanceUID) for d in made.image}
    frames = {
        str(f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        for f in data.PerFrameFunctionalGroupsSequence
    }
    assert named(data, "121322") == frames <= images
    masks = {str(d.SOPInstanceUID) for d in made.mask}
    assert named(data, "121321") == (masks if own_uids else set())
    assert len(data.SourceImageSequence) == len(frames) + (len(masks) if own_uids else 0)
    uid = str(made.mask[0].SeriesInstanceUID)
    told = [str(e.ContributionDescription) for e in data.ContributingEquipmentSequence]
    assert told[-1] == f"Converted from mask series {uid}"
    assert [str(s.SeriesInstanceUID) for s in data.ReferencedSeriesSequence] == [str(made.image[0].SeriesInstanceUID)]
