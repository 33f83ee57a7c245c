"""The table names every feature once, and no spreadsheet runs a label."""

from __future__ import annotations

import csv
import io

from pydicom.sr.codedict import codes

from orthanc_mask2seg.outputs.feature_table import FEATURES
from orthanc_mask2seg.outputs.kinds import preset_of
from orthanc_mask2seg.outputs.measured import measure_all
from orthanc_mask2seg.outputs.table import column, to_csv
from tests.builders import Grid, study
from tests.unit.outputs.made import opened


def test_columns_are_distinct() -> None:
    regions, values, _ = opened(study(Grid(), description="=HYPERLINK(evil)"))
    measured = measure_all(regions, values, preset_of("slicer", aggregations=("3D averaged", "3D merged")))
    names = [column(feature) for feature in measured.features[1]]
    assert len(set(names)) == len(names)
    (row,) = csv.DictReader(io.StringIO(to_csv(measured).decode()))
    assert row["segment_label"] == regions.regions[0].spec.label.replace("=", "'=", 1)
    assert float(row["original_firstorder_Mean [Q4LE]"]) == next(
        f.value for f in measured.features[1] if f.code == "Q4LE" and f.family != "simple"
    )


def test_codes_that_dicom_has_are_its_own() -> None:
    """All codes of the scheme IBSI in DICOM that are in the table mean what the table says."""
    known = {}
    for name in codes.IBSI.dir():
        code = getattr(codes.IBSI, name)
        known[code.value] = code.meaning
    shared = [row for row in FEATURES if row.code in known]
    assert len(shared) > 140
    assert [row for row in shared if row.name != known[row.code]] == []
