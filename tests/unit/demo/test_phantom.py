import numpy as np
import pytest

from orthanc_mask2seg.demo.phantom import make_phantom

SLICES, SIZE = 48, 192


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(5, SLICES, SIZE)


def box(phantom, x, y, z, half=4.0):
    """HU of the voxels around a point, LPS mm."""
    within = [np.abs(axis - at) <= half for axis, at in zip(phantom.grid, (z, y, x), strict=True)]
    return phantom.hu[np.ix_(*within)]


def test_the_same_seed_gives_the_same_voxels(phantom):
    again = make_phantom(5, SLICES, SIZE)
    assert np.array_equal(again.hu, phantom.hu)
    assert np.array_equal(again.organs, phantom.organs)


def test_another_seed_gives_another_patient(phantom):
    assert not np.array_equal(make_phantom(6, SLICES, SIZE).tumour, phantom.tumour)


@pytest.mark.parametrize(
    ("organ", "low", "high"),
    [(1, -880, -780), (2, 90, 170), (3, 140, 175), (4, 25, 80)],
    ids=["lungs", "heart", "aorta", "tumour"],
)
def test_tissues_have_their_density(phantom, organ, low, high):
    assert low < np.median(phantom.hu[phantom.organs == organ]) < high


@pytest.mark.parametrize(
    ("at", "low", "high"),
    [((-60, 0, -102), 95, 130), ((0, 24, 30), -1024, -850), ((-120, -115, 0), -1015, -980)],
    ids=["liver", "trachea", "air"],
)
def test_places_have_their_density(phantom, at, low, high):
    assert low < np.mean(box(phantom, *at)) < high


def test_values_fit_12_bits_and_hold_bone(phantom):
    assert phantom.hu.min() == -1024
    assert 400 < phantom.hu.max() <= 3071


def test_noise_is_that_of_a_scanner():
    phantom = make_phantom(5, 4, 512)
    low, high = np.percentile(phantom.hu[phantom.organs == 3], (25, 75))
    assert 5 < (high - low) / 1.35 < 20


@pytest.mark.parametrize("seed", range(4))
def test_tumour_measures_25_to_30_mm_and_lies_in_the_right_lung(seed):
    phantom = make_phantom(seed, SLICES, 128)
    planes, _rows, columns = np.nonzero(phantom.tumour)
    pixel = 380 / 128
    volume = len(planes) * 3.0 * pixel * pixel
    assert 23 < 2 * (3 * volume / (4 * np.pi)) ** (1 / 3) < 32
    assert -120 < phantom.grid.x[columns].mean() < -50
    assert planes.min() > 0
    assert planes.max() < SLICES - 1


def test_slices_are_limited():
    with pytest.raises(ValueError, match="slices"):
        make_phantom(0, 61, 64)
