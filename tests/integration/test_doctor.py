"""mask2seg doctor against real Orthancs: SEGs of our encoder, whole and broken on purpose."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
from broken_segs import BREAKS, Break, in_bits
from orthanc_server import OrthancServer, free_port
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid
from typer.testing import CliRunner

from orthanc_mask2seg import cli
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.diagnosis import Level, Viewer
from orthanc_mask2seg.core.display import verdicts
from orthanc_mask2seg.core.display_checks import BY_CODE, SEG_CHECKS
from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.pacs.orthanc_probe import OrthancProbe
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.service import doctor, pipeline
from tests.builders import Grid, Study, image_series, mask_series, study, to_bytes
from tests.integration.test_serve import Service, until

TILTED = ((0.8, 0.6, 0.0), (0.0, 0.0, -1.0))
NOBODY = Settings(status_port=0)


def seg_of(made: Study, settings: Settings = NOBODY) -> bytes:
    """The SEG that this software makes of a study."""
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    (result,) = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), settings)
    assert result.outcome == "converted", result.detail
    return archive.content(ArchiveKey(result.outputs[0].orthanc_id or ""))


def two_labels() -> Study:
    grid = Grid(rows=32, columns=24, planes=5)
    labels = np.zeros((5, 32, 24), np.uint8)
    labels[1:4, 5:12, 3:9], labels[2:5, 20:25, 10:20] = 1, 2
    return study(grid, labels=labels, seed=71)


def probabilities() -> Study:
    grid = Grid(rows=64, columns=64)
    values = np.random.default_rng(3).uniform(0, 1, (6, 64, 64)).astype(np.float32)
    image = image_series(grid, seed=73)
    stored = (values * 255).astype(np.uint8)
    stored[:, :4] = 0
    mask = mask_series(image, stored, description="tumour probability mask")
    return Study(grid=grid, image=image, mask=mask, labels=(values > 0.5).astype(np.uint8))


BASES = {
    "plain": lambda: study(Grid(rows=24, columns=16), seed=70),
    "two-labels": two_labels,
    "oblique-mr": lambda: study(Grid(rows=16, columns=24, axes=TILTED), seed=72, modality="MR"),
}


class Patient(NamedTuple):
    """A study that is in Orthanc, and the SEG of it that is not."""

    study: Study
    seg: bytes


@pytest.fixture(scope="module")
def archive(shared_orthanc: OrthancServer) -> Iterator[OrthancArchive]:
    with OrthancArchive(shared_orthanc.url, shared_orthanc.username, shared_orthanc.password, 30) as archive:
        yield archive


def admitted(archive: OrthancArchive, made: Study, settings: Settings = NOBODY) -> Patient:
    for instance in made.image:
        archive.store(to_bytes(instance))
    return Patient(made, seg_of(made, settings))


@pytest.fixture(scope="module", params=BASES)
def patient(request: pytest.FixtureRequest, archive: OrthancArchive) -> Patient:
    return admitted(archive, BASES[request.param]())


def as_new(content: bytes) -> Dataset:
    """The same SEG under UIDs of its own."""
    data = dcmread(io.BytesIO(content))
    data.SeriesInstanceUID, data.SOPInstanceUID = generate_uid(), generate_uid()
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return data


class Examined(NamedTuple):
    """Codes of what is wrong, and what each viewer does."""

    wrong: frozenset[str]
    viewers: dict[Viewer, str]


def examined(archive: OrthancArchive, data: Dataset) -> Examined:
    """Store it and examine it."""
    archive.store(to_bytes(data))
    series = archive.find_series(str(data.SeriesInstanceUID))
    findings, seen = doctor.examine_series(archive, OrthancProbe(archive.http), series)
    wrong = frozenset(f.check.code for f in findings if not f.ok)
    return Examined(wrong, {v.viewer: v.displays for v in verdicts(findings, seen)})


def test_a_whole_segmentation_has_no_fault_and_displays_everywhere(archive: OrthancArchive, patient: Patient) -> None:
    assert examined(archive, as_new(patient.seg)) == (frozenset(), dict.fromkeys(Viewer, "yes"))


@pytest.mark.parametrize("broken", BREAKS, ids=lambda b: b.how.__name__)
def test_each_way_to_break_it_is_diagnosed(archive: OrthancArchive, patient: Patient, broken: Break) -> None:
    data = as_new(patient.seg)
    broken.how(data)
    wrong, viewers = examined(archive, data)
    assert {broken.code} <= wrong <= {broken.code} | broken.also
    check = BY_CODE[broken.code]
    hidden = check.hides if check.level is Level.ERROR else frozenset()
    assert {viewer for viewer, displays in viewers.items() if displays == "no"} == hidden


def test_the_ways_to_break_it_are_many() -> None:
    """Twelve are asked for; every check of the data set itself has one, here or below."""
    broken = {b.code for b in BREAKS}
    assert len(broken) >= 24
    elsewhere = {"seg_several_instances", "seg_transfer_syntax", "seg_bits_across_bytes", "seg_frames_refused"}
    elsewhere |= {"seg_background"}  # in the unit tests
    answers = {"seg_not_found", "seg_metadata_poor", "seg_not_retrieved"}
    assert broken | elsewhere | answers == {check.code for check in SEG_CHECKS}


def test_several_segmentations_in_one_series(archive: OrthancArchive, patient: Patient) -> None:
    first = as_new(patient.seg)
    archive.store(to_bytes(first))
    second = as_new(patient.seg)
    second.SeriesInstanceUID = first.SeriesInstanceUID
    assert examined(archive, second).wrong == {"seg_several_instances"}


def test_a_grid_whose_frames_start_inside_bytes(archive: OrthancArchive) -> None:
    patient = admitted(archive, study(Grid(rows=21, columns=19), seed=74), Settings(status_port=0, viewers=("dcmqi",)))
    data = as_new(patient.seg)
    in_bits(data, data.pixel_array)
    wrong, viewers = examined(archive, data)
    assert wrong == {"seg_bits_across_bytes", "seg_frames_refused"}
    assert (viewers[Viewer.OHIF], viewers[Viewer.SLICER]) == ("no", "yes")


def test_columns_that_orthanc_cannot_cut_into_frames(archive: OrthancArchive) -> None:
    """24 x 20 pixels are a multiple of 8, and Orthanc still refuses the frames: it looks at the columns alone."""
    patient = admitted(archive, study(Grid(rows=24, columns=20), seed=75))
    data = as_new(patient.seg)
    in_bits(data, data.pixel_array)
    assert examined(archive, data) == ({"seg_frames_refused"}, dict.fromkeys(Viewer, "yes"))


@pytest.mark.parametrize(
    ("syntax", "wrong"), [(JPEG2000Lossless, {"seg_transfer_syntax"}), (RLELossless, set())], ids=["j2k", "rle"]
)
def test_compressed_segmentations(archive: OrthancArchive, syntax: str, wrong: set[str]) -> None:
    patient = admitted(archive, probabilities(), Settings(fractional=True, fractional_maximum=255))
    data = as_new(patient.seg)
    assert data.SegmentationType == "FRACTIONAL"
    data.compress(syntax, generate_instance_uid=False)
    assert examined(archive, data).wrong == wrong


def test_images_are_no_segmentation(archive: OrthancArchive, patient: Patient) -> None:
    series = archive.find_series(str(patient.study.image[0].SeriesInstanceUID))
    findings, seen = doctor.examine_series(archive, None, series)
    assert [(f.check.code, f.ok) for f in findings] == [("seg_class", False)]
    assert {v.displays for v in verdicts(findings, seen)} == {"no"}


def test_without_dicomweb_the_web_viewers_are_not_judged(archive: OrthancArchive, patient: Patient) -> None:
    data = as_new(patient.seg)
    archive.store(to_bytes(data))
    findings, seen = doctor.examine_series(archive, None, archive.find_series(str(data.SeriesInstanceUID)))
    displays = {v.viewer: v.displays for v in verdicts(findings, seen)}
    assert displays == {Viewer.OHIF: "unknown", Viewer.SLICER: "yes", Viewer.DICOMWEB: "unknown"}


# --- the PACS

SUITES = ("bookworm", "trixie", "sid")
BAD = {
    "DicomWeb": {"Enable": True, "Root": "/other/web/", "SeriesMetadata": "MainDicomTags"},
    "OverwriteInstances": True,
    "LimitFindResults": 1,
    "LimitFindInstances": 1,
    "CheckRevisions": True,
    "MaximumStorageSize": 1000,
    "MaximumPatientCount": 100,
}
OLD_FAULTS = {"pacs_dicomweb_old", "pacs_label_map_refused"}
"""Warnings that Orthanc 1.10.1 gets whatever its settings."""


def faults(server: OrthancServer, series: str | None = None) -> tuple[set[str], doctor.Report]:
    with OrthancArchive(server.url, server.username, server.password, 30) as archive:
        report = doctor.examine(archive, NOBODY, series)
    return {f.check.code for f in (*report.pacs, *(report.series or ())) if not f.ok}, report


def filled(server: OrthancServer) -> str:
    made = study(Grid(rows=24, columns=16), seed=80)
    for instance in (*made.image, *made.mask):
        server.post("/instances", to_bytes(instance))
    content = seg_of(made)
    server.post("/instances", content)
    return str(dcmread(io.BytesIO(content)).SeriesInstanceUID)


@pytest.mark.parametrize("suite", SUITES)
def test_a_good_pacs_and_a_bad_one(suite: str, tmp_path: Path) -> None:
    server = OrthancServer(tmp_path / "good", suite=suite)
    old = suite == "bookworm"
    try:
        server.start()
        assert faults(server)[0] == (OLD_FAULTS if old else set()) | {"pacs_series_metadata_unseen"}
        series = filled(server)
        before = server.get("/instances").json()
        wrong, report = faults(server, series)
        assert wrong == (OLD_FAULTS if old else set())
        assert report.level == ("warning" if old else "ok")
        assert {v.displays for v in report.viewers} == {"yes"}
        assert server.get("/instances").json() == before
    finally:
        server.kill()
    server = OrthancServer(tmp_path / "bad", suite=suite, settings=BAD)
    try:
        series = filled(server.start())
        wrong, report = faults(server, series)
        visible = {"pacs_series_metadata", "pacs_find_limited", "pacs_revisions", "seg_metadata_poor"}
        newer = {"pacs_overwrites", "pacs_recycles"}
        assert wrong == visible | (OLD_FAULTS if old else newer)
        assert report.level == "error"
        assert {str(v.viewer): v.displays for v in report.viewers} == {
            "ohif>=3.11": "no",
            "slicer": "yes",
            "dicomweb": "no",
        }
    finally:
        server.kill()


@pytest.mark.parametrize("suite", SUITES)
def test_dicomweb_that_is_not_there_or_off(suite: str, tmp_path: Path) -> None:
    old = {"pacs_label_map_refused"} if suite == "bookworm" else set()
    for name, more, wrong in (
        ("none", {"plugins": ()}, {"pacs_dicomweb_absent"}),
        ("off", {"settings": {"DicomWeb": {"Enable": False}}}, {"pacs_dicomweb_off"}),
    ):
        server = OrthancServer(tmp_path / name, suite=suite, **more)  # type: ignore[arg-type]
        try:
            found = faults(server.start())[0]
            assert found - {"pacs_dicomweb_old"} == wrong | old
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("settings", "suite", "code", "ok"),
    [
        ({"ReadOnly": True}, "trixie", "pacs_read_only", False),
        ({"IngestTranscoding": "1.2.840.10008.1.2.4.80"}, "sid", "pacs_transcodes", False),
        ({"StoreMD5ForAttachments": False}, "sid", "pacs_no_digests", False),
        ({"MaximumStorageSize": 100, "MaximumStorageMode": "Reject"}, "sid", "pacs_storage_limited", False),
        ({"MaximumStorageSize": 100, "MaximumStorageMode": "Reject"}, "trixie", "pacs_recycles", True),
        ({"UnknownSopClassAccepted": True}, "bookworm", "pacs_label_map_refused", True),
        ({"UnknownSopClassAccepted": False}, "bookworm", "pacs_label_map_refused", False),
    ],
)
def test_one_setting_at_a_time(settings: dict[str, Any], suite: str, code: str, ok: bool, tmp_path: Path) -> None:
    server = OrthancServer(tmp_path, suite=suite, settings=settings)
    try:
        _, report = faults(server.start())
        assert {f.check.code: f.ok for f in report.pacs}[code] is ok
    finally:
        server.kill()


def test_an_instance_that_old_dicomweb_does_not_give(tmp_path: Path) -> None:
    """DICOMweb 1.7 answers 404 for two instances with one SOPInstanceUID; the search still finds the series."""
    server = OrthancServer(tmp_path, suite="bookworm")
    try:
        series = filled(server.start())
        with OrthancArchive(server.url, server.username, server.password, 30) as archive:
            held = archive.find_series(series)
            twin = dcmread(io.BytesIO(archive.content(held.instance_keys[0])))
        twin.SeriesInstanceUID, twin.StudyInstanceUID = generate_uid(), generate_uid()
        server.post("/instances", to_bytes(twin))
        assert {"seg_not_retrieved", "seg_frames_refused"} <= faults(server, series)[0]
    finally:
        server.kill()


NO_UPLOADS = """
function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  return not (method == 'POST' and uri == '/instances')
end
"""


@pytest.mark.parametrize("suite", SUITES)
def test_a_user_who_may_not_store_is_told_so_without_storing(suite: str, tmp_path: Path) -> None:
    (tmp_path / "filter.lua").write_text(NO_UPLOADS)
    server = OrthancServer(tmp_path / "o", suite=suite, settings={"LuaScripts": [str(tmp_path / "filter.lua")]})
    try:
        wrong, report = faults(server.start())
        assert "pacs_store_denied" in wrong
        assert report.level == "error"
        assert server.get("/instances").json() == []
    finally:
        server.kill()


def test_the_service_is_asked_too(shared_orthanc: OrthancServer, archive: OrthancArchive, tmp_path: Path) -> None:
    port = free_port()
    service = Service(tmp_path, shared_orthanc, StatusPort=port)
    settings = Settings(status_port=port)
    silent = doctor.examine(archive, settings).pacs
    assert [f.ok for f in silent if f.check.code == "service_silent"] == [False]
    try:
        service.start()
        until(lambda: all(f.ok for f in doctor.examine(archive, settings).pacs), "the service to see the PACS")
        assert [f.check.code for f in doctor.examine(archive, settings).pacs][-2:] == [
            "service_silent",
            "service_blind",
        ]
    finally:
        if service.process is not None:
            service.end()


# --- the command


def invoke(server: OrthancServer | None, *words: str) -> Any:
    environment = {"MASK2SEG_STATUS_PORT": "0", "MASK2SEG_ORTHANC_URL": server.url if server else "http://127.0.0.1:9"}
    environment |= {"MASK2SEG_ORTHANC_USERNAME": "tester", "MASK2SEG_ORTHANC_PASSWORD": "correct horse"}
    return CliRunner().invoke(cli.app, ["doctor", *words], env=environment)


def test_the_command_and_its_exit_codes(
    shared_orthanc: OrthancServer, archive: OrthancArchive, patient: Patient
) -> None:
    whole, broken = as_new(patient.seg), as_new(patient.seg)
    broken.SegmentSequence[0].SegmentNumber = 7
    for data in (whole, broken):
        archive.store(to_bytes(data))
    done = invoke(shared_orthanc, str(whole.SeriesInstanceUID), "--json")
    assert (done.exit_code, json.loads(done.stdout)["outcome"]) == (0, "ok")
    done = invoke(shared_orthanc, str(broken.SeriesInstanceUID), "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["outcome"]) == (3, "error")
    because = ["seg_numbers", "seg_segment_empty", "seg_segment_undescribed"]
    assert document["viewers"]["slicer"] == {"displays": "no", "because": because}
    assert document["viewers"]["dicomweb"] == {"displays": "no", "because": ["seg_segment_undescribed"]}
    (finding,) = [f for f in document["series"] if f["code"] == "seg_numbers"]
    assert finding["level"] == "error"
    assert finding["hint"]
    assert str(patient.study.image[0].PatientName) not in done.stdout
    shown = invoke(shared_orthanc, str(broken.SeriesInstanceUID))
    assert "seg_numbers" in shown.stdout
    assert "slicer: displays: no (seg_numbers," in shown.stdout


def test_a_pacs_that_cannot_be_asked(shared_orthanc: OrthancServer, archive: OrthancArchive) -> None:
    assert invoke(None, "--json").exit_code == 4
    assert invoke(shared_orthanc, "1.2.3.4.5.6", "--json").exit_code == 4
    with OrthancArchive(shared_orthanc.url, "tester", "wrong", 30) as stranger, pytest.raises(Exception, match="401"):
        doctor.examine(stranger, NOBODY)
    assert requests.get(f"{shared_orthanc.url}/system", timeout=5).status_code == 401
