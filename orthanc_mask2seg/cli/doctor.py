"""mask2seg doctor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orthanc_mask2seg.cli.answers import EXIT_REFUSED, faults, inert, print_json
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, orthanc_of, settings_of

if TYPE_CHECKING:
    from orthanc_mask2seg.core.diagnosis import Finding
    from orthanc_mask2seg.service.doctor import Report

_STYLE = {"ok": "green", "warning": "bold yellow", "error": "bold red", "yes": "bold green", "no": "bold red"}


def doctor(
    series: Annotated[
        str | None, typer.Argument(help="Orthanc id or SeriesInstanceUID of a segmentation, ours or anybody's.")
    ] = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Is the PACS set up right; will this segmentation display in each viewer, and if not, why.

    Stores nothing. Exit code 3 when there are errors, 4 when the PACS cannot be asked.

    For example:

    mask2seg doctor 2.25.324838456605791252458993072132235989631 -c orthanc.json
    """
    with faults(as_json=as_json):
        settings = settings_of(config_file, None)
        from orthanc_mask2seg.service import doctor as service

        with orthanc_of(settings) as archive:
            report = service.examine(archive, settings, series)
        if as_json:
            print_json(report.document())
        else:
            _show(report, Console())
        if report.level == "error":
            raise typer.Exit(EXIT_REFUSED)


def _show(report: Report, console: Console) -> None:
    console.print(_table(f"Orthanc {report.orthanc}", report.pacs))
    if report.series is not None:
        console.print(_table("Segmentation", report.series))
    for verdict in report.viewers:
        line = Text(f"{verdict.viewer}: ").append(f"displays: {verdict.displays}", _STYLE.get(verdict.displays, ""))
        console.print(line.append(f" ({', '.join(verdict.because)})" if verdict.because else ""))


def _table(title: str, findings: Iterable[Finding]) -> Table:
    """What is wrong in full, what is right in a line each."""
    table = Table(Column("check", no_wrap=True), "", "finding", title=Text(inert(title)), title_justify="left")
    for finding in sorted(findings, key=lambda f: ("error", "warning", "ok").index(f.level)):
        said = Text(inert(finding.sentence))
        if finding.evidence:
            said.append(f" [{inert('; '.join(finding.evidence))}]", style="dim")
        if not finding.ok:
            said.append(f"\n{finding.check.remedy}", style="italic")
        table.add_row(Text(finding.check.code), Text(finding.level, style=_STYLE[finding.level]), said)
    return table
