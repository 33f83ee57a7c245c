"""How an image is prepared for radiomics: resampling, re-segmentation, discretisation; by name, or in parts.

`slicer` is what 3D Slicer's Radiomics module (pyradiomics) does if nobody changes anything. `ibsi-a` to `ibsi-e` are
the configurations of the IBSI's reference manual for its CT of the chest. `none` leaves radiomics out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Aggregation(StrEnum):
    """How texture matrices of directions and slices are put together (IBSI reference manual, section 3.6)."""

    AVERAGED_3D = "3D averaged"
    MERGED_3D = "3D merged"
    AVERAGED_2D = "2D averaged"
    MERGED_2D = "2D merged by slice"
    MERGED_2_5D_BY_DIRECTION = "2.5D merged by direction"
    MERGED_2_5D = "2.5D merged"


class Interpolation(StrEnum):
    """How values between voxels are found."""

    NEAREST = "nearest"
    LINEAR = "linear"
    SPLINE = "spline"


ALL = tuple(Aggregation)
IN_3D = (Aggregation.AVERAGED_3D, Aggregation.MERGED_3D)
IN_2D = ALL[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Preparation of an image.

    Attributes
    ----------
    resample_mm
        Voxel size to resample to; 0 to keep the voxels.
    in_plane
        Resample rows and columns alone.
    rounded
        Resampled values of HU are rounded to whole numbers.
    value_range
        Values outside are not part of the region (re-segmentation); None to keep all.
    range_of_hu
        This range is one of HU; else of whatever unit the image has, as the site has chosen it.
    outlier_sigma
        Values further from the mean than so many standard deviations are not part of the region; 0 to keep all.
    bin_width
        Width of the grey levels, in the unit of the image; 0 where their number is given.
    bins
        Number of grey levels.
    engine
        Name of the program that computes radiomics; empty for the first that is installed.
    ivh_bin_width, ivh_bins
        Of the intensity-volume histogram; both 0 to take the values as they are.
    """

    name: str
    resample_mm: float = 0.0
    in_plane: bool = False
    interpolation: Interpolation = Interpolation.LINEAR
    rounded: bool = False
    value_range: tuple[float, float] | None = None
    range_of_hu: bool = True
    outlier_sigma: float = 0.0
    bin_width: float = 0.0
    bins: int = 0
    ivh_bin_width: float = 0.0
    ivh_bins: int = 0
    aggregations: tuple[Aggregation, ...] = ALL
    engine: str = ""

    def document(self) -> dict[str, Any]:
        """JSON form, as it is recorded with each result."""
        return {name: _shown(value) for name, value in asdict(self).items() if name not in _NOT_SHOWN}


_NOT_SHOWN = {"engine", "range_of_hu"}
"""Stands elsewhere in a result, or in its unit."""


def _shown(value: Any) -> Any:
    return [str(v) if isinstance(v, Aggregation) else v for v in value] if isinstance(value, tuple) else value


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(name="none", aggregations=()),
        Preset(name="slicer", bin_width=25),
        Preset(name="ibsi-a", value_range=(-500, 400), bin_width=25, aggregations=IN_2D),
        Preset(
            name="ibsi-b", resample_mm=2, in_plane=True, rounded=True, value_range=(-500, 400), bins=32,
            aggregations=IN_2D,
        ),
        Preset(
            name="ibsi-c", resample_mm=2, rounded=True, value_range=(-1000, 400), bin_width=25, ivh_bin_width=2.5,
            aggregations=IN_3D,
        ),
        Preset(name="ibsi-d", resample_mm=2, rounded=True, outlier_sigma=3, bins=32, aggregations=IN_3D),
        Preset(
            name="ibsi-e", resample_mm=2, interpolation=Interpolation.SPLINE, rounded=True, value_range=(-1000, 400),
            outlier_sigma=3, bins=32, ivh_bins=1000, aggregations=IN_3D,
        ),
    )
}  # fmt: skip

DEFAULT_PRESET = "slicer"
