"""mask2seg measure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orthanc_mask2seg import config
from orthanc_mask2seg.cli.answers import faults, finish, inert, print_json
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, settings_of
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Outcome, Refusal, Result

if TYPE_CHECKING:
    from orthanc_mask2seg.outputs.kinds import OutputKind
    from orthanc_mask2seg.outputs.measured import Measured
    from orthanc_mask2seg.service.measuring import Opened


def _presets() -> list[str]:
    from orthanc_mask2seg.outputs.presets import PRESETS

    return [*PRESETS]


def measure(  # noqa: PLR0917 - the command line names them all
    series: Annotated[str | None, typer.Argument(help="Orthanc id or SeriesInstanceUID of a segmentation.")] = None,
    seg: Annotated[Path | None, typer.Option("--seg", help="SEG file, ours or anybody's.")] = None,
    source: Annotated[Path | None, typer.Option("--source", help="Folder of the images that it was made on.")] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="slicer, ibsi-a ... ibsi-e; see docs/outputs.md.", autocompletion=_presets),
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="z-rad or pyradiomics, as installed; see docs/outputs.md.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write a table of the features into this file.")] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="Write these into the folder of -o: sr, csv, json, rtstruct, nrrd, nifti, preview, capture."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for what --to names.")] = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the segments of a segmentation: volume, diameters, values and radiomics.

    Stores nothing in the PACS.

    For example:

    mask2seg measure --seg seg.dcm --source ct/ --csv features.csv

    mask2seg measure 2.25.324838456605791252458993072132235989631 -c orthanc.json --json

    mask2seg measure --seg seg.dcm --source ct/ --to sr,rtstruct,nrrd,preview -o beside/
    """
    with faults(as_json=as_json):
        settings = _with_preset(settings_of(config_file, None), preset, engine)
        kinds = _kinds(to, out)
        opened = _opened(series, seg, source, settings)
        if isinstance(opened, Refusal):
            refused = Result(outcome=Outcome.REFUSED, reason=opened.reason, detail=opened.detail, hint=opened.hint,
                             evidence=opened.evidence)  # fmt: skip
            finish((refused,), as_json=as_json, evidence=True)
            return
        from orthanc_mask2seg.service import measuring

        found = measuring.measure(opened, settings)
        if out is not None:
            said = measuring.write_outputs(opened, kinds, settings, out)
            found = dataclasses.replace(found, notes=(*found.notes, *said))
        if csv is not None:
            _write(csv, found)
        if as_json:
            print_json(found.document())
        else:
            _show(found, Console())


def _with_preset(settings: config.Settings, preset: str | None, engine: str | None) -> config.Settings:
    from orthanc_mask2seg.outputs.engines import EngineName
    from orthanc_mask2seg.outputs.presets import PRESETS

    if engine is not None:
        if engine not in set(EngineName):
            raise ConfigurationError(f"{engine} is no engine", hint=f"There are {', '.join(EngineName)}.")
        settings = dataclasses.replace(settings, radiomics_engine=engine)
    if preset is None:
        return settings
    if preset not in PRESETS:
        raise ConfigurationError(f"{preset} is no preset", hint=f"There are {', '.join(PRESETS)}.")
    return dataclasses.replace(settings, radiomics_preset=preset)


def _kinds(to: str | None, out: Path | None) -> tuple[OutputKind, ...]:
    from orthanc_mask2seg.outputs.kinds import OutputKind, parse_outputs

    if (to is None) != (out is None):
        raise ConfigurationError("--to needs -o, and -o needs --to", hint="Add -o FOLDER, or --to sr,rtstruct.")
    try:
        named = parse_outputs((to or "seg").split(","))
    except ValueError as error:
        raise ConfigurationError(str(error), hint="--to takes names with commas.") from None
    return tuple(kind for kind in named if kind is not OutputKind.SEG)


def _opened(series: str | None, seg: Path | None, source: Path | None, settings: config.Settings) -> Opened | Refusal:
    from orthanc_mask2seg.service import archives, measuring

    if bool(series) == bool(seg):
        raise ConfigurationError(
            "name either a series of the PACS or a file with --seg", hint="See mask2seg measure -h."
        )
    if series:
        archive = archives.open_archive(settings)
        return measuring.open_in_archive(archive, archive.find_series(series), settings)
    if source is None:
        raise ConfigurationError("--seg needs --source, the folder of the images", hint="Add --source DIR.")
    assert seg is not None
    return measuring.open_file(seg, source, settings)


def _write(path: Path, measured: Measured) -> None:
    from orthanc_mask2seg.outputs.table import to_csv

    try:
        path.write_bytes(to_csv(measured))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _show(measured: Measured, console: Console) -> None:
    """The simple measurements in full; how many features there are beside them."""
    for region in measured.regions.regions:
        table = Table("measurement", "value", "unit", title=Text(inert(region.spec.label)), title_justify="left")
        features = measured.features[region.number]
        simple = [f for f in features if f.family == "simple"]
        for feature in simple:
            value = "" if feature.value is None else f"{feature.value:,.2f}"
            table.add_row(feature.name, value, Text(feature.unit.value))
        console.print(table)
        if len(features) > len(simple):
            known = sum(f.value is not None for f in features) - len(simple)
            console.print(Text(f"  and {known} of {len(features) - len(simple)} radiomics features (--json or --csv)"))
    for note in measured.notes:
        console.print(Text(inert(note), style="italic"))
