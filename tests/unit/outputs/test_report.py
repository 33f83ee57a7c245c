"""The report is the same for the same input, and its objects say nothing that the source does not."""

from __future__ import annotations

import io
import warnings

from pydicom import dcmread

from orthanc_mask2seg.outputs.kinds import preset_of
from orthanc_mask2seg.outputs.measured import measure_all
from orthanc_mask2seg.outputs.preview import write_capture, write_png
from orthanc_mask2seg.outputs.report import write_report
from tests.builders import Grid, study
from tests.unit.outputs.made import opened


def test_the_same_again_is_the_same() -> None:
    made = study(Grid(), seed=7)
    reports = []
    for _ in range(2):
        regions, values, template = opened(made)
        reports.append(write_report(measure_all(regions, values, preset_of("none")), template))
        assert write_capture(regions, values, template) == write_capture(regions, values, template)
        assert write_png(regions, values) == write_png(regions, values)
    assert reports[0] == reports[1]


def test_no_library_says_the_name_of_the_patient() -> None:
    made = study(Grid(), seed=8)
    for data in (*made.image, *made.mask):
        data.PatientName = "Canary"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        regions, values, template = opened(made)
        report = write_report(measure_all(regions, values, preset_of("none")), template)
    assert [w for w in said if "Canary" in str(w.message)] == []
    assert str(dcmread(io.BytesIO(report)).PatientName) == "Canary"


def test_settings_make_another_report() -> None:
    regions, values, template = opened(study(Grid(), seed=9))
    aggregations = ("3D averaged",)
    uids = {
        str(dcmread(io.BytesIO(write_report(measure_all(regions, values, preset), template))).SOPInstanceUID)
        for preset in (
            preset_of("none"),
            preset_of("slicer", aggregations=aggregations),
            preset_of("slicer", bin_width=10, aggregations=aggregations),
        )
    }
    assert len(uids) == 3
