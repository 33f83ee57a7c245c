"""The encoding follows from the declared viewers and the data; each encoding is verified by its own bytes."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from orthanc_mask2seg import config
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.encoding import MANY_SEGMENTS, choose
from orthanc_mask2seg.core.viewers import DEFAULT_VIEWERS, READERS, Encoding, Shows, parse_viewers
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, study
from tests.unit.core.test_verify import proof_of

B, F, L = Encoding.BINARY, Encoding.FRACTIONAL, Encoding.LABELMAP
WHOLE, ODD = (512, 512), (143, 161)
OLD, NEW, ALL = ("ohif<3.13", "slicer"), ("ohif>=3.13", "slicer"), DEFAULT_VIEWERS
MANY = MANY_SEGMENTS + 1

CHOICES = [
    (ALL, WHOLE, 1, False, B),
    (ALL, WHOLE, 1, True, B),
    (ALL, ODD, 1, False, L),
    (ALL, ODD, 2, True, F),  # shown by the newest, by older ones not: nothing is drawn wrongly
    (OLD, ODD, 1, False, B),
    (OLD, ODD, 2, True, B),
    (NEW, ODD, 1, False, F),
    (NEW, ODD, 2, True, F),
    (("slicer",), ODD, 1, False, B),
    (("simpleitk",), ODD, 1, False, F),
    (("plastimatch", *ALL), ODD, 1, False, F),
    ((), ODD, 1, False, B),
    (ALL, WHOLE, MANY_SEGMENTS, False, B),
    (ALL, WHOLE, MANY, False, L),
    (ALL, WHOLE, MANY, True, B),
    ((*ALL, "simpleitk"), WHOLE, MANY, False, B),
]


@pytest.mark.parametrize(("viewers", "shape", "segments", "overlapping", "wanted"), CHOICES)
def test_choice(viewers, shape, segments, overlapping, wanted) -> None:
    """What is right in all declared viewers; where nothing is, what is wrong in none."""
    rows, columns = shape
    choice = choose(parse_viewers(viewers), rows=rows, columns=columns, segments=segments, overlapping=overlapping)
    assert choice.encoding is wanted
    assert choice.reason.startswith(wanted)


def test_no_declared_viewer_draws_voxels_at_wrong_places() -> None:
    """Whatever is declared and whatever the data: an encoding that a declared viewer scrambles is never chosen."""
    scrambled = 0
    declared = [group for size in range(len(READERS) + 1) for group in itertools.combinations(READERS, size)]
    for viewers, shape, segments, overlapping in itertools.product(declared, (WHOLE, ODD), (1, MANY), (False, True)):
        rows, columns = shape
        choice = choose(viewers, rows=rows, columns=columns, segments=segments, overlapping=overlapping)
        shown = {viewer.shows(choice.encoding, aligned=shape is WHOLE) for viewer in viewers}
        assert Shows.WRONG not in shown
        scrambled += any(viewer.shows(B, aligned=shape is WHOLE) is Shows.WRONG for viewer in viewers)
    assert scrambled > 1000, "BINARY would have been wrong often"


def test_reason_names_the_viewers() -> None:
    rows, columns = ODD
    choice = choose(parse_viewers(ALL), rows=rows, columns=columns)
    assert "143 x 161 pixels do not fill whole bytes" in choice.reason
    assert "BINARY is not right in ohif 3.13" in choice.reason
    blind = choose(parse_viewers(ALL), rows=rows, columns=columns, segments=2, overlapping=True)
    assert "ohif 3.11, ohif 3.12 will show nothing" in blind.reason


RANGES = [
    ("ohif", ["3.11", "3.12", "3.13"]),
    ("ohif>=3.11", ["3.11", "3.12", "3.13"]),
    ("ohif >= 3.12.4", ["3.12", "3.13"]),
    ("OHIF==3.12", ["3.12"]),
    ("ohif==3.12.10", ["3.12"]),
    ("ohif<3.13", ["3.11", "3.12"]),
    ("ohif>=3.12,<3.13", ["3.12"]),
    ("ohif<=3.11.1", ["3.11"]),
    ("ohif>=4", ["3.13"]),
]


@pytest.mark.parametrize(("word", "versions"), RANGES)
def test_versions(word: str, versions: list[str]) -> None:
    """A version that is newer than all tested ones is taken for the newest of them."""
    assert [str(row) for row in parse_viewers([word])] == [f"ohif {version}" for version in versions]


@pytest.mark.parametrize("word", ["horos", "ohif==3.10", "ohif<3", "ohif 3.12", "", ">=3.11"])
def test_what_nobody_tested_is_an_error(word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tested|viewer"):
        config.load(None, {"MASK2SEG_VIEWERS": f'["{word}"]'})


def test_error_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="ohif, slicer, dcmqi, highdicom, dcmjs, simpleitk, plastimatch"):
        config.load(None, {"MASK2SEG_VIEWERS": '["ohif>=3.11", "horos"]'})


VIEWERS_FOR = {B: ("slicer",), F: ("simpleitk",), L: ALL}


def odd() -> Study:
    """Two labels on planes whose pixels do not fill whole bytes."""
    grid = Grid(rows=7, columns=9)
    labels = blob(grid)
    labels[2:4, 1:4, 1:5] = 2
    return study(grid, labels=labels)


def converted(made: Study, viewers: tuple[str, ...]) -> tuple[Result, Dataset]:
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings(viewers=viewers))
    assert not isinstance(ended, pipeline.NotYet)
    assert ended[0].outcome is Outcome.CONVERTED, ended[0]
    return ended[0], dcmread(io.BytesIO(archive.content(ended[0].outputs[0].orthanc_id)))


@pytest.mark.parametrize("encoding", Encoding)
def test_setting_decides_and_evidence_says_so(encoding: Encoding) -> None:
    result, data = converted(odd(), VIEWERS_FOR[encoding])
    assert data.SegmentationType == encoding
    assert [s.SegmentNumber for s in data.SegmentSequence] == [1, 2]
    assert any(line.startswith(f"{encoding}: ") for line in result.evidence)


def test_another_encoding_is_another_object() -> None:
    """Same input and setting, same bytes; another encoding is stored beside, not instead."""
    uids = [converted(odd(), VIEWERS_FOR[e])[1].SOPInstanceUID for e in Encoding]
    assert len(set(uids)) == 3
    assert [converted(odd(), VIEWERS_FOR[e])[1].SOPInstanceUID for e in Encoding] == uids


def lose_a_voxel(data: Dataset) -> None:
    values = bytearray(data.PixelData)
    values[int(np.flatnonzero(values)[0])] = 0
    data.PixelData = bytes(values)


def add_a_voxel(data: Dataset) -> None:
    values = bytearray(data.PixelData)
    values[int(np.flatnonzero(np.frombuffer(values, np.uint8) == 0)[0])] = max(values)
    data.PixelData = bytes(values)


def not_quite_inside(data: Dataset) -> None:
    values = bytearray(data.PixelData)
    values[int(np.flatnonzero(values)[0])] = 254
    data.PixelData = bytes(values)


def swap_labels(data: Dataset) -> None:
    values = np.frombuffer(data.PixelData, np.uint8)
    data.PixelData = np.array([0, 2, 1, *range(3, 256)], np.uint8)[values].tobytes()


def other_background(data: Dataset) -> None:
    data.PixelPaddingValue = 1


def cut_short(data: Dataset) -> None:
    data.PixelData = data.PixelData[:-64]


TAMPERED = [
    (F, lose_a_voxel), (F, add_a_voxel), (F, not_quite_inside), (F, cut_short),
    (L, lose_a_voxel), (L, add_a_voxel), (L, not_quite_inside), (L, swap_labels), (L, other_background), (L, cut_short),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "tamper"), TAMPERED, ids=lambda v: getattr(v, "__name__", v))
def test_verification_bites_in_every_encoding(encoding, tamper, monkeypatch: pytest.MonkeyPatch) -> None:
    from orthanc_mask2seg.core import convert as module
    from orthanc_mask2seg.core.encoding import Choice
    from orthanc_mask2seg.errors import VerificationError

    with monkeypatch.context() as patch:
        patch.setattr(module, "choose", lambda *_, **__: Choice(encoding, "forced"))
        proof = proof_of(odd(), monkeypatch)
    assert proof.verify(lambda _: None) > 0
    with pytest.raises(VerificationError):
        proof.verify(tamper)
