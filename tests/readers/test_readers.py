"""Programs of others find the truth in what we make; the table of viewers says which encoding each of them reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core import convert as convert_module
from orthanc_mask2seg.core.encoding import Choice
from orthanc_mask2seg.core.viewers import READERS, Encoding, Reader, Shows
from tests.inside import convert_inside
from tests.readers.readers import READ, CannotRead
from tests.truth import Case, cases, same

NAMES = [f"A{number:02}" for number in range(1, 11)]
ROWS = [row for row in READERS if row.name in READ and row.name != "slicer"]
OVERLAPPING = {"A04", "A05"}
UNALIGNED = {"A03", "A06", "A07", "A08", "A10"}
BIG = {"A02"}
"""Not as FRACTIONAL: 136 MB, and no other news."""

Seg = Callable[[str, Encoding], Path]


@pytest.fixture(scope="module")
def by_name(set_a: Path) -> dict[str, Case]:
    return {case.folder.name[:3]: case for case in cases(set_a)}


@pytest.fixture(scope="module")
def seg(by_name: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Seg:
    """A case in an encoding, whichever is chosen for it."""
    folder, made = tmp_path_factory.mktemp("forced"), dict[tuple[str, Encoding], Path]()

    def get(name: str, encoding: Encoding) -> Path:
        if (name, encoding) not in made:
            case = by_name[name]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(convert_module, "choose", lambda *_, **__: Choice(encoding, "forced"))
                out = folder / f"{name}-{encoding}.dcm"
                made[name, encoding] = convert_inside(case.mask_folders, case.folder / "ct", out)
            assert dcmread(made[name, encoding], stop_before_pixels=True).SegmentationType == encoding
        return made[name, encoding]

    return get


def possible(name: str) -> list[Encoding]:
    without = {Encoding.LABELMAP} if name in OVERLAPPING else {Encoding.FRACTIONAL} if name in BIG else set()
    return [encoding for encoding in Encoding if encoding not in without]


def seen(row: Reader, path: Path, case: Case, folder: Path) -> Shows:
    """What a program makes of a SEG, in one word."""
    try:
        found = READ[row.name](path, folder)
    except CannotRead:
        return Shows.NOTHING
    return Shows.RIGHT if same(found, case.segments()) else Shows.WRONG


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in BIG else []) for n in NAMES])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_declared_reader_finds_the_truth(row: Reader, name: str, by_name, tmp_path: Path) -> None:
    """Declared as the viewer of the site, each program reads every case as the truth has it."""
    case = by_name[name]
    settings = Settings(viewers=(row.name,))
    path = convert_inside(case.mask_folders, case.folder / "ct", tmp_path / "seg.dcm", settings)
    assert seen(row, path, case, tmp_path) is Shows.RIGHT


@pytest.mark.slow
@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "unaligned"])
@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_table_says_what_is_read(
    row: Reader, encoding: Encoding, aligned: bool, by_name, seg: Seg, tmp_path: Path
) -> None:
    """The table of viewers has the worst that happens to any case in an encoding."""
    worst = Shows.RIGHT
    for name, case in by_name.items():
        if (name not in UNALIGNED) is aligned and encoding in possible(name):
            (tmp_path / name).mkdir()
            worst = max(worst, seen(row, seg(name, encoding), case, tmp_path / name), key=list(Shows).index)
    assert worst is row.shows(encoding, aligned=aligned)


def test_pixels_of_unaligned_cases_do_not_fill_whole_bytes(by_name) -> None:
    """The table is asked about what it says."""
    for name, case in by_name.items():
        header = dcmread(case.source_files()[0], stop_before_pixels=True)
        assert bool(header.Rows * header.Columns % 8) is (name in UNALIGNED)
