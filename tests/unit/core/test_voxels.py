"""Which stored value is background, and what the others are called."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from orthanc_mask2seg.core.pixels import decode
from orthanc_mask2seg.core.voxels import Census, Labelling, labelling
from orthanc_mask2seg.model import Reason, Refusal
from tests.builders import Grid, blob, image_series, set_pixels, study, to_bytes


def census(stored: np.ndarray) -> Census:
    result = Census()
    for plane in stored:
        result.add(plane)
    return result


def header(**tags: object) -> Dataset:
    data = Dataset()
    data.PhotometricInterpretation = "MONOCHROME2"
    for name, value in tags.items():
        setattr(data, name, value)
    return data


LABELS = blob(Grid())


@pytest.mark.parametrize(
    ("stored", "tags", "labels"),
    [
        (LABELS, {}, {1: 1}),
        (LABELS * 255, {}, {255: 255}),
        (LABELS.astype(np.int16) - 1024, {}, {-1023: 1}),
        (LABELS.astype(np.int16) - 1024, {"RescaleIntercept": "0"}, {-1023: 1}),
        (LABELS.astype(np.int16) * 1000 - 1000, {}, {0: 1}),
        (LABELS.astype(np.uint16) * 65535, {}, {65535: 65535}),
        (-LABELS.astype(np.int16), {}, {-1: 1}),
        (1 - LABELS, {"PhotometricInterpretation": "MONOCHROME1"}, {0: 1}),
        (LABELS, {"PhotometricInterpretation": "MONOCHROME1"}, {1: 1}),
        (np.where(LABELS == 1, 7, 0) + np.roll(LABELS, 3, 2) * 0, {}, {7: 7}),
    ],
)
def test_two_values(stored: np.ndarray, tags: dict[str, object], labels: dict[int, int]) -> None:
    """Whatever the two values are, the one around is background."""
    found = labelling(census(stored), header(**tags))
    assert isinstance(found, Labelling)
    assert dict(found.labels) == labels
    assert ((found.apply(stored[2]) > 0) == (LABELS[2] > 0)).all()


def test_inverted_without_a_word_is_refused() -> None:
    """Foreground is never silently the complement."""
    found = labelling(census(1 - LABELS), header())
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSUPPORTED_PIXEL_DATA


def test_labels_with_gaps_keep_their_values() -> None:
    """Values 1, 5 and 40000 stay what they are."""
    stored = LABELS.astype(np.uint16)
    stored[:, 20:, :4] = 5
    stored[:, 20:, 5:9] = 40000
    found = labelling(census(stored), header())
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {1: 1, 5: 5, 40000: 40000}


def test_nothing_segmented_is_empty() -> None:
    """All zero, or all air, is an empty mask."""
    for stored in (LABELS * 0, LABELS.astype(np.int16) * 0 - 1024):
        found = labelling(census(stored), header())
        assert isinstance(found, Refusal)
        assert found.reason is Reason.EMPTY_MASK


def test_an_image_is_not_discrete() -> None:
    """Noise has no regions."""
    image = image_series(Grid())
    decoded = decode(to_bytes(image[0]))
    assert not isinstance(decoded, Refusal)
    counted = census(decoded.frames)
    assert not counted.discrete
    found = labelling(counted, image[0])
    assert isinstance(found, Refusal)
    assert found.reason is Reason.NOT_DISCRETE


def test_a_probability_map_is_not_discrete() -> None:
    """Ramps between 0 and 255 are grey levels, however much of the image is 0."""
    x, y = np.meshgrid(np.arange(96), np.arange(96))
    ramp = (255 / (1 + np.exp((np.hypot(x - 48.3, y - 47.1) - 20) / 4))).astype(np.uint8)
    assert not census(np.stack([ramp, ramp])).discrete


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: d.pop("PixelData"), Reason.UNSUPPORTED_PIXEL_DATA),
        (lambda d: setattr(d, "PixelData", d.PixelData[:100]), Reason.CORRUPT_PIXEL_DATA),
        (lambda d: setattr(d, "BitsAllocated", 12), Reason.CORRUPT_PIXEL_DATA),
        (lambda d: [setattr(d, k, 65535) for k in ("Rows", "Columns")], Reason.TOO_LARGE),
    ],
)
def test_damaged_pixels_have_a_reason(damage, reason: Reason) -> None:
    """No exception leaves the decoder."""
    data = image_series(Grid(planes=1))[0]
    damage(data)
    found = decode(to_bytes(data))
    assert isinstance(found, Refusal)
    assert found.reason is reason


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_what_is_not_dicom_is_invalid(content: bytes) -> None:
    """Any bytes may arrive."""
    found = decode(content)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.INVALID_DICOM


def test_one_bit_and_eight_bit_masks_decode_alike() -> None:
    """The stored type does not matter."""
    made = study(stored=lambda labels: labels.astype(np.uint8))
    eight = decode(to_bytes(made.mask[2]))
    set_pixels(made.mask[2], made.labels[2].astype(np.int16))
    sixteen = decode(to_bytes(made.mask[2]))
    assert not isinstance(eight, Refusal)
    assert not isinstance(sixteen, Refusal)
    assert (eight.frames == sixteen.frames).all()


def test_an_inverted_mask_that_touches_the_border_is_refused() -> None:
    """One pixel of the organ at the rim does not make the rest of the image an organ."""
    inverted = 1 - LABELS
    inverted[2, 0, 0] = 0
    found = labelling(census(inverted), header())
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSUPPORTED_PIXEL_DATA


def test_a_mask_that_fills_a_small_image_is_no_inverted_one() -> None:
    """As in IBSI's digital phantom: the background is what is left at the rim."""
    filled = np.ones((4, 4, 5), np.uint8)
    filled[2, 0, 3:] = filled[3, 0, 3:] = filled[1, 2, 0] = 0
    filled[2, 2, 2] = 0
    found = labelling(census(filled), header())
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {1: 1}


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_outside_the_field_of_view_is_no_label(padding: int) -> None:
    """PixelPaddingValue in the corners, signed or written as if unsigned: neither it nor 0 is a segment."""
    stored = LABELS.astype(np.int16)
    stored[:, :3, :3] = stored[:, -3:, -3:] = -2000
    found = labelling(census(stored), header(PixelPaddingValue=padding, BitsAllocated=16))
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {1: 1}


def test_padding_without_a_word_is_refused() -> None:
    """-2000, 0 and 1, and nobody says which of the first two is background."""
    stored = LABELS.astype(np.int16)
    stored[:, :3, :3] = stored[:, -3:, -3:] = -2000
    found = labelling(census(stored), header())
    assert isinstance(found, Refusal)


def test_the_value_around_all_others_is_no_label() -> None:
    """1, 2, 3 with 1 around: two segments, not three."""
    stored = LABELS + 1
    stored[:, 18:20, 12:15] = 3
    found = labelling(census(stored), header())
    assert isinstance(found, Labelling)
    assert dict(found.labels) == {2: 2, 3: 3}
