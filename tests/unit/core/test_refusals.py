"""A refusal says what to do, and shows the numbers that it was decided by."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core import convert
from orthanc_mask2seg.core.convert import Converted, Matched, Placed, place_labels
from orthanc_mask2seg.core.mask_planes import label_domain, read_planes
from orthanc_mask2seg.core.pixels import Decoded, StoredArray, decode
from orthanc_mask2seg.core.voxels import Census, labelling
from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.model import Reason, Refusal
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.matching import Found, Matcher
from tests.builders import Grid, Study, blob, image_series, mask_series, study, to_bytes

GRID = Grid()


def refused(found: object, reason: Reason) -> Refusal:
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert found.detail.endswith(".")
    assert found.hint
    assert found.evidence
    assert any(re.search(r"\d", text) for text in found.evidence), found.evidence
    assert not re.search(r"\b1 (slices|values|images|frames|bytes|pixels)\b", " ".join(found.evidence))
    return found


def instance() -> Dataset:
    return image_series(Grid(planes=1))[0]


def test_truncated_pixels_say_which_instance_and_how_many_bytes() -> None:
    """Expected and found."""
    data = instance()
    expected = data.Rows * data.Columns * 2
    data.PixelData = data.PixelData[:100]
    text = " ".join(refused(decode(to_bytes(data)), Reason.CORRUPT_PIXEL_DATA).evidence)
    assert str(data.SOPInstanceUID) in text
    assert f"expected {expected} bytes" in text
    assert "found 100 bytes" in text


@pytest.mark.parametrize(
    ("damage", "reason", "shown"),
    [
        (lambda d: d.pop("PixelData"), Reason.UNSUPPORTED_PIXEL_DATA, "no PixelData"),
        (lambda d: [setattr(d, k, 65535) for k in ("Rows", "Columns")], Reason.TOO_LARGE, "65535 rows x 65535 columns"),
        (lambda d: setattr(d, "BitsAllocated", 12), Reason.CORRUPT_PIXEL_DATA, "12 bits"),
    ],
)
def test_an_instance_is_named_and_its_patient_is_not(damage, reason: Reason, shown: str) -> None:
    """By SOPInstanceUID."""
    data = instance()
    data.PatientName, data.PatientID = "Canary^Jane", "CANARY-7"
    damage(data)
    found = refused(decode(to_bytes(data)), reason)
    text = " ".join((found.detail, found.hint, *found.evidence))
    assert str(data.SOPInstanceUID) in text
    assert shown in text
    assert "canary" not in text.lower()


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_what_is_not_dicom_has_its_size(content: bytes) -> None:
    """There is nothing else to say."""
    assert counted(len(content), "byte") in refused(decode(content), Reason.INVALID_DICOM).evidence[0]


def test_a_uid_that_is_a_name_is_not_shown() -> None:
    """Anything may be written there."""
    data = Dataset()
    data.add_new("SOPInstanceUID", "LO", "Canary^Jane")
    assert "Canary" not in instance_of(data)


def of_frames(*frames: StoredArray, **tags: object) -> list[Decoded]:
    decoded = []
    for number, pixels_of_one in enumerate(frames):
        header = Dataset()
        header.SOPInstanceUID = f"1.2.{number}"
        header.BitsAllocated, header.BitsStored = 16, 12
        for name, value in tags.items():
            setattr(header, name, value)
        decoded.append(Decoded(header, pixels_of_one))
    return decoded


def test_fractions_have_their_range_and_their_number() -> None:
    """And the smallest and largest values."""
    values = np.linspace(0, 1, 24).reshape(1, 4, 6)
    found = refused(label_domain(of_frames(values)), Reason.NOT_DISCRETE)
    assert found.evidence == (
        "values from 0 to 1",
        "24 distinct values: 0, 0.0434783, 0.0869565, ..., 0.913043, 0.956522, 1",
    )
    many = refused(label_domain(of_frames(np.random.default_rng(0).random((1, 90, 90)))), Reason.NOT_DISCRETE)
    assert many.evidence[1] == "more than 1000 distinct values"
    lossy = [replace(i, lossy=True) for i in of_frames(np.arange(24).reshape(1, 4, 6))]
    found = refused(label_domain(lossy), Reason.NOT_DISCRETE)
    assert found.evidence[0] == "1 of 1 image compressed with losses"


def test_ways_of_storing_are_counted() -> None:
    """With an example of each."""
    odd = of_frames(np.zeros((1, 4, 4), np.uint16), *[np.ones((1, 4, 4), np.uint16)] * 2)
    odd[0].header.BitsStored = 16
    found = refused(label_domain(odd), Reason.CORRUPT_PIXEL_DATA)
    assert found.evidence[0].startswith("2 images with 12 of 16 bits")
    assert "1.2.0" in found.evidence[1]


def test_many_grey_levels_have_their_range() -> None:
    """Number, smallest and largest."""
    census = Census()
    census.add(np.random.default_rng(0).integers(-1000, 3000, (64, 64)))
    found = refused(labelling(census, Dataset()), Reason.NOT_DISCRETE)
    low, high = min(census.counts), max(census.counts)
    assert f"({len(census.counts)} values, from {low} to {high})" in found.evidence[0]


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (blob(GRID) * 0, Reason.EMPTY_MASK),
        (blob(GRID) * 0 + 5, Reason.NOT_A_MASK),
        (1 - blob(GRID), Reason.UNSUPPORTED_PIXEL_DATA),
    ],
)
def test_values_without_foreground_are_counted(stored: np.ndarray, reason: Reason) -> None:
    """Pixels and shares."""
    census = Census()
    for plane in stored:
        census.add(plane)
    refused(labelling(census, Dataset()), reason)


def test_an_instance_in_place_of_another_is_named() -> None:
    """Both are."""
    made = study()
    (found,) = found_in(made.archive(), made.mask)
    contents = [to_bytes(d) for d in made.mask]
    swapped = refused(read_planes(found.image, [contents[1], *contents[1:]]), Reason.CORRUPT_PIXEL_DATA)
    assert str(made.mask[1].SOPInstanceUID) in swapped.evidence[0]
    made.mask[0].Rows, made.mask[0].Columns = made.mask[0].Columns, made.mask[0].Rows
    turned = refused(read_planes(found.image, [to_bytes(d) for d in made.mask]), Reason.CORRUPT_PIXEL_DATA)
    assert f"found 1 frame of {made.mask[0].Rows} x {made.mask[0].Columns}" in turned.evidence[0]


def found_in(archive: MemoryArchive, *masks: list[Dataset]) -> list[Found]:
    series = [archive.find_series(str(m[0].SeriesInstanceUID)) for m in masks]
    matcher = Matcher(
        archive,
        Settings(),
        sources=None,
        named_as_mask=True,
        not_sources=frozenset(s.series_instance_uid for s in series),
    )
    found = [matcher.find(s) for s in series]
    assert not any(isinstance(f, Refusal) for f in found), found
    return [f for f in found if isinstance(f, Found)]


def two_masks(second: np.ndarray) -> tuple[Study, list[Matched]]:
    made = study(description="liver mask")
    other = mask_series(made.image, second, own_uids=True, description="spleen mask", number=77)
    archive = Study(grid=GRID, image=made.image, mask=[*made.mask, *other], labels=made.labels).archive()
    found = found_in(archive, made.mask, other)
    matched = []
    for one, instances in zip(found, (made.mask, other), strict=True):
        stored = read_planes(one.image, [to_bytes(d) for d in instances])
        assert not isinstance(stored, Refusal)
        matched.append(Matched(mask=one.image, match=one.match, stored=stored))
    return made, matched


def test_the_member_of_a_merge_that_is_refused_is_named() -> None:
    """By its series, and the others can be converted without it."""
    made, (good, bad) = two_masks((1 - blob(GRID)).astype(np.uint16))
    template = made.image[0]
    ended = refused(convert.convert([good, bad], template, series_number_offset=0), Reason.UNSUPPORTED_PIXEL_DATA)
    assert ended.evidence[0] == f"mask series {bad.mask.series.series_instance_uid}"
    assert isinstance(place_labels(bad), Refusal)
    placed = place_labels(good)
    assert isinstance(placed, Placed)
    alone = convert.convert([placed], template, series_number_offset=0)
    assert isinstance(alone, Converted)
    assert [s.label for s in alone.segmentation.segments] == ["liver"]


def test_placed_or_not_the_segmentation_is_the_same() -> None:
    """Byte for byte; and members without codes have different colours."""
    made, members = two_masks(np.roll(blob(GRID), 3, 2).astype(np.uint16))
    template = made.image[0]
    ended = convert.convert(members, template, series_number_offset=0)
    placed = [place_labels(m) for m in members]
    again = convert.convert([p for p in placed if isinstance(p, Placed)], template, series_number_offset=0)
    assert isinstance(ended, Converted)
    assert isinstance(again, Converted)
    assert ended.segmentation.content == again.segmentation.content
    assert len(ended.segmentation.segments) == 2


def test_one_is_singular() -> None:
    """Everywhere that a number stands before a noun."""
    assert [counted(n, "slice") for n in (0, 1, 2)] == ["0 slices", "1 slice", "2 slices"]
