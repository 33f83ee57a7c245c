"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from orthanc_mask2seg import __version__, logs
from orthanc_mask2seg.cli import backfill, convert, demo, doctor, jobs, measure, serve

EXIT_CODES = (
    "Exit codes: 0 converted, or skipped as no mask; 2 wrong usage or configuration; 3 refused; 4 failed. "
    "Where a command has others, its help says so. Every command prints one JSON document with --json."
)

app = typer.Typer(
    name="mask2seg",
    help="""Turn mask series into standard DICOM Segmentations.

    For example:

    mask2seg doctor -c orthanc.json

    mask2seg serve -c orthanc.json

    mask2seg convert --mask liver/ --source ct/ -o liver.dcm
    """,
    epilog=EXIT_CODES,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"mask2seg {__version__}")
        raise typer.Exit


app.command()(serve.serve)
app.command()(serve.watch)
app.command()(serve.work)
app.command()(convert.convert)
app.command()(convert.explain)
app.command()(backfill.backfill)
app.command()(measure.measure)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.add_typer(jobs.app, name="jobs")


def main() -> None:
    """Run the command line."""
    logs.silence_libraries()
    app()
