"""Labels on masks, provenance with SEGs."""

from __future__ import annotations

import json

import pytest

from orthanc_mask2seg.errors import ArchiveBusy
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.model import Outcome, OutputReport, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import marks
from tests.builders import study, to_bytes

REQUEST = JobRequest(series_key="k", series_instance_uid="1.2", study_instance_uid="1", version="v")
NAMED = JobRequest(series_key="k", series_instance_uid="1.2", study_instance_uid="1", version="v", named_as_mask=True)


@pytest.mark.parametrize(
    ("request_", "outcome", "labels"),
    [
        (REQUEST, Outcome.CONVERTED, {"mask2seg-mask", "mask2seg-converted"}),
        (REQUEST, Outcome.REFUSED, {"mask2seg-mask", "mask2seg-refused"}),
        (NAMED, Outcome.REFUSED, {"mask2seg-refused"}),
        (REQUEST, Outcome.SKIPPED, set()),
        (REQUEST, Outcome.FAILED, set()),
    ],
)
def test_labels(request_, outcome, labels):
    assert marks.labels_of(request_, Result(outcome=outcome)) == labels


class Marked(MemoryArchive):
    def __init__(self, fault=None):
        super().__init__()
        self.fault, self.texts = fault, []

    def mark(self, series, labels):  # noqa: ARG002 - the port names them
        if self.fault:
            raise self.fault

    def annotate(self, series, text):
        self.texts.append((series, json.loads(text)))


def test_provenance_and_faults():
    made = study()
    archive = Marked()
    for data in made.image:
        archive.add(to_bytes(data))
    uid = made.image[0].SeriesInstanceUID
    output = OutputReport(kind="SEG", sop_instance_uid="9", series_uid=uid, orthanc_id="i")
    result = Result(outcome=Outcome.CONVERTED, evidence=("e",), mask_series_uids=("1.2",), outputs=(output,))
    marks.show(archive, REQUEST, result, "job")
    [(key, text)] = archive.texts
    assert key == archive.find_series(uid).key
    assert (text["job"], text["evidence"], text["mask_version"]) == ("job", ["e"], "v")
    marks.show(Marked(ArchiveBusy()), REQUEST, result, "job")  # nothing depends on it
