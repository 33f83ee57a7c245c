"""mask2seg jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orthanc_mask2seg.cli.answers import faults, inert, print_json
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, settings_of
from orthanc_mask2seg.errors import ConfigurationError

_JOB_ID_LENGTH = 24

app = typer.Typer(help="What the service has done, and what it waits for.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _jobs(context: typer.Context, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        jobs_list(config_file=config_file, as_json=as_json)


@app.command("list")
def jobs_list(
    config_file: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    with faults(as_json=as_json):
        from orthanc_mask2seg.jobs.reader import JobReader

        jobs = JobReader(*_place(config_file)).list(limit=limit)
        if as_json:
            print_json({"jobs": [job.document() for job in jobs]})
            return
        table = Table(
            Column("id", no_wrap=True, min_width=_JOB_ID_LENGTH), "state", "outcome", "reason", "mask series", "detail"
        )
        for job in jobs:
            result = job.result or job.error or {}
            cells = (job.id, job.state, result.get("outcome", ""), result.get("reason") or result.get("code") or "")
            table.add_row(
                *(Text(inert(str(c))) for c in (*cells, job.request.series_instance_uid, result.get("detail", "")))
            )
        Console().print(table)


@app.command("show")
def jobs_show(job_id: str, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one job with its evidence."""
    with faults(as_json=as_json):
        from orthanc_mask2seg.jobs.reader import JobReader

        job = JobReader(*_place(config_file)).get(job_id)
        if job is None:
            raise ConfigurationError(f"there is no job {job_id}", hint="See mask2seg jobs list.")
        if as_json:
            print_json(job.document())
        else:
            Console().print(Text(json.dumps(job.document(), indent=2, ensure_ascii=True)))


@app.command("retry")
def jobs_retry(job_id: str, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run a job again."""
    with faults(as_json=as_json):
        from orthanc_mask2seg.jobs.reader import JobReader

        new_id = JobReader(*_place(config_file)).retry(job_id)
        if as_json:
            print_json({"id": new_id})
        else:
            typer.echo(f"{new_id} is queued")


def _place(config_file: Path | None) -> tuple[Path, str]:
    settings = settings_of(config_file, None)
    return Path(settings.state), settings.database_url
