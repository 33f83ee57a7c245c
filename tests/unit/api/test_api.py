"""Conversion in Python: on folders and data sets, typed, and every example of the documentation."""

from __future__ import annotations

import copy
import doctest
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

import orthanc_mask2seg
from orthanc_mask2seg import api, convert, explain
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.demo.study import make_study
from orthanc_mask2seg.demo.study import to_bytes as demo_bytes
from orthanc_mask2seg.errors import ConfigurationError, NotInArchive, StoreMismatch
from orthanc_mask2seg.model import Outcome, Reason
from tests.builders import Study, same_points, segments_of, study, to_bytes

ROOT = Path(__file__).resolve().parents[3]


def save(folder: Path, series: list[Dataset]) -> Path:
    folder.mkdir(parents=True)
    for number, data in enumerate(series):
        (folder / f"{number}.dcm").write_bytes(to_bytes(data))
    return folder


def same(seg: Dataset, made: Study) -> bool:
    """Whether a SEG holds the voxels that the mask was made from."""
    (found,) = segments_of(to_bytes(seg)).values()
    return same_points(found, made.grid.points(made.labels)[1])


@pytest.fixture(scope="module")
def made() -> Study:
    return study()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples run in."""
    folder = tmp_path_factory.mktemp("examples")
    for seed, names in ((0, ("mask", "ct")), (1, ("", "other_ct"))):
        demo = make_study(seed, slices=8, size=64, moment=datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
        for name, series in zip(names, (demo.mask, demo.ct), strict=True):
            if name:
                (folder / name).mkdir()
                for number, data in enumerate(series):
                    (folder / name / f"{number}.dcm").write_bytes(demo_bytes(data))
    (folder / "orthanc.json").write_text('{"Mask2Seg": {"SeriesNumberOffset": 7000}}')
    return folder


def run_examples(text: str, name: str) -> None:
    example = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    assert example.examples
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=said.write)
    assert runner.failures == 0, said.getvalue()


@pytest.mark.parametrize("function", [convert, explain])
def test_the_examples_of_the_docstrings_run(
    function: object, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(examples, tmp_path / "here"))
    run_examples(str(function.__doc__), str(function))


def test_the_examples_of_the_page_run(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(examples, tmp_path / "here"))
    blocks = re.findall(r"```pycon\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    assert len(blocks) > 3
    run_examples("\n".join(blocks), "docs/python.md")


def test_to_import_the_package_costs_nothing() -> None:
    words = "import sys, orthanc_mask2seg; print(orthanc_mask2seg.__version__, sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    assert said.startswith(orthanc_mask2seg.__version__)
    for heavy in ("'numpy'", "'pydicom'", "'orthanc_mask2seg.api'", "'typer'"):
        assert heavy not in said


def test_the_names_of_the_package_are_there() -> None:
    assert orthanc_mask2seg.convert is api.convert
    assert set(orthanc_mask2seg.__all__) <= set(dir(orthanc_mask2seg))
    assert all(getattr(orthanc_mask2seg, name) for name in orthanc_mask2seg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'convrt'"):
        orthanc_mask2seg.convrt  # noqa: B018


def test_folders_and_data_sets_give_the_same_bytes(made: Study, tmp_path: Path) -> None:
    mask, ct = save(tmp_path / "mask", made.mask), save(tmp_path / "ct", made.image)
    written = convert(str(mask), ct, out=tmp_path / "seg.dcm")
    content = (tmp_path / "seg.dcm").read_bytes()
    assert same(dcmread(io.BytesIO(content)), made)
    assert written.content(written.results[0].outputs[0]) == content
    assert written.results[0].outputs[0].path == str(tmp_path / "seg.dcm")
    for masks, source in ((made.mask, made.image), (made.mask, ct), (mask, made.image), ([made.mask], made.image)):
        kept = convert(masks, source)
        (output,) = kept.results[0].outputs
        assert kept.content(output) == content
        assert "path" not in output.document()
        assert "orthanc_id" not in output.document()


def test_data_sets_stay_as_they_are(made: Study) -> None:
    """Also those without file meta information, which were made in memory."""
    mask = copy.deepcopy(made.mask)
    for data in mask:
        del data.file_meta
    before = [data.to_json() for data in (*mask, *made.image)]
    assert same(convert(mask, made.image).segmentation, made)
    assert [data.to_json() for data in (*mask, *made.image)] == before
    assert not any(hasattr(data, "file_meta") for data in mask)


def test_masks_become_segments_in_their_order(made: Study) -> None:
    other = copy.deepcopy(made.mask)
    for data in other:
        data.SeriesInstanceUID, data.SeriesDescription = "1.2.3.4", "liver"
    done = convert([other, made.mask], made.image)
    assert next(segment.label for segment in done.results[0].segments) == "liver"
    assert len(done.segmentation.SegmentSequence) == 2


def test_one_heap_of_data_sets(made: Study) -> None:
    """Named as both: which series is which is found out."""
    heap = [*made.image, *made.mask]
    done = convert(heap, heap)
    assert sorted(str(result.outcome) for result in done.results) == ["converted", "skipped"]
    assert done.outcome is Outcome.CONVERTED
    assert same(done.segmentation, made)


def test_a_refusal_is_a_value(made: Study) -> None:
    broken = copy.deepcopy(made.mask)
    del broken[2].SeriesInstanceUID
    done = convert(broken, made.image)
    assert (done.outcome, done.results[0].reason) == (Outcome.REFUSED, Reason.INVALID_DICOM)
    assert "data set 3: has no SeriesInstanceUID" in done.results[0].evidence
    assert done.segmentations == ()
    with pytest.raises(ValueError, match=r"0 segmentations were made: refused \(invalid_dicom\)"):
        done.segmentation  # noqa: B018


def test_compressed_pixels_need_their_transfer_syntax(made: Study) -> None:
    """What cannot be written as it is is refused, and never guessed."""
    broken = copy.deepcopy(made.mask)
    for data in broken:
        data.compress(RLELossless)
    assert same(convert(broken, made.image).segmentation, made)
    del broken[0].file_meta
    done = convert(broken, made.image)
    assert done.results[0].reason == Reason.INVALID_DICOM
    assert done.results[0].evidence == (
        "data set 1: has compressed pixels and does not say how: file_meta lacks TransferSyntaxUID",
    )


def test_explain_makes_nothing(made: Study) -> None:
    done = explain(made.mask, made.image)
    assert done.outcome is Outcome.CONVERTED
    assert done.results[0].candidates[0].evidence
    assert (done.segmentations, done.results[0].outputs) == ((), ())
    assert json.loads(json.dumps(done.document()))["segments"][0]["number"] == 1


def test_settings_are_arguments(made: Study) -> None:
    offset = made.mask[0].SeriesNumber
    base = Settings(series_number_offset=100)
    assert convert(made.mask, made.image, settings=base).segmentation.SeriesNumber == 100 + offset
    done = convert(made.mask, made.image, settings=base, series_number_offset=300, outputs=("seg", "csv"))
    assert done.segmentation.SeriesNumber == 300 + offset
    kinds = {output.kind: done.content(output) for output in done.results[0].outputs}
    assert set(kinds) == {"SEG", "CSV"}
    assert kinds["CSV"].startswith(b"segment,") or b"," in kinds["CSV"]


def test_wrong_usage_is_said(made: Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean trust_order"):
        convert(made.mask, made.image, trust_ordre=True)
    with pytest.raises(ConfigurationError, match='"Mask2Seg": "Merge"'):
        convert(made.mask, made.image, merge="everything")
    with pytest.raises(ConfigurationError, match="does not exist"):
        convert(tmp_path / "nowhere", made.image)
    with pytest.raises(ConfigurationError, match="no mask"):
        convert([], made.image)
    with pytest.raises(ConfigurationError, match="ndarray"):
        convert([[made.mask[0].pixel_array]], made.image)  # type: ignore[list-item]
    (tmp_path / "seg.dcm").write_bytes(b"mine")
    with pytest.raises(StoreMismatch):
        convert(made.mask, made.image, out=tmp_path / "seg.dcm")
    assert (tmp_path / "seg.dcm").read_bytes() == b"mine"
    done = convert(made.mask, made.image)
    with pytest.raises(NotInArchive):
        done.content(replace(done.results[0].outputs[0], sha256="0" * 64))
