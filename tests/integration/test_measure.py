"""`mask2seg measure` as a person uses it: any segmentation, on the images that it lies on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.builders import Grid, study, to_bytes

PROGRAM = Path(sys.executable).parent / "mask2seg"


def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ct and mask, and seg.dcm of them."""
    where = tmp_path_factory.mktemp("measure")
    made = study(Grid(), seed=5)
    for name, series in (("mask", made.mask), ("ct", made.image)):
        (where / name).mkdir()
        for number, data in enumerate(series):
            (where / name / f"{number}.dcm").write_bytes(to_bytes(data))
    run("convert", "--mask", where / "mask", "--source", where / "ct", "-o", where / "seg.dcm")
    return where


def test_the_bundle_of_a_segmentation_that_exists_already(folder: Path, tmp_path: Path) -> None:
    words = ("measure", "--seg", folder / "seg.dcm", "--source", folder / "ct", "--preset", "none")
    out = tmp_path / "beside"
    run(*words, "--to", "sr,csv,rtstruct,nrrd,preview", "-o", out)
    names = ["features.csv", "mask.seg.nrrd", "preview.png", "rtstruct.dcm", "sr.dcm"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (dcmread(out / "sr.dcm").Modality, dcmread(out / "rtstruct.dcm").Modality) == ("SR", "RTSTRUCT")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run(*words, "--to", "sr,csv,rtstruct,nrrd,preview", "-o", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "preview.png").write_bytes(b"mine")
    assert "there already" in run(*words, "--to", "preview", "-o", out, code=2).stderr
    assert (out / "preview.png").read_bytes() == b"mine"


def test_to_and_where_belong_together(folder: Path) -> None:
    words = ("measure", "--seg", folder / "seg.dcm", "--source", folder / "ct")
    run(*words, "--to", "sr", code=2)
    assert "no output" in run(*words, "--to", "sr,dvd", "-o", folder / "x", code=2).stderr


def test_images_with_new_uids_are_taken_with_a_note(folder: Path, tmp_path: Path) -> None:
    uid = generate_uid()
    for path in (folder / "ct").iterdir():
        data = dcmread(path)
        data.SeriesInstanceUID = uid
        data.save_as(tmp_path / path.name)
    words = ("measure", "--source", tmp_path, "--preset", "none", "--json", "--seg")
    found = json.loads(run(*words, folder / "seg.dcm").stdout)
    assert "names other images" in found["notes"][0]
    assert found["source_series_uid"] == uid
    first = json.loads(
        run("measure", "--source", folder / "ct", "--preset", "none", "--json", "--seg", folder / "seg.dcm").stdout
    )
    assert found["segments"] == first["segments"]


def test_any_of_the_series_that_it_names_may_be_the_one(folder: Path, tmp_path: Path) -> None:
    data = dcmread(folder / "seg.dcm")
    data.ReferencedSeriesSequence.insert(0, Dataset())
    data.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()
    data.save_as(tmp_path / "seg.dcm")
    found = json.loads(
        run("measure", "--seg", tmp_path / "seg.dcm", "--source", folder / "ct", "--preset", "none", "--json").stdout
    )
    assert found["notes"] == []


def test_several_segmentations_are_not_measured_as_one(folder: Path, tmp_path: Path) -> None:
    data = dcmread(folder / "seg.dcm")
    data.save_as(tmp_path / "1.dcm")
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.save_as(tmp_path / "2.dcm")
    assert "2 segmentations" in run("measure", "--seg", tmp_path, "--source", folder / "ct", code=2).stderr
