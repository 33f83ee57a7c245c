"""The report is the same for the same input, and its objects say nothing that the source does not."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import pytest
from pydicom import dcmread

from orthanc_mask2seg.errors import StoreMismatch
from orthanc_mask2seg.outputs.codes import coded
from orthanc_mask2seg.outputs.kinds import preset_of
from orthanc_mask2seg.outputs.measured import measure_all
from orthanc_mask2seg.outputs.preview import write_capture, write_png
from orthanc_mask2seg.outputs.report import write_report
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.storing import store_beside
from tests.builders import Grid, blob, study
from tests.unit.outputs.made import opened

KIDNEY, LEFT, RIGHT = (
    coded("SCT", *words) for words in (("64033007", "Kidney"), ("7771000", "Left"), ("24028007", "Right"))
)


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


def test_the_side_is_in_the_report() -> None:
    grid = Grid()
    labels = blob(grid) + 2 * blob(grid, centre=(0.3, 0.8, 0.2)) * (blob(grid) == 0)
    made = study(grid, labels=labels)
    regions, values, template = opened(made, label_table="totalsegmentator")
    left, right = regions.regions[:2]
    sided = [
        replace(region, spec=replace(region.spec, property_type=KIDNEY, property_type_modifiers=(side,)))
        for region, side in ((left, LEFT), (right, RIGHT))
    ]
    report = write_report(measure_all(replace(regions, regions=tuple(sided)), values, preset_of("none")), template)
    document = dcmread(io.BytesIO(report)).to_json()
    assert document.count("Laterality") == 2
    assert document.count('"Left"') == document.count('"Right"') == 1


def test_texture_in_2d_is_reported_where_there_is_no_other() -> None:
    regions, values, template = opened(study(Grid(), seed=9))
    for aggregations, named in (
        (["3D averaged", "2D averaged"], "3D, 3D averaged"),
        (["2D averaged"], "2D, 2D averaged"),
    ):
        preset = preset_of("slicer", aggregations=aggregations)
        document = dcmread(io.BytesIO(write_report(measure_all(regions, values, preset), template))).to_json()
        assert f"texture reported: {named}" in document
        assert document.count('"60VM"') == 1, "joint average, once"


def test_what_another_version_made_of_the_same_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    regions, values, template = opened(study(Grid(), seed=9))
    measured = measure_all(regions, values, preset_of("none"))
    archive = MemoryArchive()
    stored = archive.store(write_report(measured, template))
    monkeypatch.setattr("orthanc_mask2seg.outputs.companion.__version__", "99")
    again = store_beside(archive, write_report(measured, template))
    assert (again.key, again.created) == (stored.key, False)
    other = dcmread(io.BytesIO(write_report(measured, template)))
    other.ContentSequence[-1].ValueType = "TEXT"
    buffer = io.BytesIO()
    other.save_as(buffer)
    with pytest.raises(StoreMismatch):
        store_beside(archive, buffer.getvalue())
