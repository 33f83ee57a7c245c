"""What can be made of a segmentation, by the names of the setting `Outputs` and of `--to`. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import StrEnum

from orthanc_mask2seg.outputs.presets import PRESETS, Aggregation, Interpolation, Preset


class OutputKind(StrEnum):
    """Names that sites write."""

    SEG = "seg"
    SR = "sr"
    CSV = "csv"
    JSON = "json"
    RTSTRUCT = "rtstruct"
    NRRD = "nrrd"
    NIFTI = "nifti"
    PREVIEW = "preview"
    CAPTURE = "capture"


MEASURED = frozenset({OutputKind.SR, OutputKind.CSV, OutputKind.JSON})
"""For these the source's pixels in and around the regions are fetched; pictures need some planes; the rest none."""


def parse_outputs(names: Iterable[str]) -> tuple[OutputKind, ...]:
    """Kinds in the order of the enumeration, each once; the segmentation always.

    Raises
    ------
    ValueError
        A name is unknown.
    """
    known = {str(kind) for kind in OutputKind}
    wanted = {str(name).strip().lower() for name in names}
    if unknown := sorted(wanted - known):
        raise ValueError(f"{unknown[0]!r} is no output; there are {', '.join(OutputKind)}")
    return tuple(kind for kind in OutputKind if kind in wanted or kind is OutputKind.SEG)


def preset_of(
    name: str,
    *,
    resample_mm: float = 0.0,
    interpolation: str = "",
    bin_width: float = 0.0,
    bins: int = 0,
    value_range: tuple[float, ...] = (),
    outlier_sigma: float = 0.0,
    aggregations: tuple[str, ...] = (),
    engine: str = "",
) -> Preset:
    """A preset by name, with parts of it replaced; what is 0 or empty stays as the preset has it."""
    changed: dict[str, object] = {"engine": engine}
    if resample_mm:
        changed["resample_mm"] = resample_mm
    if interpolation:
        changed["interpolation"] = Interpolation(interpolation)
    if bin_width:
        changed |= {"bin_width": bin_width, "bins": 0}
    if bins:
        changed |= {"bins": bins, "bin_width": 0.0}
    if value_range:
        changed |= {"value_range": (value_range[0], value_range[1]), "range_of_hu": False}
    if outlier_sigma:
        changed["outlier_sigma"] = outlier_sigma
    if aggregations:
        changed["aggregations"] = tuple(Aggregation(a) for a in aggregations)
    return dataclasses.replace(PRESETS[name], **changed)  # type: ignore[arg-type]
