"""Measuring a segmentation that exists already, ours or anybody's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import ImageSeries, Reason, Refusal, Series
from orthanc_mask2seg.outputs.intensities import Intensities, instances_of, needed_planes, read_intensities
from orthanc_mask2seg.outputs.measured import Measured, margin_of, measure_all
from orthanc_mask2seg.outputs.presets import Preset
from orthanc_mask2seg.outputs.regions import Regions, read_regions, source_uid_of
from orthanc_mask2seg.pacs.folder import FolderArchive
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.companions import preset_of_settings
from orthanc_mask2seg.service.reading import full_header, headers_of, open_stacks


def reader_of(
    archive: Archive, regions: Regions, preset: Preset, *, measured: bool = True, shown: Collection[int] = ()
) -> Callable[[], Intensities | Refusal]:
    """Reads the pixels of the source that some regions need, once, when they are first asked for.

    Parameters
    ----------
    measured
        The regions are measured, so their planes are needed and those around them.
    shown
        Further planes that are needed.
    """
    kept: list[Intensities | Refusal] = []

    def read() -> Intensities | Refusal:
        if not kept:
            source = regions.source
            boxes = [region.planes for region in regions.regions] if measured else []
            planes = sorted({*needed_planes(source, boxes, margin_of(regions, preset)), *shown})
            kept.append(read_intensities(source, planes, archive.contents(instances_of(source, planes))))
        return kept[0]

    return read


def measure_series(archive: Archive, seg: Series, settings: Settings) -> Measured | Refusal:
    """Measure a segmentation of an archive, on the images that it names."""
    found = _regions_of(archive, seg, archive.series_of_study(seg.study_instance_uid), settings)
    return found if isinstance(found, Refusal) else _measured(archive, found, settings)


def measure_file(file: Path, source: Path, settings: Settings) -> Measured | Refusal:
    """Measure a segmentation in a file (or folder), on the images in a folder."""
    archive = FolderArchive([file, source])
    found = [series for series in archive.series_under(file) if series.modality == "SEG"]
    if len(found) != 1 or len(found[0].instance_keys) != 1:
        raise ConfigurationError(f"{file.name} holds {len(found)} series of segmentations", hint="Name one SEG file.")
    regions = _regions_of(archive, found[0], archive.series_under(source), settings)
    return regions if isinstance(regions, Refusal) else _measured(archive, regions, settings)


def _measured(archive: Archive, regions: Regions, settings: Settings) -> Measured:
    preset = preset_of_settings(settings)
    return measure_all(regions, reader_of(archive, regions, preset)(), preset)


def _regions_of(archive: Archive, seg: Series, candidates: tuple[Series, ...], settings: Settings) -> Regions | Refusal:
    """The segmentation on the stack of its source that it lies on."""
    key = seg.instance_keys[0]
    named = source_uid_of(full_header(archive, key))
    sources = [series for series in candidates if series.series_instance_uid == named]
    if not sources and named is None:
        images = [series for series in candidates if series.modality not in {"SEG", "SR", "RTSTRUCT", "PR", "KO"}]
        sources = images if len(images) == 1 else []
    if not sources:
        return Refusal(
            reason=Reason.NO_SOURCE_IN_STUDY,
            detail="The images that the segmentation was made on are not there.",
            hint="Give the folder, or send the series, that it names.",
            evidence=(f"ReferencedSeriesSequence names {named or 'no series'}",),
        )
    content = archive.content(key)
    last: Refusal | None = None
    for stack in _stacks(archive, sources[0], settings):
        regions = stack if isinstance(stack, Refusal) else read_regions(content, stack, settings.position_tolerance_mm)
        if isinstance(regions, Regions):
            return regions
        last = last or regions
    assert last is not None
    return last


def _stacks(archive: Archive, series: Series, settings: Settings) -> tuple[ImageSeries | Refusal, ...]:
    headers = headers_of(archive, series)
    if isinstance(headers, Refusal):
        return (headers,)
    opened = open_stacks(series, headers, settings.position_tolerance_mm)
    return (opened,) if isinstance(opened, Refusal) else opened
