import threading
from datetime import UTC, datetime
from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from pydicom.sr.codedict import codes

from orthanc_mask2seg.demo import run as demo
from orthanc_mask2seg.demo.study import make_study
from orthanc_mask2seg.errors import Mask2SegError, VerificationError
from orthanc_mask2seg.pacs.memory import MemoryArchive

WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SLICES, SIZE = 10, 64


def segmentation(study, labels) -> bytes:
    planes = sorted(study.ct, key=lambda d: d.ImagePositionPatient[2])
    described = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="tumour",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type="MANUAL",
    )
    seg = hd.seg.Segmentation(
        planes, labels, "BINARY", [described], hd.UID(), 1, hd.UID(), 1, "maker", "model", "1", "serial"
    )
    buffer = BytesIO()
    seg.save_as(buffer)
    return buffer.getvalue()


class Pacs(MemoryArchive):
    """A PACS with a service beside it that answers each complete mask with a SEG; `spoil` changes its voxels."""

    def __init__(self, *, serve=True, spoil=False):
        super().__init__()
        self.serve, self.spoil, self.stored, self.waiting = serve, spoil, 0, threading.Lock()

    def store(self, content):
        receipt = super().store(content)
        with self.waiting:
            self.stored += 1
            if self.serve and self.stored % (2 * SLICES) == 0:
                self._answer(self.stored // (2 * SLICES) - 1)
        return receipt

    def _answer(self, number):
        study = make_study(number, SLICES, SIZE, moment=WHEN)
        labels = study.labels.copy()
        if self.spoil:
            labels[5, 0, 0] = True
        self.add(segmentation(study, labels))

    def qido_finds(self, series_instance_uid):
        return any(s.series_instance_uid == series_instance_uid for s in self.all_series())


def start(pacs, **changed):
    said = []
    keywords = {"count": 2, "seed": 0, "moment": WHEN, "timeout_s": 5.0, "slices": SLICES, "size": SIZE}
    report = demo.run(pacs, progress=lambda *words: said.append(words), **(keywords | changed))
    return report, said


def test_demo_stores_waits_and_checks():
    report, said = start(Pacs())
    assert len(report.studies) == 2
    assert len({s.study_instance_uid for s in report.studies}) == 2
    assert all(s.latency_s is not None and s.latency_s < 5 and not s.already_there for s in report.studies)
    assert all(s.voxels > 0 and s.orthanc_study_id for s in report.studies)
    assert report.median_latency_s == pytest.approx(np.median([s.latency_s for s in report.studies]))
    assert ("study 2: storing the mask", SLICES, SLICES) in said


def test_a_second_run_finds_what_the_first_one_left():
    pacs = Pacs()
    start(pacs)
    stored = pacs.stored
    report, _ = start(pacs, moment=datetime(2027, 1, 1, tzinfo=UTC))
    assert pacs.stored == stored
    assert report.median_latency_s is None
    assert all(s.already_there for s in report.studies)


def test_an_interrupted_run_is_continued_with_the_same_bytes():
    pacs = Pacs()
    start(pacs, count=1)
    mask = next(s for s in pacs.all_series() if s.series_number == "901")
    seg = next(s for s in pacs.all_series() if s.modality == "SEG")
    for key in (*mask.instance_keys[:3], *seg.instance_keys):
        pacs.delete(key)
    pacs.stored = SLICES
    report, _ = start(pacs, count=1, moment=datetime(2027, 1, 1, tzinfo=UTC))
    assert report.studies[0].latency_s is not None
    assert not report.studies[0].already_there


def test_no_segmentation_in_time_is_a_fault_with_a_hint():
    with pytest.raises(Mask2SegError, match=r"within 0.2 s") as caught:
        start(Pacs(serve=False), count=1, timeout_s=0.2)
    assert "mask2seg serve" in caught.value.hint


def test_a_wrong_voxel_is_seen():
    with pytest.raises(VerificationError, match="1 voxels"):
        start(Pacs(spoil=True), count=1)
