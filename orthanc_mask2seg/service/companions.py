"""What is made of a segmentation once it is stored: each output is made, stored and reported by itself.

A refusal or a fault of one never harms the segmentation nor the others. What exists already is stored again as the same
bytes, so a job that runs twice leaves one bundle.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import (
    ArchiveDenied,
    ArchiveFull,
    ArchiveUnreachable,
    ChangedMeanwhile,
    Mask2SegError,
    NotSupported,
)
from orthanc_mask2seg.model import ImageSeries, OutputReport, Refusal
from orthanc_mask2seg.outputs.kinds import MEASURED, OutputKind, parse_outputs, preset_of
from orthanc_mask2seg.outputs.presets import Preset
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.storing import Gone, KeepBeside, store_beside

if TYPE_CHECKING:
    from orthanc_mask2seg.outputs.regions import Regions

WHILE_IT_IS_AWAY = (ArchiveUnreachable, ArchiveFull, ArchiveDenied, ChangedMeanwhile)
"""Faults of the whole archive, which pass: the job runs again, finds its segmentation there, and makes what lacks."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Companions:
    """What was made beside a segmentation.

    Attributes
    ----------
    evidence
        What was refused, or failed, and why.
    """

    outputs: tuple[OutputReport, ...] = ()
    evidence: tuple[str, ...] = ()


def preset_of_settings(settings: Settings) -> Preset:
    """How the settings prepare an image for radiomics."""
    return preset_of(
        settings.radiomics_preset,
        resample_mm=settings.radiomics_resample_mm,
        interpolation=settings.radiomics_interpolation,
        bin_width=settings.radiomics_bin_width,
        bins=settings.radiomics_bins,
        value_range=settings.radiomics_range,
        outlier_sigma=settings.radiomics_outlier_sigma,
        aggregations=settings.radiomics_aggregations,
        engine=settings.radiomics_engine,
    )


def store_companions(
    archive: Archive,
    settings: Settings,
    source: ImageSeries,
    template: Dataset,
    content: bytes,
    stored: OutputReport,
    keep: KeepBeside | None = None,
    replaced: Collection[str] = (),
) -> Companions:
    """Make and store all that the settings want beside a segmentation.

    Parameters
    ----------
    template
        Full header of one instance of the source.
    content
        The stored segmentation.
    stored
        Where it is.
    keep
        Stores the objects; without it they are stored as they are.
    replaced
        SOPInstanceUIDs of what was deleted for it.
    """
    kinds = [kind for kind in parse_outputs(settings.outputs) if kind is not OutputKind.SEG]
    if not kinds:
        return Companions()
    from orthanc_mask2seg.outputs.regions import read_regions  # noqa: PLC0415

    regions = read_regions(content, source, settings.position_tolerance_mm)
    if isinstance(regions, Refusal):
        return Companions(evidence=tuple(_said(kind, regions) for kind in kinds))
    from orthanc_mask2seg.outputs.bundle import Ingredients, make  # noqa: PLC0415
    from orthanc_mask2seg.service.measuring import reader_of  # noqa: PLC0415

    preset = preset_of_settings(settings)
    measured, shown = bool(MEASURED & set(kinds)), planes_shown(kinds, regions)
    read = reader_of(archive, regions, preset, measured=measured, shown=shown) if measured or shown else _nothing
    ingredients = Ingredients(regions=regions, template=template, preset=preset, intensities=read)
    found = Companions()
    keep_file = keep or partial(store_beside, archive)
    for kind in kinds:
        found = _with(found, kind, partial(_store, archive, partial(make, kind, ingredients), stored, keep_file))
    if settings.feature_table and OutputKind.CSV in kinds:
        added = _in_table(Path(settings.feature_table), partial(make, OutputKind.CSV, ingredients), replaced)
        found = replace(found, evidence=(*found.evidence, *added))
    return replace(found, evidence=(*found.evidence, *ingredients.notes))


def planes_shown(kinds: Collection[OutputKind], regions: Regions) -> Collection[int]:
    """Planes of the source that a picture shows, where one is wanted."""
    if not {OutputKind.PREVIEW, OutputKind.CAPTURE} & set(kinds):
        return ()
    from orthanc_mask2seg.outputs.preview import shown_planes  # noqa: PLC0415

    return shown_planes(regions)


def _in_table(table: Path, work: Callable[[], object], replaced: Collection[str]) -> tuple[str, ...]:
    """Add the features to the table of the project; what is to be said where that fails."""
    from orthanc_mask2seg.outputs.bundle import Product  # noqa: PLC0415
    from orthanc_mask2seg.service.feature_table import append  # noqa: PLC0415

    try:
        product = work()
        if isinstance(product, Product):
            append(table, product.content, replaced)
    except Exception as error:  # noqa: BLE001 - the segmentation is stored: no output may undo that
        _log.warning("the table of features could not be written: %s", type(error).__name__)
        return (f"FeatureTable: not written ({type(error).__name__})",)
    return ()


def _nothing() -> Refusal:
    raise AssertionError("pixels are asked for by an output that does not need them")


def _with(found: Companions, kind: OutputKind, work: Callable[[], OutputReport | Refusal | Gone]) -> Companions:
    """What was found, and one more output."""
    try:
        made = work()
    except WHILE_IT_IS_AWAY:
        raise
    except Mask2SegError as error:
        _log.warning("output %s could not be stored: %s", kind, error.code)
        return replace(found, evidence=(*found.evidence, f"output {kind}: failed ({error.code})"))
    except Exception as error:  # noqa: BLE001 - the segmentation is stored: no output may undo that
        _log.exception("output %s could not be made", kind, exc_info=_without_message(error))
        return replace(found, evidence=(*found.evidence, f"output {kind}: failed ({type(error).__name__})"))
    if isinstance(made, Refusal):
        return replace(found, evidence=(*found.evidence, _said(kind, made)))
    if isinstance(made, Gone):
        return replace(found, evidence=(*found.evidence, f"output {kind}: not stored ({made.reason}): {made.detail}"))
    return replace(found, outputs=(*found.outputs, made))


def _without_message(error: Exception) -> Exception:
    """The error with its place and without its words, which may quote values of files."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


def _said(kind: OutputKind, refusal: Refusal) -> str:
    return f"output {kind}: refused ({refusal.reason}): {refusal.detail}"


def _store(
    archive: Archive, work: Callable[[], object], stored: OutputReport, keep: KeepBeside
) -> OutputReport | Refusal | Gone:
    from orthanc_mask2seg.outputs.bundle import Product  # noqa: PLC0415

    product = work()
    if isinstance(product, Refusal):
        return product
    assert isinstance(product, Product)
    digest = hashlib.sha256(product.content).hexdigest()
    if product.name:
        return _attached(archive, product.kind, product.name, product.content, stored, digest)
    receipt = keep(product.content)
    if isinstance(receipt, Gone):
        return receipt
    return OutputReport(
        kind=product.kind,
        sop_instance_uid=receipt.sop_instance_uid,
        series_uid=receipt.series_instance_uid,
        path=receipt.path,
        orthanc_id=None if receipt.path or receipt.resource else receipt.key,
        resource=receipt.resource,
        sha256=digest,
    )


def _attached(
    archive: Archive, kind: str, name: str, content: bytes, stored: OutputReport, digest: str
) -> OutputReport:
    """Keep a file beside the segmentation."""
    place = archive.attach(stored, name, content)
    if place is None:
        raise NotSupported("This archive keeps no files beside a series")
    is_path = stored.path is not None
    return OutputReport(
        kind=kind,
        sop_instance_uid=stored.sop_instance_uid,
        series_uid=stored.series_uid,
        path=place if is_path else None,
        attachment=None if is_path else place,
        sha256=digest,
    )
