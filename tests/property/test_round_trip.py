"""A mask comes back from its SEG voxel by voxel, whatever the orientation, order, gaps, sizes and labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, image_series, mask_series, same_points, segments_of, study, to_bytes


def convert(made: Study, *, named: bool = True) -> tuple[Result, MemoryArchive]:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=named), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    return ended[0], archive


def assert_exact(made: Study, result: Result, archive: MemoryArchive) -> None:
    assert result.outcome is Outcome.CONVERTED, (result.reason, result.detail, result.evidence)
    assert result.outputs[0].orthanc_id is not None
    segments = segments_of(archive.content(result.outputs[0].orthanc_id))
    truth = made.grid.points(made.labels)
    assert len(segments) == len(truth)
    for (_, points), (_, expected) in zip(segments.items(), sorted(truth.items()), strict=True):
        assert same_points(points, expected)


@st.composite
def directions(draw: st.DrawFn) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Any pair of orthogonal unit vectors: a permutation of the axes with signs, or an oblique rotation."""
    if draw(st.booleans()):
        axes = draw(st.permutations([np.eye(3)[i] for i in range(3)]))
        signs = draw(st.tuples(st.sampled_from([-1, 1]), st.sampled_from([-1, 1])))
        return tuple(axes[0] * signs[0] + 0.0), tuple(axes[1] * signs[1] + 0.0)
    a, b, c = (draw(st.floats(-3, 3)) for _ in range(3))
    rotation = _rotation(a, b, c)
    return tuple(rotation[:, 0].round(9)), tuple(rotation[:, 1].round(9))


def _rotation(a: float, b: float, c: float) -> np.ndarray:
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    planes = draw(st.integers(2, 7))
    irregular = draw(st.booleans())
    return Grid(
        rows=draw(st.integers(7, 41)),
        columns=draw(st.integers(7, 41)),
        planes=planes,
        spacing=draw(st.tuples(st.sampled_from([0.4, 0.9765625, 3.3]), st.sampled_from([0.4, 0.7, 2.0]))),
        step_mm=draw(st.sampled_from([0.6, 1.5, 3.27, 8.0])),
        axes=draw(directions()),
        origin=draw(st.tuples(*[st.sampled_from([-250.123, 0.0, 17.5, 1000.25])] * 3)),
        gaps=tuple(draw(st.lists(st.sampled_from([1.08, 4.0, 7.0]), min_size=planes - 1, max_size=planes - 1)))
        if irregular
        else (),
    )


@settings(max_examples=60, deadline=None)
@given(grid=grids(), shuffle=st.randoms(use_true_random=False), modality=st.sampled_from(["CT", "MR"]))
def test_any_geometry_and_order(grid: Grid, shuffle, modality: str) -> None:
    """Oblique, permuted, irregular, shuffled, descending: the voxels stay where they were in the patient."""
    labels = blob(grid)
    labels[grid.planes // 2, grid.rows // 2, grid.columns // 2] = 1
    made = study(grid, labels=labels, modality=modality, own_uids=shuffle.random() < 0.5)
    shuffle.shuffle(made.mask)
    shuffle.shuffle(made.image)
    for number, data in enumerate(made.mask):
        data.InstanceNumber = number * 3
    assert_exact(made, *convert(made))


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_one_to_three_hundred_labels(count: int, seed: int) -> None:
    """Each label becomes a segment of its own, in ascending order of the labels."""
    random = np.random.default_rng(seed)
    grid = Grid(rows=53, columns=47, planes=3)
    values = np.sort(random.choice(np.arange(1, 60000), count, replace=False))
    labels = np.zeros((3, 53, 47), np.uint16)
    cells = [(p, r, c) for p in range(3) for r in range(1, 52, 4) for c in range(1, 45, 4)]
    for value, cell in zip(values, random.permutation(cells), strict=False):
        p, r, c = (int(v) for v in cell)
        labels[p, r : r + 2, c : c + 3] = value
    made = study(grid, labels=labels, seed=1)
    assert_exact(made, *convert(made))


@settings(max_examples=20, deadline=None)
@given(keep=st.sets(st.integers(0, 5), min_size=1, max_size=5))
def test_missing_slices_are_empty(keep: set[int]) -> None:
    """Slices that the mask does not have hold nothing; those that it has are exact."""
    made = study()
    labels = made.labels.copy()
    labels[:, 12, 12] = 1
    made = study(labels=labels)
    made.mask = [m for i, m in enumerate(made.mask) if i in keep]
    labels[[i for i in range(6) if i not in keep]] = 0
    made.labels = labels
    assert_exact(made, *convert(made))


AXES = [
    (tuple(np.eye(3)[a] * s), tuple(np.eye(3)[b] * t))
    for a, b in itertools.permutations(range(3), 2)
    for s, t in itertools.product((1, -1), repeat=2)
]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("descending", [False, True])
def test_all_48_orientations(axes, descending: bool) -> None:
    """Axis permutations and signs of the source, planes sent upwards or downwards."""
    made = study(Grid(axes=axes))
    if descending:
        made.image.reverse()
        made.mask.reverse()
    assert_exact(made, *convert(made))


def test_overlapping_masks_of_one_source_become_one_seg() -> None:
    """Several mask series: one SEG, one segment each, overlaps kept."""
    grid = Grid()
    image = image_series(grid)
    parts = {name: blob(grid, centre=(0.5, 0.4 + 0.1 * i, 0.6)) for i, name in enumerate(("liver", "lesion", "vein"))}
    series = [
        mask_series(image, part, own_uids=True, description=name, number=10 + i)
        for i, (name, part) in enumerate(parts.items())
    ]
    made = Study(grid=grid, image=image, mask=series[0], labels=parts["liver"], others=series[1:])
    archive = made.archive()
    masks = tuple(archive.find_series(str(s[0].SeriesInstanceUID)) for s in series)
    ended = pipeline.run(archive, pipeline.Task(masks=masks, named_as_mask=True), Settings())
    assert not isinstance(ended, pipeline.NotYet)
    (result,) = ended
    assert result.outputs[0].orthanc_id is not None
    segments = segments_of(archive.content(result.outputs[0].orthanc_id))
    assert list(segments) == list(parts)
    for name, part in parts.items():
        assert same_points(segments[name], grid.points(part)[1])


def test_the_same_input_gives_the_same_bytes() -> None:
    """In any order of arrival, on any day."""
    made = study()
    first, archive = convert(made)
    made.mask.reverse()
    second, other = convert(made)
    assert first.outputs[0].orthanc_id == second.outputs[0].orthanc_id
    assert first.outputs[0].orthanc_id is not None
    assert archive.content(first.outputs[0].orthanc_id) == other.content(first.outputs[0].orthanc_id)


def test_another_input_gives_another_identity() -> None:
    """One voxel, one name or one source more: not the same object."""
    labels = blob(Grid())
    labels[2, 12, 13] ^= 1
    uids = {
        convert(made)[0].outputs[0].sop_instance_uid
        for made in (study(), study(labels=labels), study(description="liver"), study(seed=3))
    }
    assert len(uids) == 4


def test_an_unnamed_mask_is_recognised() -> None:
    """Without anybody saying so, and without its own image being taken for one."""
    made = study()
    result, archive = convert(made, named=False)
    assert_exact(made, result, archive)
    image = archive.find_series(str(made.image[0].SeriesInstanceUID))
    ended = pipeline.convert_series(archive, (image,), Settings())
    assert isinstance(ended, Result)
    assert (ended.outcome, ended.reason) == (Outcome.SKIPPED, "not_a_mask")


def test_to_bytes_round_trips() -> None:
    """The builder itself writes what pydicom reads."""
    made = study()
    assert to_bytes(made.mask[0]) == to_bytes(made.mask[0])
