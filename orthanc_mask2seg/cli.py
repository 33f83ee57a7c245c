"""The words that a person types. Exit codes: 0 converted or skipped, 2 usage or configuration, 3 refused, 4 failed."""

from __future__ import annotations

import dataclasses
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orthanc_mask2seg import __version__, config, logs
from orthanc_mask2seg.errors import ConfigurationError, Mask2SegError
from orthanc_mask2seg.model import Outcome, Result, results_document

if TYPE_CHECKING:
    from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive

EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_FAILED = 4
_JOB_ID_LENGTH = 24
_EXIT = {Outcome.CONVERTED: 0, Outcome.SKIPPED: 0, Outcome.REFUSED: EXIT_REFUSED, Outcome.FAILED: EXIT_FAILED}

app = typer.Typer(
    name="mask2seg",
    help="Turn mask series into standard DICOM Segmentations.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
jobs_app = typer.Typer(help="What the service has done, and what it waits for.", no_args_is_help=False)
app.add_typer(jobs_app, name="jobs")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help='Orthanc\'s configuration file with the "Mask2Seg" section.')
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TrustOption = Annotated[
    bool, typer.Option("--trust-order", help="Pair slices that have no positions by InstanceNumber.")
]
StateOption = Annotated[Path | None, typer.Option("--state", help="Folder of all state of the service.")]


def main() -> None:
    """Run the command line."""
    logs.silence_libraries()
    app()


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"mask2seg {__version__}")
        raise typer.Exit


@app.command()
def serve(
    config_file: ConfigOption = None,
    state: StateOption = None,
    embedded: Annotated[bool, typer.Option("--embedded", hidden=True)] = False,
) -> None:
    """Follow Orthanc, convert every mask series that arrives, and show a status page.

    Example: mask2seg serve -c orthanc.json
    """
    with _faults(as_json=False):
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.service import embedded as child
        from orthanc_mask2seg.web import page

        if embedded:
            child.serve(page.start)
            return
        settings = _settings(config_file, state)
        daemon.serve(settings, start_page=page.start)


@app.command()
def convert(
    series: Annotated[str | None, typer.Argument(help="Orthanc id or SeriesInstanceUID of a mask series.")] = None,
    mask: Annotated[list[Path] | None, typer.Option("--mask", help="Folder of a mask series; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Folder (or series) of the source images.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="SEG file, or folder for it.")] = None,
    trust_order: TrustOption = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a mask series of the PACS, or folders without a PACS.

    Examples
    --------
    mask2seg convert 1.2.840.113619.2.5.1 -c orthanc.json

    mask2seg convert --mask liver/ --mask tumour/ --source ct/ -o liver_and_tumour.dcm
    """
    with _faults(as_json=as_json):
        if mask and out is None:
            raise ConfigurationError("--mask needs -o OUT, the file or folder to write", hint="Add -o OUT.")
        settings = _trusting(_settings(config_file, None), trust_order=trust_order)
        _finish(_run(series, mask or [], source, out, settings, store=True), as_json=as_json)


@app.command()
def explain(
    series: Annotated[str | None, typer.Argument(help="Orthanc id or SeriesInstanceUID of a mask series.")] = None,
    mask: Annotated[list[Path] | None, typer.Option("--mask", help="Folder of a mask series; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Folder (or series) of the source images.")] = None,
    trust_order: TrustOption = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would happen and why: the evidence for each decision. Stores nothing.

    Example: mask2seg explain --mask liver/ --source ct/
    """
    with _faults(as_json=as_json):
        settings = _trusting(_settings(config_file, None), trust_order=trust_order)
        _finish(_run(series, mask or [], source, None, settings, store=False), as_json=as_json, evidence=True)


@app.command()
def demo(
    config_file: ConfigOption = None,
    count: Annotated[int, typer.Option(help="Synthetic patients to send.", min=1, max=50)] = 3,
    seed: Annotated[int, typer.Option(help="Another seed makes other patients.", min=0)] = 0,
    timeout: Annotated[float, typer.Option(help="Longest wait for each SEG, in seconds.", min=1)] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Put a synthetic chest CT and its mask into the PACS, wait for the SEG, and say where to look."""
    with _faults(as_json=as_json):
        settings = _settings(config_file, None)
        from orthanc_mask2seg.demo import run

        console = Console(stderr=True)
        report = run.run(
            _orthanc(settings),
            count=count,
            seed=seed,
            timeout_s=timeout,
            settings=settings,
            progress=_progress(console),
        )
        if as_json:
            _print_json(report.document())
        else:
            run.show(report, Console())


@jobs_app.callback(invoke_without_command=True)
def _jobs(context: typer.Context, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        jobs_list(config_file=config_file, as_json=as_json)


@jobs_app.command("list")
def jobs_list(
    config_file: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    with _faults(as_json=as_json):
        from orthanc_mask2seg.jobs.reader import JobReader

        jobs = JobReader(_state(config_file)).list(limit=limit)
        if as_json:
            _print_json({"jobs": [job.document() for job in jobs]})
            return
        table = Table(
            Column("id", no_wrap=True, min_width=_JOB_ID_LENGTH), "state", "outcome", "reason", "mask series", "detail"
        )
        for job in jobs:
            result = job.result or job.error or {}
            cells = (job.id, job.state, result.get("outcome", ""), result.get("reason") or result.get("code") or "")
            table.add_row(*(Text(str(c)) for c in (*cells, job.request.series_instance_uid, result.get("detail", ""))))
        Console().print(table)


@jobs_app.command("show")
def jobs_show(job_id: str, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one job with its evidence."""
    with _faults(as_json=as_json):
        from orthanc_mask2seg.jobs.reader import JobReader

        job = JobReader(_state(config_file)).get(job_id)
        if job is None:
            raise ConfigurationError(f"there is no job {job_id}", hint="See mask2seg jobs list.")
        if as_json:
            _print_json(job.document())
        else:
            Console().print(Text(json.dumps(job.document(), indent=2, ensure_ascii=True)))


@jobs_app.command("retry")
def jobs_retry(job_id: str, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run a job again."""
    with _faults(as_json=as_json):
        from orthanc_mask2seg.jobs.reader import JobReader

        new_id = JobReader(_state(config_file)).retry(job_id)
        if as_json:
            _print_json({"id": new_id})
        else:
            typer.echo(f"{new_id} is queued")


def _state(config_file: Path | None) -> Path:
    return Path(_settings(config_file, None).state)


def _settings(config_file: Path | None, state: Path | None) -> config.Settings:
    settings = config.load(config_file)
    return settings if state is None else dataclasses.replace(settings, state=str(state))


def _trusting(settings: config.Settings, *, trust_order: bool) -> config.Settings:
    return dataclasses.replace(settings, trust_order=True) if trust_order else settings


def _orthanc(settings: config.Settings) -> OrthancArchive:
    from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive

    return OrthancArchive(
        settings.orthanc_url,
        settings.orthanc_username,
        settings.orthanc_password,
        settings.timeout_seconds,
        authorization=settings.orthanc_authorization,
    )


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
    from orthanc_mask2seg.service import pipeline

    archive = _orthanc(settings)
    task = pipeline.Task(
        masks=(archive.find_series(series),),
        sources=(archive.find_series(source),) if source else None,
        named_as_mask=True,
        store=store,
    )
    ended = pipeline.run(archive, task, settings)
    assert not isinstance(ended, pipeline.NotYet)
    return ended


def _run_in_folders(
    masks: Sequence[Path], source: Path, out: Path | None, settings: config.Settings, *, store: bool
) -> tuple[Result, ...]:
    from orthanc_mask2seg.pacs.folder import FolderArchive
    from orthanc_mask2seg.service import folders

    return folders.run(FolderArchive([*masks, source], out), masks, source, settings, store=store)


@contextmanager
def _faults(*, as_json: bool) -> Iterator[None]:
    """Show a fault as the result that it is, and leave with its exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Mask2SegError as error:
        result = Result(outcome=Outcome.FAILED, reason=error.code, detail=str(error), hint=error.hint)
        code = EXIT_USAGE if isinstance(error, ConfigurationError) else EXIT_FAILED
        _leave(result, code, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - a traceback is no answer, and its message may quote values of files
        detail = f"{type(error).__name__} at {_place(error)}"
        hint = "This is an error in mask2seg. Please report it with this line and the output of 'mask2seg --version'."
        result = Result(outcome=Outcome.FAILED, reason="internal_error", detail=detail, hint=hint)
        _leave(result, EXIT_FAILED, as_json=as_json)


def _leave(result: Result, code: int, *, as_json: bool) -> NoReturn:
    if as_json:
        _print_json(result.document())
    else:
        _show(result, Console(stderr=True), evidence=False)
    raise typer.Exit(code) from None


def _place(error: Exception) -> str:
    """File and line of the innermost frame that is ours."""
    package = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{Path(f.filename).relative_to(package)}:{f.lineno}" for f in frames if package in Path(f.filename).parents]
    return own[-1] if own else "an unknown place"


def _finish(results: tuple[Result, ...], *, as_json: bool, evidence: bool = False) -> None:
    if as_json:
        _print_json(results_document(results))
    else:
        console = Console()
        for result in results:
            _show(result, console, evidence=evidence)
    code = max(_EXIT[result.outcome] for result in results)
    if code:
        raise typer.Exit(code)


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


_STYLE = {
    Outcome.CONVERTED: "bold green",
    Outcome.SKIPPED: "bold",
    Outcome.REFUSED: "bold yellow",
    Outcome.FAILED: "bold red",
}


def _show(result: Result, console: Console, *, evidence: bool) -> None:
    """One result for people. Text that comes from files is printed as text, never as markup or control codes."""
    only_said = result.outcome is Outcome.CONVERTED and not result.outputs
    head = Text("would be converted" if only_said else str(result.outcome), style=_STYLE[result.outcome])
    head.append(f" ({result.reason})" if result.reason else "", style="default")
    console.print(head, Text(_inert(result.detail)))
    if result.hint:
        console.print(Text(f"  {_inert(result.hint)}", style="italic"))
    if result.segments:
        table = Table("segment", "label", "voxels", "volume (mm3)", "type")
        for segment in result.segments:
            volume = "" if segment.volume_mm3 is None else f"{segment.volume_mm3:,.1f}"
            cells = (str(segment.number), segment.label, f"{segment.voxels:,}", volume, segment.type_code)
            table.add_row(*(Text(_inert(c)) for c in cells))
        console.print(table)
    for output in result.outputs:
        console.print(Text(f"  {output.kind}: {_inert(output.path or output.orthanc_id or '')}"))
    if evidence:
        _show_evidence(result, console)


def _show_evidence(result: Result, console: Console) -> None:
    for text in result.evidence:
        console.print(Text(f"  - {_inert(text)}"))
    if result.candidates:
        table = Table(Column("candidate series", overflow="fold"), "score", "evidence", show_lines=True)
        for candidate in result.candidates:
            lines = "\n".join(f"{e.text} ({e.weight:+.2f})" for e in candidate.evidence)
            table.add_row(Text(candidate.series_instance_uid), f"{candidate.score:.2f}", Text(_inert(lines)))
        console.print(table)


def _inert(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _progress(console: Console) -> Callable[[str, int, int], None]:
    """One line that changes in a terminal; elsewhere one line per step."""
    last = ""

    def report(step: str, done: int, total: int) -> None:
        nonlocal last
        if console.is_terminal:
            console.print(Text(f"{step} {done}/{total}"), style="dim", end="\x1b[K\r")
        elif step != last:
            console.print(Text(step))
        last = step

    return report
