"""A mask is never the source of a mask, an image is never converted, and a small lesion is found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.detect import looks_like_mask
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, blob, image_series, mask_series, study, to_bytes

GRID = Grid()


def ended(
    *series: Sequence[Dataset], named: bool = False, sources: Sequence[Sequence[Dataset]] | None = None
) -> Result:
    """Of the first series, the others being in its study."""
    archive = MemoryArchive()
    for one in series:
        for data in one:
            archive.add(to_bytes(data))
    uids = None if sources is None else tuple(archive.find_series(str(s[0].SeriesInstanceUID)) for s in sources)
    task = pipeline.Task(
        masks=(archive.find_series(str(series[0][0].SeriesInstanceUID)),), sources=uids, named_as_mask=named
    )
    result = pipeline.run(archive, task, Settings())
    assert not isinstance(result, pipeline.NotYet)
    return result[0]


def mask_of(image: Sequence[Dataset], description: str, number: int = 910, **tags: object) -> list[Dataset]:
    stored = np.roll(blob(GRID), number % 5, 2).astype(np.uint16)
    return mask_series(image, stored, own_uids=True, description=description, number=number, **tags)


def refer(series: Sequence[Dataset], image: Sequence[Dataset], keyword: str = "SourceImageSequence") -> None:
    for data, source in zip(series, image, strict=False):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
        setattr(data, keyword, [item])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("other", ["liver", "Milz", "GTV 2", "organ mask"])
def test_a_mask_is_no_source_where_the_image_does_not_fit(other: str, named: bool) -> None:
    """The CT lacks a slice: the other mask does not take its place, and the evidence says why the CT does not fit."""
    image = image_series(GRID)
    tumour, organ = mask_of(image, "tumour mask"), mask_of(image, other, 911)
    for sources in (None, [image, organ]):
        result = ended(tumour, image[:-1], organ, named=named, sources=sources)
        assert (result.outcome, result.reason) == (Outcome.REFUSED, "geometry_mismatch")
        assert "5 of 6 mask planes coincide" in result.evidence[0]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("tags", [{}, {"ImageType": ["DERIVED", "SECONDARY", "LABEL"]}])
def test_a_mask_is_no_source_where_there_is_no_image(named: bool, tags: dict) -> None:
    """Two masks alone, whichever has more evidence of being one."""
    image = image_series(GRID)
    result = ended(mask_of(image, "tumour mask", **tags), mask_of(image, "liver", 911), named=named)
    assert result.outcome is not Outcome.CONVERTED
    assert any("looks like a mask itself" in e.text for c in result.candidates for e in c.evidence)


def test_the_one_series_that_a_person_names_is_the_source() -> None:
    """A person knows that the digital phantom has few values, even beside another image."""
    phantom = image_series(GRID, values=blob(GRID).astype(np.uint16))
    other = image_series(GRID, seed=1, modality="MR", StudyInstanceUID=phantom[0].StudyInstanceUID, PatientID="P0")
    mask = mask_of(phantom, "ROI")
    result = ended(mask, phantom, other, named=True, sources=[phantom])
    assert (result.outcome, result.source_series_uid) == (Outcome.CONVERTED, phantom[0].SeriesInstanceUID)


@pytest.mark.parametrize(
    ("tags", "referred", "expected"),
    [
        ({"SeriesDescription": "liver"}, True, True),
        ({"SeriesDescription": "CT ROI recon"}, True, False),
        ({"SeriesDescription": "CT ROI recon"}, False, True),
        ({"SeriesDescription": "CT thorax", "ImageType": ["DERIVED", "PRIMARY"]}, False, True),
        ({"SeriesDescription": "CT thorax", "ImageType": ["ORIGINAL", "PRIMARY"]}, False, False),
    ],
)
def test_what_masks_are_called(tags: dict, referred: bool, expected: bool) -> None:
    """By organ, by a word, or by type; a reference outweighs a mere word."""
    header = Dataset()
    for name, value in tags.items():
        setattr(header, name, value)
    assert looks_like_mask(header, referred=referred) is expected


def coarse_pet(image: Sequence[Dataset]) -> list[Dataset]:
    grid = Grid(rows=12, columns=10, spacing=(1.6, 1.4))
    pet = image_series(grid, seed=6, modality="PT")
    for data in pet:
        data.StudyInstanceUID, data.PatientID = image[0].StudyInstanceUID, image[0].PatientID
        data.FrameOfReferenceUID = image[0].FrameOfReferenceUID
    return pet


def test_an_image_of_two_values_is_not_converted() -> None:
    """It fits only by resampling, or another series was made from it."""
    image = image_series(GRID, values=blob(GRID).astype(np.uint16))
    pet = coarse_pet(image)
    result = ended(image, pet)
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "not_a_mask")
    assert "another grid" in result.detail
    for keyword in ("ReferencedImageSequence", "SourceImageSequence"):
        pet = coarse_pet(image)
        refer(pet, image, keyword)
        result = ended(image, pet)
        assert (result.outcome, result.reason) == (Outcome.SKIPPED, "not_a_mask")
        assert "made from it" in result.detail


def test_references_to_shared_instances_tell_nothing() -> None:
    """A seed-style mask has the CT's SOPInstanceUIDs: a PET that refers to the CT does not refer to the mask."""
    made = study()
    pet = coarse_pet(made.image)
    refer(pet, made.image)
    assert ended(made.mask, made.image, pet).outcome is Outcome.CONVERTED


def test_a_mask_that_another_mask_was_made_from_is_converted() -> None:
    """Each of its slices refers to an image: it is a mask, although others refer to it."""
    image = image_series(GRID)
    liver, tumour = mask_of(image, "liver"), mask_of(image, "tumour", 911)
    refer(liver, image)
    refer(tumour, liver)
    assert ended(liver, image, tumour).source_series_uid == image[0].SeriesInstanceUID


@pytest.mark.parametrize("description", ["Lesion 3", "nodule", "microbleeds", "Serie 7"])
@pytest.mark.parametrize("own_uids", [True, False])
def test_small_and_thin_lesions_are_converted(description: str, own_uids: bool) -> None:
    """One pixel wide: the place, and shared SOPInstanceUIDs, say that it is a mask."""
    image = image_series(GRID)
    labels = np.zeros((6, 24, 20), np.uint16)
    labels[2:4, 8:11, 9] = 1
    labels[5, 15, 15] = 1
    result = ended(mask_series(image, labels, own_uids=own_uids, description=description), image)
    assert (result.outcome, result.segments[0].voxels) == (Outcome.CONVERTED, 7)
    shared = any("6 of 6 SOPInstanceUIDs shared" in text for text in result.evidence)
    assert shared is not own_uids


def test_two_values_are_no_probability_map() -> None:
    """Scattered points of one value in a study without images: the words fit what was seen."""
    labels = (np.random.default_rng(0).random((6, 24, 20)) < 0.05).astype(np.uint16)
    result = ended(mask_series(image_series(GRID), labels, own_uids=True, description="S1"))
    assert result.outcome is not Outcome.CONVERTED
    assert "probability" not in result.detail
