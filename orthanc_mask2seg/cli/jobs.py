"""mask2seg jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orthanc_mask2seg import config
from orthanc_mask2seg.cli.answers import faults, finish, inert, print_json
from orthanc_mask2seg.cli.options import ConfigOption, JobArgument, JsonOption, settings_of
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Result

if TYPE_CHECKING:
    from orthanc_mask2seg.jobs.port import Job
    from orthanc_mask2seg.jobs.reader import JobReader
    from orthanc_mask2seg.service.undo import Plan

_JOB_ID_LENGTH = 24

app = typer.Typer(no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _jobs(context: typer.Context, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What the service has done, and what it waits for.

    For example:

    mask2seg jobs list -c orthanc.json
    """
    if context.invoked_subcommand is None:
        jobs_list(config_file=config_file, as_json=as_json)


@app.command("list")
def jobs_list(
    config_file: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first.

    For example:

    mask2seg jobs list -c orthanc.json --limit 200
    """
    with faults(as_json=as_json), _history(settings_of(config_file, None)) as history:
        jobs = history.list(limit=limit)
        undone = _undone(history, jobs)
        if as_json:
            print_json({"jobs": [_document(job, undone) for job in jobs]})
            return
        Console().print(_listed(jobs, undone))


@app.command("show")
def jobs_show(job_id: JobArgument, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one job with its evidence.

    For example:

    mask2seg jobs show 5a1f0c7e9b2d4f6081a3c5e7 -c orthanc.json
    """
    with faults(as_json=as_json), _history(settings_of(config_file, None)) as history:
        job = _job(history, job_id)
        document = _document(job, _undone(history, [job]))
        if as_json:
            print_json(document)
        else:
            _show_job(job, document, Console())


@app.command("retry")
def jobs_retry(job_id: JobArgument, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run a job again, also one that was undone.

    For example:

    mask2seg jobs retry 5a1f0c7e9b2d4f6081a3c5e7 -c orthanc.json
    """
    with faults(as_json=as_json), _history(settings_of(config_file, None)) as history:
        new_id = history.retry(job_id)
        if as_json:
            print_json({"id": new_id})
        else:
            typer.echo(f"{new_id} is queued")


@app.command("undo")
def jobs_undo(
    job_id: JobArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete what a job has stored, and nothing else; says what that is, and asks.

    The mask is not converted again by itself, until it changes or somebody asks for it (jobs retry). What somebody has
    changed since is not deleted (exit code 3), and copies that were sent to other archives stay there.

    For example:

    mask2seg jobs undo 5a1f0c7e9b2d4f6081a3c5e7 -c orthanc.json
    """
    with faults(as_json=as_json), ExitStack() as stack:
        if as_json and not yes:
            raise ConfigurationError("--json asks nothing", hint="Add --yes.")
        settings = settings_of(config_file, None)
        history = stack.enter_context(_history(settings))
        from orthanc_mask2seg.jobs.ledger import SqlLedger
        from orthanc_mask2seg.jobs.undone import Undone
        from orthanc_mask2seg.service import archives, undo

        job = _job(history, job_id)
        ledger = SqlLedger(Path(settings.state), settings.database_url)
        stack.callback(ledger.close)
        archive = archives.open_archive(settings)
        planned = undo.plan(archive, ledger, history, job)
        if isinstance(planned, Result):
            finish((planned,), as_json=as_json, evidence=True)
            return
        if not as_json:
            _show_plan(planned, Console())
        if not (yes or _agreed()):
            typer.echo("Nothing was deleted.")
            return
        refused = undo.carry_out(archive, ledger, history, Undone(history.engine), planned, settings)
        if refused is not None:
            finish((refused,), as_json=as_json, evidence=True)
        elif as_json:
            print_json(planned.document())
        else:
            typer.echo("Deleted. The mask is not converted again by itself; mask2seg jobs retry does it.")


def _listed(jobs: Sequence[Job], undone: dict[str, float]) -> Table:
    table = Table(
        Column("id", no_wrap=True, min_width=_JOB_ID_LENGTH), "state", "outcome", "reason", "mask series", "detail"
    )
    for job in jobs:
        result = job.result or job.error or {}
        state = "undone" if job.id in undone else job.state
        cells = (job.id, state, result.get("outcome", ""), result.get("reason") or result.get("code") or "")
        table.add_row(
            *(Text(inert(str(c))) for c in (*cells, job.request.series_instance_uid, result.get("detail", "")))
        )
    return table


def _show_job(job: Job, document: dict[str, Any], console: Console) -> None:
    """A job for people: what was asked, what became of it, and the evidence."""
    result = job.result or job.error or {}
    reason = f" ({result['reason']})" if result.get("reason") else ""
    lines = {
        "job": job.id,
        "state": f"undone at {document['undone']}" if "undone" in document else str(job.state),
        "mask series": job.request.series_instance_uid,
        "asked by": f"{job.request.origin}, {_moment(job.created_at)}; started {job.attempts} times",
        "last news": _moment(job.updated_at),
        "outcome": f"{result.get('outcome', '')}{reason}",
        "detail": str(result.get("detail") or ""),
        "hint": str(result.get("hint") or ""),
        "source series": str(result.get("source_series_uid") or ""),
        "segments": "\n".join(
            f"{s['number']} {s['label']}: {s['voxels']:,} voxels" for s in result.get("segments", ())
        ),
        "outputs": "\n".join(f"{o['kind']}: {_where(o)}" for o in result.get("outputs", ())),
        "evidence": "\n".join(result.get("evidence", ())),
    }
    grid = Table.grid(Column(style="bold"), Column(overflow="fold"), padding=(0, 2))
    for name, text in lines.items():
        if text:
            grid.add_row(name, Text(inert(text)))
    console.print(grid)


def _where(output: dict[str, Any]) -> str:
    return str(next((output[n] for n in ("path", "attachment", "orthanc_id", "resource") if output.get(n)), ""))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _agreed() -> bool:
    try:
        return typer.confirm("Delete this?")
    except typer.Abort:
        raise ConfigurationError("nobody has answered, so nothing was deleted", hint="Add --yes.") from None


def _show_plan(planned: Plan, console: Console) -> None:
    table = Table("deletes", "series", Column("instance in the PACS", overflow="fold"), "with")
    for item in planned.items:
        kind = item.kind or "output"
        cells = (
            kind if item.is_there else f"{kind} (gone already)",
            item.row.series_instance_uid,
            item.row.orthanc_id,
            ", ".join(item.files),
        )
        table.add_row(*(Text(inert(cell)) for cell in cells))
    console.print(table)


@contextmanager
def _history(settings: config.Settings) -> Iterator[JobReader]:
    from orthanc_mask2seg.jobs.reader import JobReader

    history = JobReader(Path(settings.state), settings.database_url)
    try:
        yield history
    finally:
        history.close()


def _job(history: JobReader, job_id: str) -> Job:
    job = history.get(job_id)
    if job is None:
        raise ConfigurationError(f"there is no job {job_id}", hint="See mask2seg jobs list.")
    return job


def _undone(history: JobReader, jobs: Sequence[Job]) -> dict[str, float]:
    from orthanc_mask2seg.jobs.undone import Undone

    return Undone(history.engine).among(jobs)


def _document(job: Job, undone: dict[str, float]) -> dict[str, Any]:
    """A job, and when it was undone."""
    document = job.document()
    if job.id in undone:
        document["undone"] = _moment(undone[job.id])
    return document
