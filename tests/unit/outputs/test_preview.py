"""The picture is the same whether all planes were read or only those that it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from orthanc_mask2seg.outputs.codes import ARBITRARY
from orthanc_mask2seg.outputs.preview import (
    CAPTION,
    PANEL,
    _Axes,
    _cuts,
    _sampled,
    _within,
    centroid,
    draw,
    shown_planes,
    write_png,
)
from tests.builders import Grid, blob, study
from tests.unit.outputs.made import opened


@pytest.mark.parametrize("unit", ["HU", "arbitrary"])
@pytest.mark.parametrize("planes", [7, PANEL + 60])
def test_what_is_not_shown_need_not_be_read(planes: int, unit: str) -> None:
    grid = Grid(planes=planes, rows=20, columns=24)
    regions, values, _ = opened(study(grid, labels=blob(grid, centre=(0.3, 0.4, 0.6))))
    if unit == "arbitrary":
        values = replace(values, unit=ARBITRARY)
    shown = shown_planes(regions)
    assert len(shown) <= 2 * PANEL + 1
    assert (len(shown) < planes) == (planes > PANEL + 1)
    few = replace(values, planes={i: plane for i, plane in values.planes.items() if i in shown})
    assert write_png(regions, few) == write_png(regions, values)


def test_the_centroid_is_the_mean_place() -> None:
    grid = Grid(planes=9, rows=20, columns=24)
    regions, _, _ = opened(study(grid, labels=blob(grid, centre=(0.3, 0.4, 0.6))))
    region = regions.regions[0]
    mean = (np.argwhere(region.voxels) + region.corner).mean(axis=0)
    assert np.abs(centroid(region) - mean).max() <= 0.5


@pytest.mark.parametrize("place", [(0, 0, 0), (3, 200, 201), (3, 201, 200), (6, 255, 255), (2, 77, 130)])
def test_one_voxel_is_seen_in_each_panel(place: tuple[int, int, int]) -> None:
    grid = Grid(planes=7, rows=256, columns=256)
    labels = np.zeros((7, 256, 256), np.uint8)
    labels[place] = 1
    assert all(count >= 1 for count in coloured(grid, labels))


def test_every_island_is_outlined_and_one_panel_goes_through_each_axis() -> None:
    grid = Grid(planes=7, rows=256, columns=256)
    labels = np.zeros((7, 256, 256), np.uint8)
    labels[1, 20:24, 20:24] = labels[5, 220, 220] = 1
    assert all(count >= 1 for count in coloured(grid, labels))


def test_the_outline_is_as_large_as_the_segment() -> None:
    grid = Grid(planes=7, rows=256, columns=256)
    labels = np.zeros((7, 256, 256), np.uint8)
    labels[3, 100:140, 90:150] = 1
    regions, _, _ = opened(study(grid, labels=labels))
    cut = _cuts(regions.regions[0], _Axes.of(regions.source))[0]
    (down, rows), (along, columns), mm = _sampled(cut)
    area = (cut.inside[down][:, along] | _within(cut.inside, rows, columns)).sum() * mm**2
    spacing = regions.source.volume.planes[0].geometry.pixel_spacing
    assert area == pytest.approx(40 * 60 * spacing[0] * spacing[1], rel=0.05)


def coloured(grid: Grid, labels: np.ndarray) -> list[int]:
    """Pixels of the outline in each of the three panels."""
    regions, values, _ = opened(study(grid, labels=labels))
    sheet = draw(regions, values)
    assert isinstance(sheet, Image.Image)
    pixels = np.asarray(sheet)[CAPTION : CAPTION + PANEL].astype(int)
    grey = (pixels == pixels[..., :1]).all(axis=2)
    return [int((~grey[:, at : at + PANEL]).sum()) for at in range(0, 3 * PANEL, PANEL)]
