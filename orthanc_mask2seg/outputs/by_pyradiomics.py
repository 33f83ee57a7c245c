"""Radiomics by pyradiomics, where that is installed: for who compares with a study that was made with it.

It has fewer features than the IBSI, some by another definition (those are left out), and it counts grey levels from the
lowest value of the region. What it finds is filed under the IBSI's codes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - as everybody calls it

from orthanc_mask2seg.outputs.feature_table import FEATURES, FeatureRow
from orthanc_mask2seg.outputs.prepared import Prepared
from orthanc_mask2seg.outputs.presets import Aggregation, Preset

DIMENSIONS = {
    Aggregation.AVERAGED_3D: (False, "3D"),
    Aggregation.MERGED_2_5D_BY_DIRECTION: (True, "2.5D"),
}
"""What it can aggregate: whether in slices, and how that is called where there are no directions."""

_TEXTURE = ("glcm", "glrlm", "glszm", "gldm", "ngtdm")
_BY_DIRECTION = ("glcm", "glrlm")
_FAULTS = (ValueError, ArithmeticError, IndexError, RuntimeError, AssertionError)


def has(row: FeatureRow, aggregation: str) -> bool:
    """Whether it has a feature, with that definition, in that aggregation."""
    family = row.pyradiomics.partition("_")[0]
    if family not in _TEXTURE:
        return bool(row.pyradiomics)
    return aggregation in {_named(each, family) for each in DIMENSIONS}


def find(prepared: Prepared, preset: Preset, width: float) -> dict[tuple[str, str], float]:
    """What it finds of one region: (tag of the table, aggregation) to value.

    Parameters
    ----------
    width
        Of the grey levels; 0 where the preset gives their number.
    """
    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    found = _values(prepared.values, prepared.inside, prepared, ["shape"], {}, "")
    kept = _resegmented(prepared, preset)
    levels: dict[str, Any] = {"binWidth": width} if width else {"binCount": preset.bins}
    found |= _values(prepared.values, kept, prepared, ["firstorder"], levels, "")
    for aggregation in preset.aggregations:
        if aggregation in DIMENSIONS:
            in_slices, _ = DIMENSIONS[aggregation]
            more = {**levels, "force2D": in_slices, "force2Ddimension": 0}
            for family in _TEXTURE:
                found |= _values(prepared.values, kept, prepared, [family], more, _named(aggregation, family))
    return found


def statistics(values: npt.NDArray[np.float64]) -> dict[tuple[str, str], float]:
    """Statistics of values that form no volume."""
    line = values.reshape(1, 1, -1)
    flat = Prepared(values=line, inside=np.ones(line.shape, bool), spacing=(1.0, 1.0, 1.0))
    return _values(line, flat.inside, flat, ["firstorder"], {"binWidth": 25.0}, "") if values.size else {}


def _named(aggregation: Aggregation, family: str) -> str:
    return str(aggregation) if family in _BY_DIRECTION else DIMENSIONS[aggregation][1]


def _values(
    values: npt.NDArray[np.float64],
    inside: npt.NDArray[np.bool_],
    prepared: Prepared,
    families: list[str],
    settings: Mapping[str, Any],
    aggregation: str,
) -> dict[tuple[str, str], float]:
    """Features of some families; none where it has no answer for such a region."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor  # noqa: PLC0415

    extractor = RadiomicsFeatureExtractor(
        additionalInfo=False, minimumROIDimensions=1, minimumROISize=1, label=1, **settings
    )
    extractor.disableAllFeatures()
    for family in families:
        extractor.enableFeatureClassByName(family)
    try:
        answer = extractor.execute(_image(values, prepared), _image(inside.astype(np.uint8), prepared))
    except _FAULTS:
        return {}
    rows = {f"original_{row.pyradiomics}": row for row in FEATURES if row.pyradiomics}
    return {(rows[name].tag, aggregation): float(value) for name, value in answer.items() if name in rows}


def _resegmented(prepared: Prepared, preset: Preset) -> npt.NDArray[np.bool_]:
    """Which voxels count for values and texture: first the range, then the outliers (IBSI, section 2.9)."""
    kept = prepared.inside
    if preset.value_range is not None:
        kept = kept & (prepared.values >= preset.value_range[0]) & (prepared.values <= preset.value_range[1])
    if preset.outlier_sigma and kept.any():
        values = prepared.values[kept]
        kept = kept & (np.abs(prepared.values - values.mean()) <= preset.outlier_sigma * values.std())
    return kept


def _image(values: npt.NDArray[Any], prepared: Prepared) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(prepared.spacing)
    return image
