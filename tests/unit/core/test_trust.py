"""Slices without positions, paired by InstanceNumber."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from orthanc_mask2seg.core.geometry import planes_of, stack
from orthanc_mask2seg.core.match import Match, match
from orthanc_mask2seg.core.trust import borrow_positions
from orthanc_mask2seg.model import ArchiveKey, ImageSeries, Reason, Refusal, Series, Uid
from tests.builders import Grid, image_series, study

SERIES = Series(key=ArchiveKey("a"), series_instance_uid=Uid("1.2.3"), study_instance_uid=Uid("1.2"))


def source() -> ImageSeries:
    headers = image_series(Grid())
    planes = planes_of(headers)
    assert not isinstance(planes, Refusal)
    volume = stack(planes)
    assert not isinstance(volume, Refusal)
    return ImageSeries(series=SERIES, headers=tuple(headers), volume=volume)


def without_positions() -> list[Dataset]:
    mask = study(own_uids=True).mask
    for data in mask:
        del data.ImagePositionPatient
    return list(mask)


def test_the_same_numbers_pair_the_slices() -> None:
    """Whatever the order of the files."""
    borrowed = borrow_positions(SERIES, without_positions()[::-1], source())
    assert isinstance(borrowed, ImageSeries)
    assert borrowed.trusted
    assert [borrowed.header(p).InstanceNumber for p in borrowed.volume.planes] == [1, 2, 3, 4, 5, 6]


def test_borrowed_places_are_no_proof() -> None:
    """The match says that the places were given, not that they coincide."""
    images = source()
    borrowed = borrow_positions(SERIES, without_positions(), images)
    assert isinstance(borrowed, ImageSeries)
    found = match(borrowed, [images])
    assert isinstance(found, Match)
    texts = [e.text for e in found.candidates[0].evidence]
    assert "each of 6 mask planes was given the place of the source plane of its number" in texts
    assert not any("coincide" in text for text in texts)


@pytest.mark.parametrize(
    ("number", "problem", "evidence"),
    [
        (2, "an InstanceNumber occurs twice", "mask: 6 slices, InstanceNumber 2 to 6, 5 different"),
        (9, "the InstanceNumbers of 6 mask slices are not those of 6 source slices", "InstanceNumber 2 to 9"),
        (None, "an InstanceNumber is missing", "mask: 6 slices, InstanceNumber 2 to 6, 5 different"),
    ],
)
def test_other_numbers_are_refused_with_the_numbers(number: int | None, problem: str, evidence: str) -> None:
    """What the mask has, and what the source has."""
    mask = without_positions()
    mask[0].InstanceNumber = number
    refused = borrow_positions(SERIES, mask, source())
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.NO_GEOMETRY
    assert problem in refused.detail
    assert evidence in refused.evidence[0]
    assert refused.evidence[1] == "source 1.2.3: 6 slices, InstanceNumber 1 to 6, 6 different"
    assert "--trust-order (setting TrustOrder)" in refused.hint
