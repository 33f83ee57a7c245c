"""Which values lie around, what the header says of that, and where nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from orthanc_mask2seg.core.voxels import Census, Labelling, labelling
from orthanc_mask2seg.model import Reason, Refusal

SHAPE = (6, 24, 20)


def decided(stored: np.ndarray, **tags: object) -> Labelling | Refusal:
    census = Census()
    for plane in stored:
        census.add(plane)
    header = Dataset()
    header.PhotometricInterpretation = "MONOCHROME2"
    for name, value in tags.items():
        setattr(header, name, value)
    return labelling(census, header)


def labels_of(stored: np.ndarray, **tags: object) -> dict[int, int]:
    found = decided(stored, **tags)
    assert isinstance(found, Labelling), found
    return dict(found.labels)


def undecided(stored: np.ndarray, **tags: object) -> Refusal:
    found = decided(stored, **tags)
    assert isinstance(found, Refusal), found
    assert found.reason is Reason.UNSUPPORTED_PIXEL_DATA
    return found


def inside(*values: int) -> np.ndarray:
    """A square of each value in slices 1 to 4, away from the rim."""
    stored = np.zeros(SHAPE, np.uint16)
    for number, value in enumerate(values):
        stored[1:5, 2 + 3 * number : 4 + 3 * number, 3:9] = value
    return stored


# ---------------------------------------------------------------- PixelPaddingValue


@pytest.mark.parametrize("value", [7, 255])
def test_a_padding_value_that_lies_inside_is_a_label(value: int) -> None:
    """A header that was copied from the CT names a value that the mask uses as well."""
    found = decided(inside(1, 2, value), PixelPaddingValue=value, BitsAllocated=16)
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {1: 1, 2: 2, value: value}
    assert any(f"{value} is PixelPaddingValue, but lies inside" in text for text in found.evidence)


def corners(stored: np.ndarray, value: int) -> np.ndarray:
    """Outside of the largest ellipse, as outside of a field of view."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    stored = stored.copy()
    stored[:, ((rows - 11.5) / 11.5) ** 2 + ((columns - 9.5) / 9.5) ** 2 > 1] = value
    return stored


def test_padding_outside_of_the_field_of_view_is_background() -> None:
    """Whatever its number."""
    assert labels_of(corners(inside(1, 2), 255), PixelPaddingValue=255, BitsAllocated=16) == {1: 1, 2: 2}


def test_padding_that_is_also_inside_is_refused() -> None:
    """A label of that value would be lost."""
    found = undecided(corners(inside(1, 2, 255), 255), PixelPaddingValue=255, BitsAllocated=16)
    assert "PixelPaddingValue" in found.detail


def test_padding_at_the_rim_alone_is_refused() -> None:
    """No field of view ends so; a label may."""
    stored = inside(1, 2)
    stored[2, 10:14, :3] = 255
    undecided(stored, PixelPaddingValue=255, BitsAllocated=16)


# ---------------------------------------------------------------- 0 is absent


@pytest.mark.parametrize("number", [2, 4])
def test_labels_that_fill_the_image_are_all_kept(number: int) -> None:
    """However many they are."""
    stored = np.ones(SHAPE, np.uint8)
    stored[:, 12:] = 2
    if number == 4:
        stored[:, :, 10:] += 2
    found = decided(stored)
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {n: n for n in range(1, number + 1)}
    assert any("0 is absent" in text for text in found.evidence)


@pytest.mark.parametrize("others", [(2,), (2, 3)])
def test_the_lowest_value_around_all_others_is_background(others: tuple[int, ...]) -> None:
    """In every slice."""
    stored = np.maximum(inside(*others), 1)
    assert labels_of(stored) == {v: v for v in others}


@pytest.mark.parametrize("around", [3, 255, 257])
def test_the_highest_value_around_all_others_may_be_a_label(around: int) -> None:
    """Unlabelled as 255, or the rest of the body: nobody can tell, and a label must not be lost."""
    stored = inside(1, 2).astype(np.uint16)
    stored[stored == 0] = around
    undecided(stored)


@pytest.mark.parametrize("others", [(2,), (2, 3)])
def test_most_of_the_rim_proves_nothing(others: tuple[int, ...]) -> None:
    """A label that reaches the rim, or background: nobody can tell, and 0 would have."""
    stored = np.maximum(inside(*others), 1)
    stored[:, :, 12:] = 2
    found = undecided(stored)
    assert "no value is 0" in found.detail


# ---------------------------------------------------------------- MONOCHROME1


def test_a_large_organ_in_monochrome1() -> None:
    """The frame around it is background, however thin: it fills the rim of every slice."""
    stored = np.ones(SHAPE, np.uint8)
    stored[:, 2:23, 1:19] = 0
    found = decided(stored, PhotometricInterpretation="MONOCHROME1")
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {0: 1}
    assert any("MONOCHROME1 shows it black" in text for text in found.evidence)


def test_a_part_of_the_rim_proves_nothing_in_monochrome1() -> None:
    """A body that reaches both sides."""
    stored = np.ones(SHAPE, np.uint8)
    stored[:, 4:20] = 0
    undecided(stored, PhotometricInterpretation="MONOCHROME1")


@pytest.mark.parametrize(("value", "bits"), [(255, 8), (4095, 12), (255, 16)])
def test_all_black_in_monochrome1_is_empty(value: int, bits: int) -> None:
    """Nothing segmented, inverted."""
    stored = np.full(SHAPE, value, np.uint16)
    found = decided(stored, PhotometricInterpretation="MONOCHROME1", BitsStored=bits)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.EMPTY_MASK
    found = decided(stored, BitsStored=bits)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.NOT_A_MASK


# ---------------------------------------------------------------- one label, two values?


def test_labels_that_never_meet_are_remarked() -> None:
    """1 in some slices, 255 in the others."""
    stored = inside(1)
    stored[3:] *= 255
    found = decided(stored)
    assert isinstance(found, Labelling)
    assert "values 1 and 255 never occur in the same slice" in found.evidence
    together = decided(inside(1, 255))
    assert isinstance(together, Labelling)
    assert not any("same slice" in text for text in together.evidence)


# ---------------------------------------------------------------- palettes


def test_indices_of_a_palette_are_labels() -> None:
    """With their colours, alike or not; black is background where it has another index."""
    colours = {0: 0, 1: 0xFF0000, 2: 0xFF0000, 9: 0x00FF00}
    indices = inside(1, 2, 9).astype(np.int64)
    packed = np.vectorize(lambda i: i << 24 | colours[i])(indices)
    found = decided(packed, PhotometricInterpretation="PALETTE COLOR", RescaleIntercept="-1024")
    assert isinstance(found, Labelling)
    assert sorted(found.labels.values()) == [1, 2, 9]
    assert found.own_values
    assert found.colours == {1: "ff0000", 2: "ff0000", 9: "00ff00"}
    assert (found.apply(packed[2]) == indices[2]).all()
    turned = (9 - indices) << 24 | np.vectorize(colours.get)(indices)
    found = decided(turned, PhotometricInterpretation="PALETTE COLOR")
    assert isinstance(found, Labelling)
    assert (found.apply(turned[2]) > 0).tolist() == (indices[2] > 0).tolist()


def test_palettes_that_differ_leave_the_colours() -> None:
    """Index 1 is red in one slice and green in the next."""
    packed = inside(1).astype(np.int64)
    packed[packed == 1] = 1 << 24 | 0xFF0000
    packed[3][packed[3] > 0] = 1 << 24 | 0x00FF00
    packed[4][packed[4] > 0] = 2 << 24 | 0xFF0000
    found = decided(packed, PhotometricInterpretation="PALETTE COLOR")
    assert isinstance(found, Labelling)
    assert not found.own_values
    assert set(found.labels.values()) == {1, 2}
    assert (found.apply(packed[1]).max(), found.apply(packed[3]).max()) == (2, 1)
    assert found.apply(packed[4]).max() == found.apply(packed[1]).max()
