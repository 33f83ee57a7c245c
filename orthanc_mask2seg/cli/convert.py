"""mask2seg convert and explain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from orthanc_mask2seg import config
from orthanc_mask2seg.cli.answers import faults, finish
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, ToOption, TrustOption, settings_of
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Result


def convert(
    series: Annotated[str | None, typer.Argument(help="Orthanc id or SeriesInstanceUID of a mask series.")] = None,
    mask: Annotated[list[Path] | None, typer.Option("--mask", help="Folder of a mask series; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Folder (or series) of the source images.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="SEG file, or folder for it.")] = None,
    to: ToOption = None,
    trust_order: TrustOption = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a mask series of the PACS, or folders without a PACS.

    For example:

    mask2seg convert 1.2.840.113619.2.5.1 -c orthanc.json

    mask2seg convert --mask liver/ --mask tumour/ --source ct/ -o liver_and_tumour.dcm

    mask2seg convert --mask liver/ --source ct/ -o results/ --to sr,csv,rtstruct
    """
    with faults(as_json=as_json):
        if mask and out is None:
            raise ConfigurationError("--mask needs -o OUT, the file or folder to write", hint="Add -o OUT.")
        settings = _trusting(settings_of(config_file, None), trust_order=trust_order)
        settings = _with_outputs(settings, to)
        finish(_run(series, mask or [], source, out, settings, store=True), as_json=as_json)


def explain(
    series: Annotated[str | None, typer.Argument(help="Orthanc id or SeriesInstanceUID of a mask series.")] = None,
    mask: Annotated[list[Path] | None, typer.Option("--mask", help="Folder of a mask series; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Folder (or series) of the source images.")] = None,
    trust_order: TrustOption = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would happen and why: the evidence for each decision. Stores nothing.

    For example:

    mask2seg explain --mask liver/ --source ct/
    """
    with faults(as_json=as_json):
        settings = _trusting(settings_of(config_file, None), trust_order=trust_order)
        finish(_run(series, mask or [], source, None, settings, store=False), as_json=as_json, evidence=True)


def _with_outputs(settings: config.Settings, to: str | None) -> config.Settings:
    from orthanc_mask2seg.outputs.kinds import parse_outputs

    if to is None:
        return settings
    try:
        outputs = tuple(str(kind) for kind in parse_outputs(filter(None, to.split(","))))
    except ValueError as error:
        raise ConfigurationError(f"--to: {error}") from error
    return dataclasses.replace(settings, outputs=outputs)


def _trusting(settings: config.Settings, *, trust_order: bool) -> config.Settings:
    return dataclasses.replace(settings, trust_order=True) if trust_order else settings


def _run(
    series: str | None,
    masks: Sequence[Path],
    source: str | None,
    out: Path | None,
    settings: config.Settings,
    *,
    store: bool,
) -> tuple[Result, ...]:
    if bool(series) == bool(masks):
        raise ConfigurationError("name either a series of the PACS or folders with --mask", hint="See mask2seg -h.")
    if series:
        return _run_in_pacs(series, source, settings, store=store)
    if source is None:
        raise ConfigurationError("--mask needs --source, the folder of the images", hint="Add --source DIR.")
    return _run_in_folders(masks, Path(source), out, settings, store=store)


def _run_in_pacs(series: str, source: str | None, settings: config.Settings, *, store: bool) -> tuple[Result, ...]:
    from orthanc_mask2seg.service import archives, explaining, pipeline, record

    archive = archives.open_archive(settings)
    task = explaining.task_of(archive, series, source or "", store=store)
    ended = pipeline.run(archive, task, settings)
    assert not isinstance(ended, pipeline.NotYet)
    if store:
        record.record(archive, settings, ended, task.masks)
    return ended


def _run_in_folders(
    masks: Sequence[Path], source: Path, out: Path | None, settings: config.Settings, *, store: bool
) -> tuple[Result, ...]:
    from orthanc_mask2seg.pacs.folder import FolderArchive
    from orthanc_mask2seg.service import folders

    return folders.run(FolderArchive([*masks, source], out), masks, source, settings, store=store)
