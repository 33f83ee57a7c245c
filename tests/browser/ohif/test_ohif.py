"""OHIF shows what we make: every voxel where the truth has it, every label, every colour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from orthanc_mask2seg.core import convert as convert_module
from orthanc_mask2seg.core.encoding import Choice
from orthanc_mask2seg.core.viewers import READERS, Encoding, Reader, Shows
from tests.browser.ohif.conftest import DEMO, MANY, MR, OBLIQUE, OVERLAPPING, PLAIN, UNALIGNED
from tests.browser.ohif.samples import Sample, rgb
from tests.browser.ohif.viewer import Shown, Viewer
from tests.inside import convert_inside

Show = Callable[..., Viewer]

NEWEST = "3.13.2"
BEYOND_THE_SCREEN = 12
"""How far (of 255) viewers differ on a colour that no screen shows: each has its own way to the nearest."""

VERSIONS = {(3, 11): "3.11.1", (3, 12): "3.12.10", (3, 13): NEWEST}
KINDS = (PLAIN, UNALIGNED, OVERLAPPING, OBLIQUE, MR, MANY, DEMO)
OTHERS = [("3.12.10", "bookworm"), ("3.11.1", "sid"), (NEWEST, "bookworm")]


def seen(held: dict[int, Shown], sample: Sample) -> Shows:
    """What a person sees, in one word."""
    assert len(held) == len(sample.truths)
    if not any(len(shown.points) for shown in held.values()):
        return Shows.NOTHING
    dices = [truth.dice(held[number].points) for number, truth in enumerate(sample.truths, start=1)]
    return Shows.RIGHT if set(dices) == {1.0} else Shows.WRONG


def check(viewer: Viewer, sample: Sample, seg: Path) -> None:
    """Voxels, labels and colours, segment by segment."""
    held = viewer.held()
    assert seen(held, sample) is Shows.RIGHT
    for segment in dcmread(seg, stop_before_pixels=True).SegmentSequence:
        shown = held[int(segment.SegmentNumber)]
        assert shown.label == segment.SegmentLabel
        wanted = rgb(segment.RecommendedDisplayCIELabValue)
        can_be_shown = (wanted > -1).all() and (wanted < 256).all()
        off = np.abs(np.clip(shown.colour, 0, 255) - np.clip(wanted, 0, 255)).max()
        assert off <= (1 if can_be_shown else BEYOND_THE_SCREEN), segment.SegmentLabel


@pytest.mark.parametrize("kind", KINDS)
def test_every_voxel_label_and_colour(
    kind: str, samples: dict[str, Sample], segs, show: Show, pictures: Path | None
) -> None:
    """In the newest OHIF on Orthanc 1.12.7."""
    viewer = show(NEWEST, "trixie", segs(kind))
    check(viewer, samples[kind], segs(kind))
    if pictures:
        viewer.picture(pictures / f"ohif-{kind}.png")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != DEMO])
@pytest.mark.parametrize(("version", "suite"), OTHERS)
def test_in_other_versions(version: str, suite: str, kind: str, samples: dict[str, Sample], segs, show: Show) -> None:
    """In older versions of OHIF, on the other Orthancs."""
    check(show(version, suite, segs(kind)), samples[kind], segs(kind))


def test_from_the_list_of_studies(samples: dict[str, Sample], segs, show: Show) -> None:
    """As a person comes in: the list, the study, the viewer, the SEG."""
    check(show(NEWEST, "trixie", segs(MR), from_list=True), samples[MR], segs(MR))


FORCED = [
    *((kind, encoding) for kind in (UNALIGNED, MR) for encoding in Encoding),
    (OVERLAPPING, Encoding.BINARY),
    (OVERLAPPING, Encoding.FRACTIONAL),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "encoding"), FORCED, ids=[f"{k}-{e}" for k, e in FORCED])
@pytest.mark.parametrize("row", [r for r in READERS if r.name == "ohif"], ids=str)
def test_table_says_what_is_seen(
    row: Reader, kind: str, encoding: Encoding, samples, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each encoding in each version is shown as the table has it, right or not."""
    seg = forced(encoding, samples[kind], tmp_path, monkeypatch)
    held = show(VERSIONS[row.since[:2]], "trixie", seg).held()
    assert seen(held, samples[kind]) is row.shows(encoding, aligned=kind != UNALIGNED)


def test_scrambling_is_real_and_not_ours(samples, segs, show: Show, tmp_path: Path, monkeypatch) -> None:
    """BINARY with frames that do not fill whole bytes is drawn wrongly by OHIF 3.13.2; our choice is another."""
    scrambled = forced(Encoding.BINARY, samples[UNALIGNED], tmp_path, monkeypatch)
    viewer = show(NEWEST, "trixie", scrambled)
    dice = samples[UNALIGNED].truths[0].dice(viewer.held()[1].points)
    assert 0 < dice < 0.9
    chosen = dcmread(segs(UNALIGNED), stop_before_pixels=True)
    assert chosen.Rows * chosen.Columns % 8
    assert chosen.SegmentationType != Encoding.BINARY


def forced(encoding: Encoding, sample: Sample, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SEG of a sample in an encoding that was not chosen for it."""
    with monkeypatch.context() as patch:
        patch.setattr(convert_module, "choose", lambda *_, **__: Choice(encoding, "forced"))
        return convert_inside(sample.mask_folders, sample.folder, folder / "forced.dcm")
