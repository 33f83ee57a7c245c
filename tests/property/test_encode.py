"""Our frames are highdicom's: for whatever planes, labels and encoding, the file is the same to the last byte."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from orthanc_mask2seg.core.encode import Recipe, encode
from orthanc_mask2seg.core.geometry import planes_of, stack
from orthanc_mask2seg.core.scan import overlapping
from orthanc_mask2seg.core.segments import TISSUE
from orthanc_mask2seg.core.viewers import Encoding
from orthanc_mask2seg.model import (
    ArchiveKey,
    ImageSeries,
    LabelVolume,
    Refusal,
    SegmentSpec,
    Series,
    Uid,
    VolumeGeometry,
)
from tests.builders import Grid, image_series
from tests.frames import frames_of
from tests.highdicom_whole import differences, whole

TILTED = ((0.9998477, 0.0, 0.0174524), (0.0, 1.0, 0.0))
DOWNWARDS = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    planes = draw(st.integers(1, 7))
    irregular = draw(st.booleans())
    columns = draw(st.sampled_from([1, 3, 8, 16, 17]))
    return Grid(
        rows=draw(st.integers(-(-8 // columns), 21)),  # of less than 8 pixels highdicom 0.28.2 packs each frame alone
        columns=columns,
        planes=planes,
        axes=draw(st.sampled_from([Grid().axes, TILTED, DOWNWARDS])),
        step_mm=draw(st.sampled_from([0.7, 2.5, 1 / 3])),
        gaps=tuple(draw(st.sampled_from([1.0, 2.5, 7.25])) for _ in range(planes)) if irregular else (),
        origin=draw(st.sampled_from([Grid().origin, (1 / 3, -1e-5, 12345.678901)])),
    )


@st.composite
def layers_on(draw: st.DrawFn, grid: Grid, encoding: Encoding) -> list[LabelVolume]:
    """One to three masks; those of a label map never overlap."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    result, number = [], 0
    free = np.ones((grid.planes, grid.rows, grid.columns), bool)
    for _ in range(draw(st.integers(1, 3))):
        labels = sorted(draw(st.sets(st.integers(1, draw(st.sampled_from([3, 300, 65535]))), min_size=1, max_size=6)))
        wide = draw(st.booleans()) or max(labels) > 255
        share = draw(st.sampled_from([0.02, 0.4, 1.0]))
        values = random.choice([0, *labels], (grid.planes, grid.rows, grid.columns)) * (
            random.random(free.shape) < share
        )
        values[random.random(grid.planes) < 0.3] = 0
        if encoding is Encoding.LABELMAP:
            values *= free
            free &= values == 0
        planes = {i: v.astype(np.uint16 if wide else np.uint8) for i, v in enumerate(values) if v.any()}
        found = set(np.unique(values).tolist())
        specs = {v: _spec(number + n) for n, v in enumerate((v for v in labels if v in found), start=1)}
        number += len(specs)
        result.append(LabelVolume(planes=planes, specs=specs))
    if not any(layer.planes for layer in result):
        plane = np.zeros((grid.rows, grid.columns), np.uint8)
        plane[-1, -1] = 1
        return [LabelVolume(planes={grid.planes - 1: plane}, specs={1: _spec(1)})]
    return [layer for layer in result if layer.planes]


def _spec(number: int) -> SegmentSpec:
    return SegmentSpec(
        label=f"segment {number}",
        category=TISSUE,
        property_type=TISSUE,
        algorithm_type="MANUAL",
        tracking_uid=Uid(f"2.25.9{number}"),
        recommended_display_cielab=(50.0, 10.0, -20.0),
    )


def _recipe() -> Recipe:
    return Recipe(
        mask_series_uids=(Uid("1.2.3"),),
        series_number=7,
        series_description="SEG of a test",
        content_creator_name="mask2seg^",
        moment=MOMENT,
        mask_instances=((Uid("1.2.840.10008.5.1.4.1.1.2"), Uid("1.2.3.4")),),
    )


def _source(grid: Grid) -> ImageSeries:
    headers = tuple(image_series(grid))
    for header in headers:  # highdicom names the maker of its input; it is given plain copies, which have none
        del header.Manufacturer
    planes = planes_of(headers)
    assert not isinstance(planes, Refusal)
    volume = stack(planes)
    assert isinstance(volume, VolumeGeometry)
    first = headers[0]
    series = Series(
        key=ArchiveKey(""), series_instance_uid=first.SeriesInstanceUID, study_instance_uid=first.StudyInstanceUID
    )
    return ImageSeries(series=series, headers=headers, volume=volume)


def _same_as_highdicom(
    source: ImageSeries, layers: list[LabelVolume], encoding: Encoding, *, probabilities: bool = False
) -> None:
    ours = encode(source, source.headers[0], layers, _recipe(), encoding=encoding, probabilities=probabilities).content
    in_order = [source.header(plane) for plane in source.volume.planes]
    like = dcmread(io.BytesIO(ours))
    theirs = whole(in_order, layers, _recipe(), encoding, like, probabilities=probabilities)
    assert ours == theirs, differences(ours, theirs)


@pytest.mark.parametrize("encoding", list(Encoding))
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_our_frames_are_those_of_highdicom(encoding: Encoding, data: st.DataObject) -> None:
    grid = data.draw(grids())
    layers = data.draw(layers_on(grid, encoding))
    assert encoding is not Encoding.LABELMAP or not overlapping(layers)
    _same_as_highdicom(_source(grid), layers, encoding)


@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_probabilities_are_those_of_highdicom(data: st.DataObject) -> None:
    grid = data.draw(grids())
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = random.integers(0, 256, (grid.planes, grid.rows, grid.columns), np.uint8)
    values[:-1][random.random(grid.planes - 1) < 0.4] = 0
    values[-1, 0, 0] = 255
    layer = LabelVolume(planes={i: v for i, v in enumerate(values) if v.any()}, specs={1: _spec(1)})
    _same_as_highdicom(_source(grid), [layer], Encoding.FRACTIONAL, probabilities=True)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_many_segments_and_frames_that_end_within_bytes(encoding: Encoding) -> None:
    """More than 255 segments: two bytes in a label map."""
    grid = Grid(rows=19, columns=17, planes=3)
    labels = (np.arange(grid.planes * 19 * 17).reshape(grid.planes, 19, 17) % 301).astype(np.uint16)
    layer = LabelVolume(planes=dict(enumerate(labels)), specs={v: _spec(v) for v in range(1, 301)})
    _same_as_highdicom(_source(grid), [layer], encoding)


def test_frames_of_less_than_a_byte_follow_each_other_bit_by_bit() -> None:
    """Where highdicom 0.28.2 would begin each with a byte of its own, against PS3.5 section 8.1.1."""
    grid = Grid(rows=1, columns=3, planes=4)
    source = _source(grid)
    labels = np.array([[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 1]], [[0, 1, 0]]], np.uint8)
    layer = LabelVolume(planes=dict(enumerate(labels)), specs={1: _spec(1)})
    data = dcmread(io.BytesIO(encode(source, source.headers[0], [layer], _recipe()).content))
    order = [float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in data.PerFrameFunctionalGroupsSequence]
    frames = [pixels.astype(int).tolist() for _, _, pixels in frames_of(data)]
    assert [pixels for _, pixels in sorted(zip(order, frames, strict=True))] == labels.tolist()
