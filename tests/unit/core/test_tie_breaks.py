"""Candidates at one place: what tells them apart, and what must not."""

from __future__ import annotations

import pytest

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.tie_breaks import named_after
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, image_series, study

RIVAL = "1.2.3.9"


def rivals(mask: str, first: str, second: str, *, own_uids: bool = True, **tags_of_second: object) -> Study:
    """A mask and two series at one place, by their SeriesDescriptions; the mask's headers are those of the first."""
    made = study(own_uids=own_uids)
    for data in made.image:
        data.SeriesDescription = first
    for data in made.mask:
        data.SeriesDescription = mask
    other = image_series(
        Grid(), StudyInstanceUID=made.image[0].StudyInstanceUID, SeriesDescription=second, **tags_of_second
    )
    for plane, data in enumerate(other):
        data.SeriesInstanceUID = RIVAL
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{RIVAL}.{plane}"
    made.others = [other]
    return made


def outcome(made: Study) -> Result:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True, store=False), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    return ended[0]


@pytest.mark.parametrize(
    ("mask", "drawn_on", "rival"),
    [
        ("B70f liver seg", "B70f", "B31f"),
        ("Thorax 1.0 B70f mask", "Thorax 1.0 B70f", "Thorax 1.0 B31f"),
        ("THORAX_5,0_LIVER", "Thorax 5.0", "Thorax 1.0"),
        ("liver Thorax 5 mm mask", "Thorax 5mm", "Thorax 1mm"),
        ("Abdomen venous liver mask", "Abdomen venous", "Abdomen arterial"),
        ("Abdomen venöse Phase Leber", "venöse Phase", "arterielle Phase"),
        ("Lung 1.0 B70f tumour", "Lung 1.0 B70f", "Soft 1.0 B31f"),
        ("Thorax 1.0 B70f mask", "Thorax 1.0 B70f", "Thorax"),
    ],
)
def test_a_mask_named_after_its_series_is_told_apart(mask: str, drawn_on: str, rival: str) -> None:
    """The whole description in the mask's, with a kernel, thickness or phase that the rival does not have."""
    for first, second, expected in ((drawn_on, rival, None), (rival, drawn_on, RIVAL)):
        made = rivals(mask, first, second)
        result = outcome(made)
        assert result.outcome is Outcome.CONVERTED, result.detail
        assert result.source_series_uid == (expected or made.image[0].SeriesInstanceUID)
        assert any("SeriesDescription" in e.text for e in result.candidates[0].evidence)


@pytest.mark.parametrize(
    ("mask", "first", "second"),
    [
        ("Lung mask", "Soft", "Lung"),
        ("Lung 1.0 mask", "Soft 1.0", "Lung 1.0"),
        ("Soft tissue mask", "Soft", "Lung"),
        ("Felsenbein links", "Kopf", "Felsenbein links"),
        ("Chest wall mask", "Abdomen", "Chest"),
        ("venous thrombus", "arterial", "venous"),
        ("portal venous thrombus", "arterial", "portal venous"),
        ("T12 mask", "T1", "T12"),
        ("PTV70 mask", "Plan", "PTV70"),
        ("PTV 5mm", "3mm", "5mm"),
        ("D95 mask", "Plan", "D95"),
        ("liver v20", "v10", "v20"),
        ("B70f liver", "Thorax B31f", "Thorax B70f"),
        ("Thorax liver B70f", "Thorax B31f", "Thorax B70f"),
        ("B70f B31f liver", "B70f", "B31f"),
        ("Thorax B70f mask", "Thorax B70f MIP", "Thorax B70f"),
        ("Thorax B70f mask", "Thorax B70f", "Thorax B70f"),
        ("mask", "", "B70f"),
    ],
)
def test_organs_and_half_a_name_tell_nothing(mask: str, first: str, second: str) -> None:
    """A word that may be what was drawn, or that is not the whole description, leaves the tie a tie."""
    for a, b in ((first, second), (second, first)):
        result = outcome(rivals(mask, a, b))
        assert (result.outcome, result.reason) == (Outcome.REFUSED, "ambiguous_source")


@pytest.mark.parametrize("copied", [{"AcquisitionTime": "101700"}, {"ConvolutionKernel": "B70f"}])
def test_a_name_that_copied_tags_contradict_decides_nothing(copied: dict[str, str]) -> None:
    """Named after one, a copy of the other: nobody can tell."""
    made = rivals("Thorax B70f liver", "Thorax B31f", "Thorax B70f", **copied)
    for keyword in copied:
        for data in (*made.image, *made.mask):
            setattr(data, keyword, "B31f" if keyword == "ConvolutionKernel" else "101500")
    result = outcome(made)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "ambiguous_source")
    assert any("copied attributes" in e.text for c in result.candidates for e in c.evidence)


def test_a_name_never_outweighs_shared_instances() -> None:
    """SOPInstanceUIDs are proof, words are not."""
    made = rivals("Thorax B70f liver", "Thorax B31f", "Thorax B70f", own_uids=False)
    assert outcome(made).source_series_uid == made.image[0].SeriesInstanceUID


def test_a_name_never_outweighs_geometry() -> None:
    """A series of another place is not the source, whatever it is called."""
    made = rivals("Thorax B70f liver", "Thorax B31f", "Thorax B70f")
    made.others[0] = made.others[0][:-1]
    assert outcome(made).source_series_uid == made.image[0].SeriesInstanceUID


def test_of_three_the_one_that_is_named_whole() -> None:
    """Each rival by itself lacks a telling word of the one."""
    descriptions = ("Thorax 5.0 B31f", "Thorax 5.0 B70f", "Thorax 1.0 B70f")
    assert named_after("Thorax 5.0 B70f mask", descriptions) == (1, "5.0, b70f")
    assert named_after("Thorax 2.0 B70f mask", descriptions) is None
