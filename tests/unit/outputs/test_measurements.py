"""Volumes and diameters are right for any stack of slices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orthanc_mask2seg.outputs.codes import ARBITRARY, HU
from orthanc_mask2seg.outputs.measurements import Feature, measure
from tests.builders import Grid, study
from tests.unit.outputs.made import opened

BOX = (slice(1, 4), slice(5, 11), slice(3, 7))
"""3 planes, 6 rows, 4 columns."""


def box(grid: Grid) -> np.ndarray:
    labels = np.zeros((grid.planes, grid.rows, grid.columns), np.uint8)
    labels[BOX] = 1
    return labels


def measured(grid: Grid, **tags: object) -> dict[str, Feature]:
    regions, values, _ = opened(study(grid, labels=box(grid)), **tags)
    return {feature.name: feature for feature in measure(regions.regions[0], regions.source, values)}


def test_a_box() -> None:
    """Diameters run between the centres of outer faces, as those of the IBSI's mesh do."""
    found = measured(Grid(spacing=(0.8, 0.7), step_mm=2.5))
    assert found["Volume"].value == pytest.approx(3 * 6 * 4 * 2.5 * 0.8 * 0.7)
    assert found["Longest diameter"].value == pytest.approx(longest(3 * 2.5, 6 * 0.8, 4 * 0.7))
    assert found["Longest diameter in a slice"].value == pytest.approx(longest(6 * 0.8, 4 * 0.7))


def longest(*sides: float) -> float:
    """Largest distance between centres of faces of a box of voxels, by trying all."""
    steps = {3: (2.5, 0.8, 0.7), 2: (0.8, 0.7)}[len(sides)]
    counts = [round(side / step) for side, step in zip(sides, steps, strict=True)]
    points = []
    for axis in range(len(sides)):
        ranges = [np.arange(n) + 0.5 if i != axis else np.array([0, n]) for i, n in enumerate(counts)]
        points += [tuple(np.multiply(p, steps)) for p in np.stack(np.meshgrid(*ranges), -1).reshape(-1, len(sides))]
    return max(math.dist(a, b) for a in points for b in points)


def test_irregular_slices_count_with_their_own_thickness() -> None:
    """Gaps of 2, 4, 1, 3 and 2 mm: each plane stands for half the way to its neighbours."""
    found = measured(Grid(gaps=(2, 4, 1, 3, 2)))
    assert found["Volume"].value == pytest.approx(6 * 4 * 0.8 * 0.7 * ((2 + 4) / 2 + (4 + 1) / 2 + (1 + 3) / 2))


def test_values_are_in_hounsfield_units() -> None:
    grid = Grid()
    made = study(grid, labels=box(grid))
    regions, values, _ = opened(made)
    found = {feature.name: feature for feature in measure(regions.regions[0], regions.source, values)}
    wanted = np.stack([image.pixel_array for image in made.image])[BOX].astype(float) - 1024
    assert found["Mean"].unit == HU
    assert found["Mean"].value == pytest.approx(wanted.mean(), abs=1e-3)
    assert found["Standard Deviation"].value == pytest.approx(wanted.std(), abs=1e-3)
    assert (found["Minimum"].value, found["Maximum"].value) == (wanted.min(), wanted.max())


def test_values_of_mr_are_in_arbitrary_units() -> None:
    grid = Grid()
    regions, values, _ = opened(study(grid, labels=box(grid), modality="MR"))
    assert values.unit == ARBITRARY
    assert regions.regions
