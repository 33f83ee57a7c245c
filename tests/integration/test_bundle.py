"""The bundle on real Orthancs: stored beside the segmentation, once, and gone with it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from orthanc_server import OrthancServer
from pydicom import dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Result
from orthanc_mask2seg.outputs.kinds import OutputKind
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, study, to_bytes
from tests.integration.test_serve import Pacs, Service, until

EVERYTHING = Settings(outputs=tuple(OutputKind), radiomics_aggregations=("3D averaged",))


@pytest.fixture(params=("bookworm", "trixie", "sid"))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path / "orthanc", suite=request.param)
    try:
        yield server.start()
    finally:
        server.kill()


def converted(server: OrthancServer, made: Study, settings: Settings) -> Result:
    with OrthancArchive(server.url, server.username, server.password, 30) as archive:
        mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
        ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), settings)
    assert isinstance(ended, tuple)
    return ended[0]


def test_one_press_yields_the_bundle_and_a_second_adds_nothing(server: OrthancServer) -> None:
    made, pacs = study(Grid(planes=6), seed=401), Pacs(server)
    pacs.send(*map(to_bytes, (*made.image, *made.mask)))
    result = converted(server, made, EVERYTHING)
    assert [e for e in result.evidence if e.startswith("output ")] == []
    kinds = [output.kind for output in result.outputs]
    assert kinds == ["SEG", "SR", "CSV", "JSON", "RTSTRUCT", "NRRD", "NIFTI", "PREVIEW", "SC"]

    seg = next(s for s in pacs.series() if s["MainDicomTags"]["Modality"] == "SEG")
    table = next(o for o in result.outputs if o.kind == "CSV").attachment
    assert table is not None
    assert table.startswith(f"/series/{seg['ID']}/attachments/")
    (row,) = csv.DictReader(io.StringIO(server.get(table).text))
    assert float(row["simple_Volume [YEKZ]"]) == pytest.approx(result.segments[0].volume_mm3, abs=1e-3)
    assert row["original_glcm_JointAverage [60VM]"]

    before = pacs.digests()
    again = converted(server, made, EVERYTHING)
    assert again.outputs == result.outputs
    assert pacs.digests() == before


def test_companions_are_of_the_same_patient_and_study(server: OrthancServer) -> None:
    made, pacs = study(Grid(planes=6), seed=402), Pacs(server)
    pacs.send(*map(to_bytes, (*made.image, *made.mask)))
    result = converted(server, made, EVERYTHING)
    for output in result.outputs:
        if output.orthanc_id is None:
            continue
        data = dcmread(io.BytesIO(server.get(f"/instances/{output.orthanc_id}/file").content))
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
            assert data[keyword].value == made.image[0][keyword].value, (output.kind, keyword)


@pytest.fixture
def service(tmp_path: Path, orthanc: OrthancServer) -> Iterator[Service]:
    made = Service(
        tmp_path, orthanc, Outputs=["seg", "sr", "csv", "rtstruct", "capture"], RadiomicsAggregations=["3D averaged"]
    )
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(10)


def test_a_later_mask_supersedes_the_whole_bundle(service: Service, orthanc: OrthancServer) -> None:
    """What was made of the mask as it first was is gone; nothing of the bundle is taken for a mask."""
    made, pacs = study(Grid(planes=8), seed=403), Pacs(orthanc)
    service.start()
    pacs.send(*map(to_bytes, (*made.image, *made.mask[:6])))
    until(lambda: modalities(pacs).get("RTSTRUCT") and modalities(pacs).get("OT"), "the first bundle")
    first = {s["ID"] for s in pacs.series() if s["MainDicomTags"]["Modality"] in {"SEG", "SR", "RTSTRUCT", "OT"}}
    pacs.send(*map(to_bytes, made.mask[6:]))

    def settled() -> bool:
        now = {s["ID"] for s in pacs.series()}
        return not first & now and modalities(pacs) == Counter(CT=2, SEG=1, SR=1, RTSTRUCT=1, OT=1)

    until(settled, "the bundle of the whole mask, alone")
    until(lambda: all(job["state"] == "done" for job in service.jobs()), "all jobs done")
    assert settled()
    masks = {job["request"]["series_instance_uid"] for job in service.jobs()}
    assert masks == {str(made.mask[0].SeriesInstanceUID)}


def modalities(pacs: Pacs) -> Counter[str]:
    return Counter(s["MainDicomTags"]["Modality"] for s in pacs.series())
