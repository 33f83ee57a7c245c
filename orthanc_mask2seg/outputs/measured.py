"""All regions of a segmentation, measured: the simple measurements always, radiomics where there is an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orthanc_mask2seg import __version__
from orthanc_mask2seg.model import Reason, Refusal
from orthanc_mask2seg.outputs.engines import EngineName, engine_of, engine_version
from orthanc_mask2seg.outputs.grid import regular_grid
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.measurements import Feature, measure
from orthanc_mask2seg.outputs.prepared import MARGIN_MM, margin_mm
from orthanc_mask2seg.outputs.presets import Preset
from orthanc_mask2seg.outputs.radiomics import DISCRETE_LEVELS, extract
from orthanc_mask2seg.outputs.regions import Regions


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What measured, and how.

    Attributes
    ----------
    settings
        What the values depend on.
    """

    name: str
    version: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Features of every region.

    Attributes
    ----------
    features
        SegmentNumber to features, those of the simple measurements first.
    notes
        What was refused, and why.
    """

    regions: Regions
    features: Mapping[int, tuple[Feature, ...]]
    engine: Engine
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON form (docs/outputs.md)."""
        seg, source = self.regions.seg, self.regions.source.series
        return {
            "seg_sop_instance_uid": str(seg.SOPInstanceUID),
            "source_series_uid": str(source.series_instance_uid),
            "segments": [
                {
                    "number": region.number,
                    "label": region.spec.label,
                    "features": [feature.document() for feature in self.features[region.number]],
                }
                for region in self.regions.regions
            ],
            "engine": {
                "name": self.engine.name,
                "version": self.engine.version,
                "settings": dict(self.engine.settings),
            },
            "notes": list(self.notes),
        }


def margin_of(regions: Regions, preset: Preset) -> float:
    """How far beyond the regions the pixels of the source are needed, mm."""
    grid = regular_grid(regions.source)
    return MARGIN_MM if isinstance(grid, Refusal) else margin_mm(grid, preset) + max(grid.spacing)


def measure_all(regions: Regions, intensities: Intensities | Refusal, preset: Preset) -> Measured:
    """Measure every region.

    Parameters
    ----------
    intensities
        Of the planes of the regions and around them; where they are refused, shapes are measured alone.
    """
    features: dict[int, tuple[Feature, ...]] = {}
    if isinstance(intensities, Refusal):
        for region in regions.regions:
            features[region.number] = measure(region, regions.source, None)
        return Measured(regions=regions, features=features, engine=_own(), notes=(_said(intensities),))
    notes = dict.fromkeys(f"Segment {number} is empty: there is nothing to measure." for number, _ in regions.empty)
    refused = False
    for region in regions.regions:
        more = extract(region, regions.source, intensities, preset) if preset.aggregations else ()
        if isinstance(more, Refusal):
            notes[_said(more)] = None
            refused, more = True, ()
        if any(f.reason == Reason.ONE_GREY_LEVEL for f in more):
            width = f"{preset.bin_width:g} {intensities.unit.meaning}" if preset.bin_width else f"{preset.bins} levels"
            notes[f"{Reason.ONE_GREY_LEVEL}: all voxels of segment {region.number} are alike ({width})."] = None
        features[region.number] = (*measure(region, regions.source, intensities), *more)
    engine = _own() if refused or not preset.aggregations else _engine(preset, intensities)
    return Measured(regions=regions, features=features, engine=engine, notes=tuple(notes))


def _own() -> Engine:
    return Engine(name="mask2seg", version=__version__, settings={})


def _engine(preset: Preset, intensities: Intensities) -> Engine:
    settings = preset.document()
    if intensities.levels <= DISCRETE_LEVELS and not preset.resample_mm:
        settings |= {"bin_width": 1.0, "bins": 0}
    name = engine_of(preset.engine) or EngineName.ZRAD
    return Engine(name=name, version=engine_version(name) or "", settings=settings | {"unit": intensities.unit.value})


def _said(refusal: Refusal) -> str:
    return f"{refusal.reason}: {refusal.detail}"
