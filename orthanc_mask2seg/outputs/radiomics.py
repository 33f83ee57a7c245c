"""Radiomics as the IBSI defines it, by the engine z-rad, or by another one that is asked for.

The engine is given one region at a time, cut out and prepared. What does not exist for a region (texture of two slices,
entropy of a constant) is left out with a reason, and what does exist is kept.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.model import CodedConcept, ImageSeries, Reason, Refusal
from orthanc_mask2seg.outputs import by_pyradiomics, one_level
from orthanc_mask2seg.outputs.codes import CUBIC_MM, HU, MM, NO_UNITS, PER_MM, SQUARE_MM, coded
from orthanc_mask2seg.outputs.engines import EngineName, engine_of
from orthanc_mask2seg.outputs.feature_table import FEATURES, FeatureRow
from orthanc_mask2seg.outputs.grid import regular_grid
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.measurements import Feature, values_of
from orthanc_mask2seg.outputs.prepared import Prepared, prepare
from orthanc_mask2seg.outputs.presets import Aggregation, Preset
from orthanc_mask2seg.outputs.regions import Region

DISCRETE_LEVELS = 16
"""An image of no more values than this is discretised already: its values are taken as grey levels."""

MOST_LEVELS = 512
"""The engine's time grows with the third power of the number of grey levels: 512 take seconds, 4000 many minutes."""

_MODES = {
    Aggregation.AVERAGED_3D: ("3D", "AVER", "_3D_avg"),
    Aggregation.MERGED_3D: ("3D", "MERG", "_3D_comb"),
    Aggregation.AVERAGED_2D: ("2D", "AVER", "_2D_avg"),
    Aggregation.MERGED_2D: ("2D", "SLICE_MERG", "_2D_comb"),
    Aggregation.MERGED_2_5D_BY_DIRECTION: ("2.5D", "DIR_MERG", "_2_5D_avg"),
    Aggregation.MERGED_2_5D: ("2.5D", "MERG", "_2_5D_comb"),
}
_FAMILIES = {
    "morph": "morphology", "loc": "local_intensity", "stat": "intensity_statistics", "ih": "intensity_histogram",
    "ivh": "ivh", "cm": "glcm", "rlm": "glrlm", "szm": "glszm", "dzm": "gldzm", "ngt": "ngtdm", "ngl": "ngldm",
}  # fmt: skip
"""Beginning of a tag to the engine's family."""
_BY_DIRECTION = ("cm", "rlm")
"""Families of which there is one matrix for each direction."""
_OF_VALUES = ("morph", "loc", "stat", "ih", "ivh")
_SHAPE_OF_VALUES = {"morph_com", "morph_integ_int", "morph_moran_i", "morph_geary_c"}
"""Features among those of the shape that look at values."""
_UNDEFINED = 1_000_000
"""What the engine gives for a ratio to zero; the IBSI gives that value to the coarseness of a constant alone."""

Found = dict[tuple[str, str], float]
"""(tag, aggregation) to value."""


def not_installed(wanted: str = "") -> Refusal:
    """Refusal where there is no engine."""
    name = wanted or EngineName.ZRAD
    return Refusal(
        reason=Reason.NOT_INSTALLED,
        detail=f"The radiomics engine {name} is not installed.",
        hint="pip install 'orthanc-mask2seg[radiomics]', or see docs/outputs.md.",
        evidence=(f"there is no package {name}",),
    )


def extract(
    region: Region, source: ImageSeries, intensities: Intensities, preset: Preset
) -> tuple[Feature, ...] | Refusal:
    """Radiomics of one region.

    Parameters
    ----------
    intensities
        Of the planes of the region and of those within `prepared.margin_mm` of it.

    Returns
    -------
    tuple of Feature, or Refusal
        `not_installed`; `unknown_units` where the preset has a range of HU and the image none.
    """
    engine = engine_of(preset.engine)
    if engine is None:
        return not_installed(preset.engine)
    if preset.value_range is not None and preset.range_of_hu and intensities.unit != HU:
        return Refusal(
            reason=Reason.UNKNOWN_UNITS,
            detail=f"The preset {preset.name} keeps a range of HU, and the values are in {intensities.unit.meaning}.",
            hint="Choose another preset (setting RadiomicsPreset).",
            evidence=(f"from {preset.value_range[0]:g} to {preset.value_range[1]:g}",),
        )
    grid = regular_grid(source)
    if isinstance(grid, Refusal):
        values = values_of(region, intensities).astype(np.float64)
        found = by_pyradiomics.statistics(values) if engine is EngineName.PYRADIOMICS else _statistics(values)
        return _features(found, preset, intensities.unit, str(Reason.IRREGULAR_SLICES), engine)
    with warnings.catch_warnings():  # the engine's own arithmetic warns of what becomes a reason here
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            prepared = prepare(region, intensities, grid, preset)
            if prepared is None:
                return _features({}, preset, intensities.unit, str(Reason.REGION_TOO_SMALL), engine)
            found = _extract(prepared, intensities, preset, engine)
            why = _why(prepared, intensities, preset)
    return _features(found, preset, intensities.unit, str(why), engine)


def _why(prepared: Prepared, intensities: Intensities, preset: Preset) -> Reason:
    """Why a feature that the engine does not give does not exist."""
    values = prepared.values[prepared.inside]
    low, high = preset.value_range or (-math.inf, math.inf)
    kept = values[(values >= low) & (values <= high)]
    if not kept.size:
        return Reason.NOTHING_IN_RANGE
    width = _width(intensities, preset)
    anchor = low if preset.value_range else 0.0
    levels = np.floor((kept - anchor) / width) if width else kept
    if width and levels.max() - (levels.min() if preset.value_range is None else 0) >= MOST_LEVELS:
        return Reason.TOO_MANY_LEVELS
    return Reason.ONE_GREY_LEVEL if kept.size > 1 and (levels == levels[0]).all() else Reason.REGION_TOO_SMALL


def _extract(prepared: Prepared, intensities: Intensities, preset: Preset, engine: EngineName) -> Found:
    if engine is EngineName.PYRADIOMICS:
        return by_pyradiomics.find(prepared, preset, _width(intensities, preset))
    data = _roi(prepared, intensities, preset)
    if data is None:  # no value is left, but the shape is
        shape = _run(_unsegmented(prepared), Aggregation.AVERAGED_3D, ["morph"])
        return {key: value for key, value in shape.items() if key[0] not in _SHAPE_OF_VALUES}
    found = _of_values(data)
    if _count(data) > MOST_LEVELS:
        return found
    for aggregation in preset.aggregations:
        found |= _run(data, aggregation, _texture(aggregation, preset))
    levels = data.texture_discretized_image
    if levels is not None and one_level.is_one(levels.array):
        found = _of_one_level(levels.array, preset) | found
    return found


def _count(data: Any) -> float:
    """Number of grey levels that the matrices are as wide as."""
    image = data.texture_discretized_image
    return 0.0 if image is None else float(np.nanmax(image.array))


def _of_one_level(levels: npt.NDArray[np.float64], preset: Preset) -> Found:
    found: Found = {(f"ih_{name}", ""): value for name, value in one_level.HISTOGRAM.items()}
    for aggregation in preset.aggregations:
        if one_level.has_neighbours(levels, in_plane=_MODES[aggregation][0] != "3D"):
            found |= {(f"cm_{name}", str(aggregation)): value for name, value in one_level.CO_OCCURRENCE.items()}
    return found


def _texture(aggregation: Aggregation, preset: Preset) -> list[str]:
    """Beginnings of the tags that an aggregation adds: matrices without directions count once for each dimension."""
    dimension = _MODES[aggregation][0]
    first = next(a for a in preset.aggregations if _MODES[a][0] == dimension)
    return [f for f in _FAMILIES if f not in _OF_VALUES and (f in _BY_DIRECTION or aggregation is first)]


def _run(data: Any, aggregation: Aggregation, beginnings: Sequence[str]) -> Found:
    """All families at once; one by one where that fails."""
    from zrad.radiomics import Radiomics  # noqa: PLC0415

    dimension, method, _ = _MODES[aggregation]
    engine = Radiomics(aggr_dim=dimension, aggr_method=method)
    values = _attempt(lambda: engine.extract_features(data, families=[_FAMILIES[f] for f in beginnings]))
    if values is None:
        values = {}
        for beginning in beginnings:
            values |= _attempt(lambda b=beginning: engine.extract_features(data, families=[_FAMILIES[b]])) or {}  # type: ignore[misc]
    return {_key(tag, aggregation): float(value) for tag, value in values.items()}


def _attempt(work: Callable[[], Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the engine finds; None where it has no answer for such a region."""
    from zrad.exceptions import DataStructureError  # noqa: PLC0415

    try:
        return dict(work())
    except (DataStructureError, ValueError, ArithmeticError, IndexError, RuntimeError, np.linalg.LinAlgError):
        return None


def _key(tag: str, aggregation: Aggregation) -> tuple[str, str]:
    """Tag of the table, and the aggregation as people read it."""
    suffix = _MODES[aggregation][2]
    if tag.endswith(suffix):
        return tag.removesuffix(suffix), str(aggregation)
    dimension = suffix.rpartition("_")[0]
    if tag.endswith(dimension):
        return tag.removesuffix(dimension), _MODES[aggregation][0]
    return tag, ""


def _of_values(data: Any) -> Found:
    """Shape and values: where the region is too thin for the engine as a whole, its calculators are asked directly."""
    found = _run(data, Aggregation.AVERAGED_3D, _OF_VALUES)
    inside = data.intensity_mask.array
    values = inside[~np.isnan(inside)]
    for tag, value in _statistics(values).items():
        found.setdefault(tag, value)
    levels = data.texture_discretized_image
    if levels is not None:
        for tag, value in _histogram(levels.array[~np.isnan(levels.array)]).items():
            found.setdefault(tag, value)
    found.setdefault(
        ("morph_vol_approx", ""), float(data.morphological_mask.array.sum() * math.prod(data.image.spacing))
    )
    return found


def _statistics(values: npt.NDArray[np.float64]) -> Found:
    from zrad.radiomics.intensity import IntensityStatisticsFeatures  # noqa: PLC0415

    found = _attempt(lambda: IntensityStatisticsFeatures().calculate_features(values)) if values.size else None
    return {(tag, ""): float(value) for tag, value in (found or {}).items()}


def _histogram(levels: npt.NDArray[np.float64]) -> Found:
    from zrad.radiomics.intensity import IntensityHistogramFeatures  # noqa: PLC0415

    found = _attempt(lambda: IntensityHistogramFeatures().calculate_features(levels)) if levels.size else None
    return {(tag, ""): float(value) for tag, value in (found or {}).items()}


def _roi(prepared: Prepared, intensities: Intensities, preset: Preset) -> Any:
    """The engine's data: re-segmented and discretised; None where no voxel is left."""
    from zrad.preprocessing import Resegmenter  # noqa: PLC0415

    sigma = preset.outlier_sigma or None
    data = Resegmenter(intensity_range=preset.value_range, outlier_range=sigma).apply(_unsegmented(prepared))
    if np.isnan(data.intensity_mask.array).all():
        return None
    return _discretised(data, intensities, preset)


def _unsegmented(prepared: Prepared) -> Any:
    from zrad.preprocessing import IntensityMaskBuilder, RoiData  # noqa: PLC0415

    return IntensityMaskBuilder().apply(
        RoiData(image=_image(prepared.values, prepared), morphological_mask=_image(prepared.inside, prepared))
    )


def _image(values: npt.NDArray[Any], prepared: Prepared) -> Any:
    from zrad.image import Image  # noqa: PLC0415

    return Image(
        array=values.astype(np.float64),
        origin=(0.0, 0.0, 0.0),
        spacing=np.array(prepared.spacing),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        shape=values.shape[::-1],
    )


def _discretised(data: Any, intensities: Intensities, preset: Preset) -> Any:
    from zrad.preprocessing import IVHIntensityDiscretizer, Resegmenter, TextureDiscretizer  # noqa: PLC0415

    lowest = float(np.nanmin(data.intensity_mask.array))
    as_stored, width = _is_discrete(intensities, preset), _width(intensities, preset)
    if preset.value_range is None and (width or preset.ivh_bin_width):
        anchor = lowest if as_stored else math.floor(lowest / width) * width if width else lowest
        data = Resegmenter(intensity_range=(anchor, math.inf)).apply(data)  # only says where the first level begins
    texture = TextureDiscretizer(bin_size=width) if width else TextureDiscretizer(number_of_bins=preset.bins)
    for step in (texture, _ivh(IVHIntensityDiscretizer, data, preset)):
        try:
            data = step.apply(data)
        except (ValueError, ArithmeticError):  # of a constant
            continue
    if data.texture_discretized_image is None and lowest == float(np.nanmax(data.intensity_mask.array)):
        levels = copy(data.intensity_mask)
        levels.array = np.where(np.isnan(levels.array), np.nan, 1.0)
        data = replace(data, texture_discretized_image=levels)
    return data


def _is_discrete(intensities: Intensities, preset: Preset) -> bool:
    return intensities.levels <= DISCRETE_LEVELS and not preset.resample_mm


def _width(intensities: Intensities, preset: Preset) -> float:
    """Width of the grey levels; 0 where their number is given."""
    return 1.0 if _is_discrete(intensities, preset) else preset.bin_width


def _ivh(discretizer: Any, data: Any, preset: Preset) -> Any:
    if preset.ivh_bin_width:
        return discretizer("fixed_bin_size", bin_size=preset.ivh_bin_width)
    if preset.ivh_bins:
        return discretizer("fixed_bin_number", number_of_bins=preset.ivh_bins)
    values = data.intensity_mask.array
    whole = bool(np.nanmax(np.abs(values - np.rint(values))) == 0)
    return discretizer("direct") if whole else discretizer("fixed_bin_number", number_of_bins=1000)


def _features(found: Found, preset: Preset, unit: CodedConcept, why: str, engine: EngineName) -> tuple[Feature, ...]:
    """Every feature of the table, in its order, with its value or the reason."""
    features = []
    for row in FEATURES:
        for aggregation in _aggregations(row, preset):
            value = _number(found.get((row.tag, aggregation)), row)
            known = engine is EngineName.ZRAD or by_pyradiomics.has(row, aggregation)
            features.append(_feature(row, aggregation, value, unit, why if known else str(Reason.NOT_IN_ENGINE)))
    return tuple(features)


def _aggregations(row: FeatureRow, preset: Preset) -> list[str]:
    beginning = row.tag.partition("_")[0]
    if beginning in _OF_VALUES:
        return [""]
    if beginning in _BY_DIRECTION:
        return [str(a) for a in preset.aggregations]
    return list(dict.fromkeys(_MODES[a][0] for a in preset.aggregations))


def _number(value: float | None, row: FeatureRow) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    ratio = row.tag.endswith(("_cov", "_qcod"))
    return None if ratio and value == _UNDEFINED else value


def _feature(row: FeatureRow, aggregation: str, value: float | None, unit: CodedConcept, why: str) -> Feature:
    beginning = row.tag.partition("_")[0]
    return Feature(
        concept=coded("IBSI", row.code, row.name),
        name=row.name,
        family=_FAMILIES[beginning],
        unit=_unit(row.unit, unit),
        value=value,
        code=row.code,
        aggregation=aggregation,
        pyradiomics=row.pyradiomics if aggregation in {"", "3D", str(Aggregation.AVERAGED_3D)} else "",
        tag=row.tag,
        reason=None if value is not None else why,
    )


def _unit(unit: str, of_image: CodedConcept) -> CodedConcept:
    known = {"mm3": CUBIC_MM, "mm2": SQUARE_MM, "mm": MM, "/mm": PER_MM, "1": NO_UNITS, "I": of_image}
    if unit in known:
        return known[unit]
    power = {"I2": ("2", "squared"), "I.mm3": (".mm3", "times cubic millimeter")}[unit]
    value = f"{of_image.value}.mm3" if unit == "I.mm3" else f"({of_image.value}){power[0]}"
    return coded("UCUM", value, f"{of_image.meaning} {power[1]}")
