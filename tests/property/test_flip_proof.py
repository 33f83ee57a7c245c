"""Flip-proof: one object in the patient, written in each of the 48 ways to order and to turn its axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, image_series, mask_series
from tests.generator.oracle import read_seg

SHAPE = (9, 11, 14)
"""Voxels along x, y and z."""

SPACING = np.array([0.7, 0.9, 2.5])
ORIGIN = np.array([-120.5, -95.25, 40.0])

WAYS = [(order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)]
"""Which axis of the patient the planes, rows and columns run along, and in which direction."""


def the_object() -> np.ndarray:
    """Voxels (x, y, z) that no permutation or flip maps onto themselves."""
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[2:7, 3:5, 4:12] = 1
    voxels[2, 3:9, 4:6] = 1
    voxels[3, 5, 10] = voxels[6, 2, 11] = 1
    return voxels


def write(order: tuple[int, ...], signs: tuple[int, ...]) -> Study:
    """The object as slices whose planes, rows and columns run as told."""
    labels = np.transpose(the_object(), order)
    labels = labels[tuple(slice(None, None, sign) for sign in signs)]
    unit = [np.eye(3)[axis] * sign for axis, sign in zip(order, signs, strict=True)]
    corner = ORIGIN.copy()
    for axis, sign in zip(order, signs, strict=True):
        corner[axis] += (SHAPE[axis] - 1) * SPACING[axis] if sign < 0 else 0
    row, column = unit[2], unit[1]
    upwards = float(np.sign(np.cross(row, column) @ unit[0]))
    grid = Grid(
        planes=labels.shape[0],
        rows=labels.shape[1],
        columns=labels.shape[2],
        spacing=(float(SPACING[order[1]]), float(SPACING[order[2]])),
        step_mm=float(SPACING[order[0]]) * upwards,
        axes=(tuple(row), tuple(column)),
        origin=tuple(corner.tolist()),
    )
    image = image_series(grid, SliceThickness=str(abs(grid.step_mm)))
    return Study(grid=grid, image=image, mask=mask_series(image, labels.astype(np.uint16)), labels=labels)


@pytest.mark.parametrize(("order", "signs"), WAYS)
def test_centroid_and_volume_stay_where_they_were(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    """The segment's centroid, volume and every voxel are those of the object in the patient."""
    made = write(order, signs)
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    assert ended[0].outcome is Outcome.CONVERTED, ended[0].detail
    truth = ORIGIN + np.argwhere(the_object()) * SPACING
    assert ended[0].outputs[0].orthanc_id is not None
    (places,) = read_seg(archive.content(ended[0].outputs[0].orthanc_id)).places.values()
    assert np.allclose(places.mean(axis=0), truth.mean(axis=0), atol=1e-6)
    assert ended[0].segments[0].volume_mm3 == pytest.approx(len(truth) * SPACING.prod(), rel=1e-6)
    assert {tuple(p) for p in places.round(3).tolist()} == {tuple(p) for p in truth.round(3).tolist()}
    indices = np.rint((places - ORIGIN) / SPACING).astype(int)
    assert sorted(map(tuple, indices.tolist())) == sorted(map(tuple, np.argwhere(the_object()).tolist()))
