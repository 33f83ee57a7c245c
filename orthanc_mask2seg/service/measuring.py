"""Measuring a segmentation that exists already, ours or anybody's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import ImageSeries, Reason, Refusal, Series
from orthanc_mask2seg.outputs.bundle import Ingredients, make
from orthanc_mask2seg.outputs.intensities import Intensities, instances_of, needed_planes, read_intensities
from orthanc_mask2seg.outputs.kinds import OutputKind
from orthanc_mask2seg.outputs.presets import Preset
from orthanc_mask2seg.outputs.regions import Regions, read_regions, source_uids_of
from orthanc_mask2seg.pacs.folder import FolderArchive
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.companions import planes_shown, preset_of_settings
from orthanc_mask2seg.service.reading import full_header, headers_of, open_stacks

if TYPE_CHECKING:
    from orthanc_mask2seg.outputs.measured import Measured


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
            planes = sorted({*(_measured_planes(regions, preset) if measured else ()), *shown})
            kept.append(read_intensities(source, planes, archive.contents(instances_of(source, planes))))
        return kept[0]

    return read


def _measured_planes(regions: Regions, preset: Preset) -> tuple[int, ...]:
    from orthanc_mask2seg.outputs.measured import margin_of  # noqa: PLC0415 - it brings SimpleITK

    return needed_planes(regions.source, [r.planes for r in regions.regions], margin_of(regions, preset))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A segmentation on its source.

    Attributes
    ----------
    notes
        What a reader should know of how its source was found.
    """

    archive: Archive
    regions: Regions
    notes: tuple[str, ...] = ()


def open_in_archive(archive: Archive, seg: Series, settings: Settings) -> Opened | Refusal:
    """Open a segmentation of an archive, on the images that it names."""
    return _opened(archive, seg, archive.series_of_study(seg.study_instance_uid), settings, given=False)


def open_file(file: Path, source: Path, settings: Settings) -> Opened | Refusal:
    """Open a segmentation in a file (or folder), on the images in a folder."""
    archive = FolderArchive([file, source])
    found = [series for series in archive.series_under(file) if series.modality == "SEG"]
    if len(found) != 1:
        raise ConfigurationError(f"{file.name} holds {len(found)} series of segmentations", hint="Name one SEG file.")
    return _opened(archive, found[0], archive.series_under(source), settings, given=True)


def measure(opened: Opened, settings: Settings) -> Measured:
    """Measure a segmentation."""
    from orthanc_mask2seg.outputs.measured import measure_all  # noqa: PLC0415

    preset = preset_of_settings(settings)
    measured = measure_all(opened.regions, reader_of(opened.archive, opened.regions, preset)(), preset)
    return replace(measured, notes=(*opened.notes, *measured.notes))


def write_outputs(opened: Opened, kinds: Collection[OutputKind], settings: Settings, out: Path) -> tuple[str, ...]:
    """Write what is made of a segmentation into a folder; what was refused, and why.

    Raises
    ------
    ConfigurationError
        The folder cannot be written, or holds another file of that name.
    """
    preset = preset_of_settings(settings)
    regions, archive = opened.regions, opened.archive
    ingredients = Ingredients(
        regions=regions,
        template=full_header(archive, regions.source.series.instance_keys[0]),
        preset=preset,
        intensities=reader_of(archive, regions, preset, shown=planes_shown(kinds, regions)),
    )
    said = []
    for kind in kinds:
        product = make(kind, ingredients)
        if isinstance(product, Refusal):
            said.append(f"output {kind}: refused ({product.reason}): {product.detail}")
        else:
            _write(out / (product.name or f"{kind}.dcm"), product.content)
    return tuple(said)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != content:
            raise ConfigurationError(f"{path} is there already, and is another one", hint="Name another folder.")
        path.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _opened(
    archive: Archive, seg: Series, candidates: tuple[Series, ...], settings: Settings, *, given: bool
) -> Opened | Refusal:
    """The segmentation on the stack of its source that it lies on; `given`: a person has named these images."""
    if len(seg.instance_keys) != 1:
        raise ConfigurationError(
            f"the series holds {len(seg.instance_keys)} segmentations",
            hint="Fetch one of them, and name it with --seg.",
        )
    key = seg.instance_keys[0]
    named = source_uids_of(full_header(archive, key))
    sources = [series for series in candidates if series.series_instance_uid in named]
    notes: tuple[str, ...] = ()
    if not sources and (given or not named):
        images = [series for series in candidates if series.modality not in {"SEG", "SR", "RTSTRUCT", "PR", "KO"}]
        sources = images if len(images) == 1 else []
        notes = ("The segmentation names other images than these; it lies on their planes.",) if named else ()
    if not sources:
        return Refusal(
            reason=Reason.NO_SOURCE_IN_STUDY,
            detail="The images that the segmentation was made on are not there.",
            hint="Give the folder, or send the series, that it names.",
            evidence=(f"ReferencedSeriesSequence names {', '.join(named) or 'no series'}",),
        )
    content = archive.content(key)
    last: Refusal | None = None
    for stack in (stack for source in sources for stack in _stacks(archive, source, settings)):
        regions = stack if isinstance(stack, Refusal) else read_regions(content, stack, settings.position_tolerance_mm)
        if isinstance(regions, Regions):
            return Opened(archive=archive, regions=regions, notes=notes)
        last = last or regions
    assert last is not None
    return last


def _stacks(archive: Archive, series: Series, settings: Settings) -> tuple[ImageSeries | Refusal, ...]:
    headers = headers_of(archive, series)
    if isinstance(headers, Refusal):
        return (headers,)
    opened = open_stacks(series, headers, settings.position_tolerance_mm)
    return (opened,) if isinstance(opened, Refusal) else opened
