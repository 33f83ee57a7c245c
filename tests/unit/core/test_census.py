"""Labels, however small or thin, are told from the grey levels of images and probability maps."""

from __future__ import annotations

import numpy as np
import pytest

from orthanc_mask2seg.core.census import Census

SHAPE = (6, 64, 64)


def census(stored: np.ndarray) -> Census:
    result = Census()
    for plane in stored:
        result.add(plane)
    return result


def electrodes() -> np.ndarray:
    stored = np.zeros(SHAPE, np.uint16)
    for number in range(12):
        stored[number % 6, 3 + 4 * number, (5 + 7 * number) % 60] = number + 1
    return stored


def lines(slope: int) -> np.ndarray:
    """Ten labels, one pixel wide: upright (0) or diagonal (1)."""
    stored = np.zeros(SHAPE, np.uint16)
    for number in range(10):
        for row in range(20):
            stored[:, 20 + row, 4 * number + 1 + slope * row] = number + 1
    return stored


@pytest.mark.parametrize("stored", [electrodes(), lines(0), lines(1)], ids=["one voxel", "upright", "diagonal"])
def test_small_and_thin_labels_are_labels(stored: np.ndarray) -> None:
    """They lie beside background alone."""
    assert census(stored).discrete


def test_several_single_voxels_count_as_regions() -> None:
    """Nobody has to name such a mask."""
    assert census(electrodes()).regions


@pytest.mark.parametrize("width", [0.6, 2.0, 6.0])
def test_soft_rims_are_grey_levels(width: float) -> None:
    """However narrow."""
    rows, columns = np.mgrid[:64, :64]
    ramp = 255 / (1 + np.exp((np.hypot(rows - 31.3, columns - 30.7) - 14) / width))
    assert not census(np.stack([ramp.astype(np.uint8)] * 6)).discrete


@pytest.mark.parametrize("filled", [0.05, 0.2, 1.0])
def test_noise_is_not_discrete(filled: float) -> None:
    """Dense, or scattered over a dark background."""
    random = np.random.default_rng(0)
    noise = random.integers(1, 40, SHAPE) * (random.random(SHAPE) < filled)
    assert not census(noise).discrete
    assert not census(noise).regions


@pytest.mark.parametrize("filled", [0.01, 0.5])
def test_two_values_are_always_discrete(filled: float) -> None:
    """Whatever they look like."""
    assert census((np.random.default_rng(0).random(SHAPE) < filled).astype(np.uint8)).discrete


def test_a_census_of_other_names_is_the_same() -> None:
    """Two values that become one are counted together."""
    stored = lines(1)
    one = census(stored)
    other = one.renamed({v: v * 10 for v in one.values})
    again = census(stored * 10)
    assert (other.counts, other.edge, other.around, other.few) == (again.counts, again.edge, again.around, again.few)
    assert other.grey_values == again.grey_values
    assert one.renamed(dict.fromkeys(one.values, 3)).counts == {3: stored.size}
