"""The command line on real cases: converted, and read back by readers that are not ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orthanc_mask2seg.config import Settings
from tests.inside import convert_inside
from tests.truth import Case, cases, complaints, header, in_a_known_class, read_with_dcmqi, read_with_highdicom, same

LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
NAMES = [
    "A01_ts_liver_seed", "A02_ts_multilabel_j2k", "A03_sts002_255_shuffled", "A04_dcmqi_organs",
    "A05_dcmqi_overlap_rle", "A06_sts003_tumour_only_hu", "A07_sts008_three_recons", "A08_ibsi_digital_phantom",
    "A09_pyrad_brain1_mr", "A10_dcmqi_23x38x3",
]  # fmt: skip


@pytest.fixture(scope="module")
def converted(set_a: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Case to the SEG that the command made of it."""
    found = {}
    for case in cases(set_a):
        out = tmp_path_factory.mktemp(case.folder.name) / "seg.dcm"
        words = [f"--mask={folder}" for folder in case.mask_folders]
        done = run("convert", *words, f"--source={case.folder / 'ct'}", "-o", str(out), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(done.stdout)
        assert document["outcome"] == "converted"
        assert document["source_series_uid"] == case.source_series_uid
        assert [s["voxels"] for s in document["segments"]] == [s["voxels"] for s in case.document["segments"]]
        assert not done.stderr, "a good conversion says nothing on stderr"
        found[case.folder.name] = out
    return found


def run(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "mask2seg"
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", NAMES)
def test_readers_find_the_truth(name: str, converted: dict[str, Path], set_a: Path, tmp_path: Path) -> None:
    """Read with highdicom and with dcmqi, every voxel is where the truth has it."""
    case = next(c for c in cases(set_a) if c.folder.name == name)
    truth = case.segments()
    assert same(read_with_highdicom(converted[name]), truth)
    assert same(read_with_dcmqi(converted[name], tmp_path / "dcmqi"), truth)


@pytest.mark.parametrize("name", NAMES)
def test_checkers_have_nothing_to_say(
    name: str, converted: dict[str, Path], set_a: Path, tmp_path: Path, dicom3tools
) -> None:
    """No error, no warning, but for values of patient and study that are wrong in the source itself."""
    case = next(c for c in cases(set_a) if c.folder.name == name)
    excuses = excused(case, dicom3tools.dciodvfy) | unknown_to_the_checker(converted[name])
    assert complaints(dicom3tools.dciodvfy, converted[name]) - excuses == set()
    seg = in_a_known_class(converted[name], tmp_path / "seg.dcm")
    assert complaints(dicom3tools.dcentvfy, seg, *case.source_files()) == set()


def excused(case: Case, dciodvfy: Path) -> set[str]:
    """What the checker says of the source word for word, for the same value of the same attribute."""
    return complaints(dciodvfy, case.source_files()[0])


def unknown_to_the_checker(seg: Path) -> set[str]:
    """Label Map Segmentation Storage is younger than the checker: it checks the values alone."""
    is_label_map = header(seg).SOPClassUID == LABEL_MAP_SEGMENTATION_STORAGE
    return {"Error - Information Object Not found"} if is_label_map else set()


@pytest.mark.parametrize("name", [name for name in NAMES if name[:3] in {"A03", "A06", "A07", "A08", "A10"}])
def test_checkers_have_nothing_to_say_of_fractional(name: str, set_a: Path, tmp_path: Path, dicom3tools) -> None:
    """Where the declared viewers make it FRACTIONAL, the checker finds nothing either."""
    case = next(c for c in cases(set_a) if c.folder.name == name)
    settings = Settings(viewers=("ohif>=3.13", "simpleitk"))
    seg = convert_inside(case.mask_folders, case.folder / "ct", tmp_path / "seg.dcm", settings)
    assert header(seg).SegmentationType == "FRACTIONAL"
    assert complaints(dicom3tools.dciodvfy, seg) - excused(case, dicom3tools.dciodvfy) == set()


def test_the_same_again_is_the_same_file(converted: dict[str, Path], set_a: Path, tmp_path: Path) -> None:
    """Another run on another day gives the identical file."""
    case = next(c for c in cases(set_a) if c.folder.name == "A05_dcmqi_overlap_rle")
    out = tmp_path / "again.dcm"
    words = [f"--mask={folder}" for folder in case.mask_folders]
    assert run("convert", *words, f"--source={case.folder / 'ct'}", "-o", str(out)).returncode == 0
    assert out.read_bytes() == converted[case.folder.name].read_bytes()


def test_what_came_in_is_untouched(set_a: Path, tmp_path: Path) -> None:
    """The command only reads its inputs: nothing in their folders is changed, made or deleted."""
    copy = tmp_path / "case"
    shutil.copytree(set_a / "A08_ibsi_digital_phantom", copy)
    before = digests(copy)
    done = run("convert", f"--mask={copy / 'mask'}", f"--source={copy / 'ct'}", "-o", str(tmp_path / "out"))
    assert done.returncode == 0
    assert digests(copy) == before


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_source_attributes_are_taken_over(converted: dict[str, Path], set_a: Path) -> None:
    """Patient, study and frame of reference are the source's; the mask series is not among the referenced ones."""
    for case in cases(set_a):
        seg, source = header(converted[case.folder.name]), header(case.source_files()[0])
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID", "StudyID"):
            assert seg.get(keyword) == source.get(keyword), keyword
        assert [s.SeriesInstanceUID for s in seg.ReferencedSeriesSequence] == [case.source_series_uid]
        assert seg.Modality == "SEG"
        assert "RescaleIntercept" not in seg
