"""The picture is the same whether all planes were read or only those that it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orthanc_mask2seg.outputs.codes import ARBITRARY
from orthanc_mask2seg.outputs.preview import PANEL, centroid, shown_planes, write_png
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
    assert len(shown) <= PANEL + 1
    assert (len(shown) < planes) == (planes > PANEL + 1)
    few = replace(values, planes={i: plane for i, plane in values.planes.items() if i in shown})
    assert write_png(regions, few) == write_png(regions, values)


def test_the_centroid_is_the_mean_place() -> None:
    grid = Grid(planes=9, rows=20, columns=24)
    regions, _, _ = opened(study(grid, labels=blob(grid, centre=(0.3, 0.4, 0.6))))
    region = regions.regions[0]
    mean = (np.argwhere(region.voxels) + region.corner).mean(axis=0)
    assert np.abs(centroid(region) - mean).max() <= 0.5
