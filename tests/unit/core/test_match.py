"""Which series does a mask belong to?"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, image_series, mask_series, study, to_bytes


def outcome(made: Study, *, named: bool = False, settings: Settings | None = None) -> Result:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=named), settings or Settings())
    assert not isinstance(ended, pipeline.NotYet)
    held = {s.modality for s in archive.all_series()}
    assert ("SEG" in held) == (ended[0].outcome is Outcome.CONVERTED), "a refusal stores nothing"
    return ended[0]


def other_series(made: Study, grid: Grid, number: int = 9, **tags: object) -> list[Dataset]:
    """Another image series of the same study and frame of reference."""
    series = image_series(
        grid,
        seed=0,
        modality=str(tags.pop("Modality", "CT")),
        StudyInstanceUID=made.image[0].StudyInstanceUID,
        FrameOfReferenceUID=made.image[0].FrameOfReferenceUID,
        SeriesNumber=number,
        **tags,
    )
    for plane, data in enumerate(series):
        data.SeriesInstanceUID = f"1.2.3.{number}"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.{plane}"
    return series


def test_the_shifted_reconstruction_is_not_taken() -> None:
    """Same matrix, spacing and slices, but 12 mm away: the right one is found by position alone."""
    made = study(own_uids=True)
    shifted = Grid(origin=(-108.2, -102.35, 41.635))
    made.others = [other_series(made, shifted, 8), other_series(made, Grid(step_mm=5.0, planes=3), 9)]
    result = outcome(made)
    assert result.source_series_uid == made.image[0].SeriesInstanceUID
    assert [round(c.score, 2) for c in result.candidates] == [0.8, 0.66, 0.0], (
        "a thicker one of the same extent comes second"
    )


def test_two_equal_series_are_ambiguous() -> None:
    """Two series at the same place with the same headers: nobody can tell."""
    made = study(own_uids=True)
    made.others = [other_series(made, Grid())]
    result = outcome(made)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "ambiguous_source")
    assert "--source" in result.hint


def test_copied_tags_tell_two_kernels_apart() -> None:
    """Soft and sharp reconstruction of one scan: the mask is a copy of the one whose kernel it carries."""
    made = study(own_uids=True)
    for data in (*made.image, *made.mask):
        data.ConvolutionKernel = "B30f"
    made.others = [other_series(made, Grid(), ConvolutionKernel="B70f")]
    result = outcome(made)
    assert result.outcome is Outcome.CONVERTED
    assert result.source_series_uid == made.image[0].SeriesInstanceUID


def test_shared_instances_decide() -> None:
    """A seed-style mask names its source by its SOPInstanceUIDs."""
    made = study()
    made.others = [other_series(made, Grid())]
    assert outcome(made).source_series_uid == made.image[0].SeriesInstanceUID


@pytest.mark.parametrize("jitter", [0.005, 0.02])
def test_positions_may_differ_a_little(jitter: float) -> None:
    """Real pairs differ by hundredths of a millimetre."""
    made = study(own_uids=True)
    for data in made.mask:
        data.ImagePositionPatient = [float(v) + jitter for v in data.ImagePositionPatient]
    assert outcome(made).outcome is Outcome.CONVERTED


def test_a_mask_elsewhere_is_refused() -> None:
    """Half a slice away is elsewhere."""
    made = study(own_uids=True)
    for data in made.mask:
        x, y, z = (float(v) for v in data.ImagePositionPatient)
        data.ImagePositionPatient = [x, y, z + 1.25]
    result = outcome(made)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "geometry_mismatch")
    assert any("shifted" in e.text for c in result.candidates for e in c.evidence)


def test_a_mask_slice_beyond_the_source_is_refused() -> None:
    """A slice that no source slice carries would be lost."""
    made = study(own_uids=True)
    made.image = made.image[:-1]
    result = outcome(made)
    assert result.reason == "geometry_mismatch"
    summary = result.evidence[0]
    assert f"{made.image[0].SeriesInstanceUID}, score 0.00: 5 of 6 mask planes coincide" in summary
    assert "1 mask plane lies beyond the source's ends, by up to 2.500 mm" in summary
    assert "mask plane 6 of 6, InstanceNumber 6, at (-120.500, -95.250, 52.500) mm, is shifted by" in summary
    assert "(0.000, 0.000, 2.500) mm against the nearest source plane" in summary


def test_the_first_plane_that_does_not_fit_is_described() -> None:
    """Not the first plane of all, which may lie where it has to."""
    made = study(own_uids=True)
    x, y, z = (float(v) for v in made.mask[3].ImagePositionPatient)
    made.mask[3].ImagePositionPatient = [x + 0.4, y, z]
    summary = outcome(made).evidence[0]
    assert "5 of 6 mask planes coincide" in summary
    assert "mask plane 4 of 6, InstanceNumber 4," in summary
    assert "shifted by (0.400, 0.000, 0.000) mm" in summary
    assert "beyond" not in summary


def test_a_mask_on_another_grid_is_told_of_resampling() -> None:
    """Only where it would help."""
    made, refusing = study(own_uids=True), Settings(resample="refuse")
    for data in made.mask:
        data.PixelSpacing = [0.9, 0.9]
    assert "setting Resample: nearest" in outcome(made, settings=refusing).hint
    for data in made.mask:
        data.PixelSpacing = made.image[0].PixelSpacing
        data.FrameOfReferenceUID = "1.2.3.4"
    result = outcome(made, settings=refusing)
    assert result.reason == "geometry_mismatch"
    assert "Resample" not in result.hint


def test_another_patient_is_refused_whatever_the_geometry() -> None:
    """A PatientID that differs is always a refusal."""
    made = study(own_uids=True, PatientID="someone else")
    result = outcome(made, named=True)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "patient_mismatch")
    assert "1 image series with another PatientID than the mask" in result.evidence
    told = str(result.document())
    assert "someone else" not in told
    assert str(made.mask[0].PatientID) not in told.replace("PatientID", "")


def test_no_image_series_in_the_study() -> None:
    """A mask alone is never converted blindly."""
    made = study(own_uids=True)
    made.image = []
    result = outcome(made, named=True)
    assert result.reason == "no_source_in_study"
    assert "mask2seg convert MASK --source SERIES" in result.hint
    assert "--source DIR" in result.hint
    assert "0 other series looked at, none that can be the source" in result.evidence
    assert outcome(made).outcome is not Outcome.CONVERTED


def test_masks_of_one_study_do_not_take_each_other_for_sources() -> None:
    """Liver and spleen lie on the CT, not on one another."""
    made = study(own_uids=True)
    made.others = [
        mask_series(
            made.image, blob(made.grid, centre=(0.4, 0.6, 0.4)), own_uids=True, description="spleen", number=902
        )
    ]
    result = outcome(made)
    assert result.source_series_uid == made.image[0].SeriesInstanceUID
    assert any("mask itself" in e.text for c in result.candidates for e in c.evidence)


def test_a_phantom_that_holds_only_0_and_1_is_the_image() -> None:
    """The mask is the one that is called so; the image is left alone."""
    grid = Grid()
    values = (np.random.default_rng(0).random((6, 24, 20)) < 0.5).astype(np.uint16)
    image = image_series(grid, values=values)
    made = Study(grid=grid, image=image, mask=mask_series(image, blob(grid)), labels=blob(grid))
    assert outcome(made).outcome is Outcome.CONVERTED
    swapped = replace_roles(made)
    result = outcome(swapped)
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "not_a_mask")


def replace_roles(made: Study) -> Study:
    return replace(made, image=made.mask, mask=made.image)


def test_an_empty_mask_is_skipped_and_said_so() -> None:
    """Nothing segmented is a finding, not a fault."""
    made = study(labels=np.zeros((6, 24, 20), np.uint8))
    result = outcome(made, named=True)
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "empty_mask")


def test_an_image_named_as_a_mask_is_refused() -> None:
    """A person may be wrong."""
    made = replace_roles(study(own_uids=True))
    result = outcome(made, named=True)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "not_discrete")


def test_a_partial_mask_waits_until_it_has_rested() -> None:
    """More slices may be on the way."""
    made = study()
    made.mask = made.mask[2:4]
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    waiting = pipeline.convert_series(archive, (mask,), Settings(), rested=False)
    assert isinstance(waiting, pipeline.NotYet)
    assert waiting.missing == 4
    rested = pipeline.convert_series(archive, (mask,), Settings(), rested=True)
    assert isinstance(rested, Result)
    assert rested.outcome is Outcome.CONVERTED
    assert "4 slices" in rested.detail


def test_explaining_stores_nothing() -> None:
    """Explain says what would happen."""
    made = study()
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), store=False), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    assert ended[0].outcome is Outcome.CONVERTED
    assert ended[0].segments[0].voxels == int(made.labels.sum())
    assert "SEG" not in {s.modality for s in archive.all_series()}


def test_its_own_seg_is_passed_over() -> None:
    """What we store never triggers us."""
    from orthanc_mask2seg.service.sieve import passes_over

    made = study()
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    pipeline.convert_series(archive, (mask,), Settings())
    verdicts = {s.modality + s.series_description: passes_over(archive, s, Settings()) for s in archive.all_series()}
    assert verdicts == {"CTCT thorax": "not_a_mask", "CTtumour mask": None, "SEGSEG tumour mask": "modality_seg"}


def test_damaged_files_are_refused_with_a_reason() -> None:
    """A truncated slice in the PACS stores nothing."""
    made = study()
    made.mask[3].PixelData = made.mask[3].PixelData[:50]
    archive: MemoryArchive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    assert (ended[0].outcome, ended[0].reason) == (Outcome.REFUSED, "corrupt_pixel_data")


def test_no_pixel_data_is_refused() -> None:
    """Headers alone are no mask."""
    made = study()
    for data in made.mask:
        del data.PixelData
    assert outcome(made, named=True).reason == "unsupported_pixel_data"
    assert to_bytes(made.mask[0])


def test_what_an_earlier_version_stored_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade gives the same UIDs to the same segmentation; other content under them is still a fault."""
    from orthanc_mask2seg.core import template
    from orthanc_mask2seg.errors import StoreMismatch

    made = study()
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    monkeypatch.setattr(template, "__version__", "0.0.1")
    old = pipeline.convert_series(archive, (mask,), Settings())
    monkeypatch.undo()
    new = pipeline.convert_series(archive, (mask,), Settings())
    assert isinstance(old, Result)
    assert isinstance(new, Result)
    assert new.outputs == old.outputs
    held = archive.find_series(new.outputs[0].series_uid)
    other = dcmread(io.BytesIO(archive.content(held.instance_keys[0])))
    other.SegmentSequence[0].SegmentLabel = "something else"
    archive.add(to_bytes(other))
    with pytest.raises(StoreMismatch):
        pipeline.convert_series(archive, (mask,), Settings())
