"""The features as a table: CSV with one row per segment, and as JSON."""

from __future__ import annotations

import csv
import io
import json

from orthanc_mask2seg.outputs.measured import Measured
from orthanc_mask2seg.outputs.measurements import SIMPLE, Feature

HEAD = ("seg_sop_instance_uid", "source_series_uid", "segment_number", "segment_label", "engine", "engine_version",
        "unit", "settings")  # fmt: skip
"""What a row is of, and how its values were made."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(measured: Measured) -> bytes:
    """One row per segment.

    A column is named as pyradiomics names the feature where it has it, with the IBSI code in brackets:
    `original_glcm_JointAverage [60VM]`. An empty cell is a feature that does not exist for the segment. What the values
    depend on stands in each row: rows of different settings or units are not to be compared.
    """
    buffer = io.StringIO(newline="")
    columns = list(dict.fromkeys(column(f) for features in measured.features.values() for f in features))
    writer = csv.writer(buffer, lineterminator="\n")
    seg = measured.regions.seg
    writer.writerow([*HEAD, *columns])
    engine = measured.engine
    settings = "; ".join(f"{name}={value}" for name, value in sorted(engine.settings.items()))
    how = [engine.name, engine.version, str(engine.settings.get("unit", "")), settings]
    for region in measured.regions.regions:
        values = {column(f): f.value for f in measured.features[region.number]}
        cells = ["" if values.get(c) is None else repr(values[c]) for c in columns]
        uids = [str(seg.SOPInstanceUID), measured.regions.source.series.series_instance_uid]
        writer.writerow([*uids, region.number, _inert(region.spec.label), *how, *cells])
    return buffer.getvalue().encode()


def column(feature: Feature) -> str:
    """Name of a feature's column."""
    code = feature.code or feature.concept.value
    if feature.family == SIMPLE:
        return f"simple_{feature.name.replace(' ', '')} [{code}]"
    name = f"original_{feature.pyradiomics}" if feature.pyradiomics else f"ibsi_{feature.tag}"
    if feature.aggregation and not feature.pyradiomics:
        name += "_" + feature.aggregation.replace(" ", "_").replace(".", "_")
    return f"{name} [{code}]"


def _inert(text: str) -> str:
    """A label that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_json(measured: Measured) -> bytes:
    """The document of `mask2seg measure`."""
    return (json.dumps(measured.document(), indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()
