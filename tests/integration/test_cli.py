"""The command line on a real Orthanc and on folders: documents, exit codes, clear errors, nothing stored in vain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from orthanc_server import OrthancServer
from pydicom import Dataset

from tests.builders import image_series, mask_series, same_points, segments_of, study, to_bytes
from tests.integration.test_serve import Pacs

PROGRAM = Path(sys.executable).parent / "mask2seg"
KEYS = {"outcome", "reason", "detail", "hint", "source_series_uid", "candidates", "segments", "outputs"}


def run(*words: object, code: int) -> dict[str, Any]:
    """The document of a command, which is all that it prints."""
    done = subprocess.run(
        [PROGRAM, *map(str, words), "--json"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    assert set(document) >= KEYS
    return document


def save(folder: Path, series: Sequence[Dataset]) -> Path:
    folder.mkdir(parents=True)
    for number, data in enumerate(series):
        (folder / f"{number}.dcm").write_bytes(to_bytes(data))
    return folder


def configuration(folder: Path, server: OrthancServer, **changes: object) -> Path:
    section = {
        "OrthancUrl": server.url,
        "OrthancUsername": server.username,
        "OrthancPassword": server.password,
        "TimeoutSeconds": 5,
    }
    path = folder / "mask2seg.json"
    path.write_text(json.dumps({"Mask2Seg": section | changes}))
    return path


def test_a_series_of_the_pacs(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    """By Orthanc id or SeriesInstanceUID; explain stores nothing; converting twice stores once, byte for byte."""
    made, pacs, conf = study(seed=101), Pacs(shared_orthanc), configuration(tmp_path, shared_orthanc)
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    before = pacs.digests()
    uid = str(made.mask[0].SeriesInstanceUID)
    orthanc_id = next(s["ID"] for s in pacs.series() if s["MainDicomTags"]["SeriesInstanceUID"] == uid)
    explained = run("explain", uid, "-c", conf, code=0)
    assert explained["outcome"] == "converted"
    assert explained["outputs"] == []
    assert explained["candidates"][0]["evidence"]
    assert pacs.digests() == before

    first = run("convert", uid, "-c", conf, code=0)
    after = pacs.digests()
    again = run("convert", orthanc_id, "-c", conf, code=0)
    assert first["outputs"] == again["outputs"]
    assert first["outputs"][0]["kind"] == "SEG"
    assert pacs.digests() == after
    assert set(after) - set(before) == {first["outputs"][0]["orthanc_id"]}
    assert {k: after[k] for k in before} == before


def test_masks_and_images_in_one_folder(tmp_path: Path) -> None:
    """One folder named as both: which series is which is found out, and the images are no failed masks."""
    made = study()
    folder = save(tmp_path / "all/ct", made.image).parent
    save(folder / "mask", made.mask)
    (folder / "Thumbs.db").write_bytes(b"x" * 300)
    done = subprocess.run(
        [PROGRAM, "convert", "--mask", folder, "--source", folder, "-o", tmp_path / "out.dcm", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    results = json.loads(done.stdout)["results"]
    assert sorted((r["outcome"], r["reason"]) for r in results) == [("converted", None), ("skipped", "not_a_mask")]
    assert done.returncode == 0
    truth = made.grid.points(made.labels)[1]
    (found,) = segments_of((tmp_path / "out.dcm").read_bytes()).values()
    assert same_points(found, truth)


def test_the_folder_names_what_nothing_else_names(tmp_path: Path) -> None:
    """As in 3D-IRCADb: no description, a study of its own, no frame of reference, the organ in PatientName."""
    made = study()
    for data in made.mask:
        data.StudyInstanceUID, data.PatientID, data.PatientName, data.SeriesDescription = "1.2.3", "", "bone", ""
        del data.FrameOfReferenceUID
    source = save(tmp_path / "John Smith/ct", made.image)
    for names, label in ((("masks", "leftkidney"), "leftkidney"), (("spleen", "DICOM"), "spleen")):
        mask = save(tmp_path.joinpath("John Smith", *names), made.mask)
        out = tmp_path / f"{label}.dcm"
        (segment,) = run("convert", "--mask", mask.parent, "--source", source, "-o", out, code=0)["segments"]
        assert segment["label"] == label
        assert not segment["needs_coding"]
    unnamed = save(tmp_path / "John Smith/liver/Jane", made.mask)
    (segment,) = run("convert", "--mask", unnamed, "--source", source, "-o", tmp_path / "o.dcm", code=0)["segments"]
    assert segment["label"] == "Segment 1", (
        "what lies above the folder that was named, or is no structure, names nothing"
    )
    rule = tmp_path / "rule.json"
    rule.write_text('{"Mask2Seg": {"NameFromPatientName": true}}')
    (segment,) = run("convert", "--mask", mask, "--source", source, "-o", tmp_path / "p.dcm", "-c", rule, code=0)[
        "segments"
    ]
    assert segment["label"] == "bone"


def test_a_mask_that_keeps_even_the_series_of_its_source(tmp_path: Path) -> None:
    """A copy of the images of which only the pixels were replaced: two folders tell them apart."""
    made = study()
    for image, mask in zip(made.image, made.mask, strict=True):
        mask.SeriesInstanceUID, mask.SOPInstanceUID = image.SeriesInstanceUID, image.SOPInstanceUID
    mask, source = save(tmp_path / "mask", made.mask), save(tmp_path / "ct", made.image)
    run("convert", "--mask", mask, "--source", source, "-o", tmp_path / "out.dcm", code=0)
    (found,) = segments_of((tmp_path / "out.dcm").read_bytes()).values()
    assert same_points(found, made.grid.points(made.labels)[1])
    copied = save(tmp_path / "copied", made.mask)
    refused = run("convert", "--mask", mask, "--source", copied, "-o", tmp_path / "none.dcm", code=3)
    assert refused["reason"] == "no_source_in_study"
    assert not (tmp_path / "none.dcm").exists()


def test_folders(tmp_path: Path) -> None:
    """The SEG goes to the file or into the folder that was named."""
    made = study()
    mask, source = save(tmp_path / "mask", made.mask), save(tmp_path / "deep/er/ct", made.image)
    document = run("convert", "--mask", mask, "--source", tmp_path / "deep", "-o", tmp_path / "seg.dcm", code=0)
    assert document["outputs"][0]["path"] == str(tmp_path / "seg.dcm")
    assert list(segments_of((tmp_path / "seg.dcm").read_bytes())) == ["tumour"]
    into = run("convert", "--mask", mask, "--source", source, "-o", tmp_path / "out", code=0)
    assert Path(into["outputs"][0]["path"]).read_bytes() == (tmp_path / "seg.dcm").read_bytes()


def test_several_masks_of_which_one_is_refused(tmp_path: Path) -> None:
    """One result each: the good ones merged, the bad one with its reason; the exit code is that of the worst."""
    made = study()
    far = mask_series(image_series(made.grid, seed=0), made.labels, own_uids=True, description="elsewhere")
    for data in far:
        data.ImagePositionPatient = [float(v) + 100 for v in data.ImagePositionPatient]
    folders = save(tmp_path / "good", made.mask), save(tmp_path / "bad", far), save(tmp_path / "ct", made.image)
    done = subprocess.run(
        [PROGRAM, "convert", "--json", "--mask", folders[0], "--mask", folders[1], "--source", folders[2], "-o",
         tmp_path / "o"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    results = json.loads(done.stdout)["results"]
    assert [(r["outcome"], r["reason"]) for r in results] == [
        ("converted", None), ("refused", "geometry_mismatch")
    ]  # fmt: skip
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.dcm", b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff", "invalid_dicom"),
        ("empty.dcm", b"", "invalid_dicom"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """It could be the slice with the tumour."""
    made = study()
    mask, source = save(tmp_path / "mask", made.mask), save(tmp_path / "ct", made.image)
    (mask / name).write_bytes(content)
    document = run("convert", "--mask", mask, "--source", source, "-o", tmp_path / "out", code=3)
    assert (document["outcome"], document["reason"]) == ("refused", reason)
    assert name in document["detail"]
    assert not (tmp_path / "out").exists()


def test_the_mask_named_as_its_own_source(tmp_path: Path) -> None:
    """Both folders the same, or a source folder with nothing but the mask in it: said in these words."""
    mask = save(tmp_path / "mask", study().mask)
    document = run("convert", "--mask", mask, "--source", mask, "-o", tmp_path / "out", code=3)
    assert (document["reason"], document["detail"]) == (
        "no_source_in_study", "What was named as the source is the mask itself."
    )  # fmt: skip
    assert document["evidence"]
    assert not (tmp_path / "out").exists()


def test_clutter_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """What every folder holds."""
    made = study()
    mask, source = save(tmp_path / "mask", made.mask), save(tmp_path / "ct", made.image)
    for name in (".DS_Store", "Thumbs.db", "README.txt", "notes.json"):
        (mask / name).write_bytes(b"clutter")
    assert run("convert", "--mask", mask, "--source", source, "-o", tmp_path / "o", code=0)["outcome"] == "converted"


def test_a_truncated_slice_is_refused(tmp_path: Path) -> None:
    """Half a file."""
    made = study()
    mask, source = save(tmp_path / "mask", made.mask), save(tmp_path / "ct", made.image)
    whole = (mask / "2.dcm").read_bytes()
    (mask / "2.dcm").write_bytes(whole[: len(whole) - 300])
    document = run("convert", "--mask", mask, "--source", source, "-o", tmp_path / "o", code=3)
    assert document["reason"] in {"invalid_dicom", "corrupt_pixel_data"}


def test_no_image_series_in_the_study(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    """Refused, exit code 3, nothing stored."""
    made, pacs = study(seed=102), Pacs(shared_orthanc)
    pacs.send(*(to_bytes(d) for d in made.mask))
    conf, before = configuration(tmp_path, shared_orthanc), pacs.digests()
    document = run("convert", made.mask[0].SeriesInstanceUID, "-c", conf, code=3)
    assert (document["outcome"], document["reason"]) == ("refused", "no_source_in_study")
    assert document["hint"]
    assert pacs.digests() == before


def test_a_source_of_another_study_can_be_named(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    """Geometry must still agree."""
    made, pacs = study(seed=103), Pacs(shared_orthanc)
    for data in made.mask:
        data.StudyInstanceUID = "1.2.3.103"
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    conf = configuration(tmp_path, shared_orthanc)
    words = ("convert", made.mask[0].SeriesInstanceUID, "--source", made.image[0].SeriesInstanceUID, "-c", conf)
    assert run(*words, code=0)["source_series_uid"] == made.image[0].SeriesInstanceUID


def test_faults_have_their_code(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    """Orthanc unreachable, wrong password, unknown series, unknown setting, wrong usage."""
    wrong = configuration(tmp_path, shared_orthanc, OrthancPassword="canary secret")
    document = run("convert", "1.2.3", "-c", wrong, code=4)
    assert (document["outcome"], document["reason"]) == ("failed", "archive_denied")
    assert "canary" not in json.dumps(document)
    away = configuration(tmp_path, shared_orthanc, OrthancUrl="http://127.0.0.1:9")
    assert run("convert", "1.2.3", "-c", away, code=4)["reason"] == "archive_unreachable"
    conf = configuration(tmp_path, shared_orthanc)
    assert run("convert", "1.2.3.4.5.6.7.8.9", "-c", conf, code=4)["reason"] == "not_in_archive"
    assert run("convert", "../../etc/passwd", "-c", conf, code=4)["reason"] == "not_in_archive"
    unknown = configuration(tmp_path, shared_orthanc, Setle=1)
    assert run("convert", "1.2.3", "-c", unknown, code=2)["reason"] == "configuration_error"
    for words in (("convert",), ("convert", "--mask", tmp_path), ("convert", "--mask", tmp_path, "-o", tmp_path)):
        assert run(*words, code=2)["reason"] == "configuration_error"
    nowhere = ("--mask", tmp_path / "nowhere", "--source", tmp_path, "-o", tmp_path / "x")
    assert run("convert", *nowhere, code=2)["reason"] == "configuration_error"


def test_people_get_tables() -> None:
    """Without --json, text; help shows examples."""
    done = subprocess.run([PROGRAM, "convert", "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert "For example:" in done.stdout
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("mask2seg ")


def test_masks_of_two_sources_need_a_folder(tmp_path: Path) -> None:
    """One file cannot hold two segmentations: said before anything is written."""
    made = [study(seed=7), study(seed=7)]
    for data in (*made[1].image, *made[1].mask):
        data.SeriesInstanceUID = f"{data.SeriesInstanceUID}.1"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{data.SOPInstanceUID}.1"
        data.FrameOfReferenceUID = "1.2.3.99"
    for number, one in enumerate(made):
        save(tmp_path / f"mask{number}", one.mask)
        save(tmp_path / "ct" / str(number), one.image)
    words = ["convert", "--mask", tmp_path / "mask0", "--mask", tmp_path / "mask1", "--source", tmp_path / "ct", "-o"]
    assert run(*words, tmp_path / "one.dcm", code=2)["reason"] == "configuration_error"
    assert not (tmp_path / "one.dcm").exists()
    done = subprocess.run([PROGRAM, *map(str, words), tmp_path / "many", "--json"], capture_output=True, check=True)
    assert len(json.loads(done.stdout)["results"]) == 2
    assert len(list((tmp_path / "many").iterdir())) == 2
