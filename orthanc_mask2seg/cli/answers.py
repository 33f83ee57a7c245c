"""How commands end: a result or a fault, for people or as one JSON document, and the exit code."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orthanc_mask2seg.errors import ConfigurationError, Mask2SegError
from orthanc_mask2seg.model import Candidate, Outcome, Result, results_document

EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_FAILED = 4
EXIT_INTERRUPTED = 130
_EXIT = {Outcome.CONVERTED: 0, Outcome.SKIPPED: 0, Outcome.REFUSED: EXIT_REFUSED, Outcome.FAILED: EXIT_FAILED}


@contextmanager
def faults(*, as_json: bool) -> Iterator[None]:
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
        print_json(result.document())
    else:
        show(result, Console(stderr=True), evidence=False)
    raise typer.Exit(code) from None


def _place(error: Exception) -> str:
    """File and line of the innermost frame that is ours."""
    package = Path(__file__).parent.parent
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{Path(f.filename).relative_to(package)}:{f.lineno}" for f in frames if package in Path(f.filename).parents]
    return own[-1] if own else "an unknown place"


def finish(results: tuple[Result, ...], *, as_json: bool, evidence: bool = False) -> None:
    """Show results, and leave with the exit code of the worst."""
    if as_json:
        print_json(results_document(results))
    else:
        console = Console()
        for result in results:
            show(result, console, evidence=evidence)
    code = max(_EXIT[result.outcome] for result in results)
    if code:
        raise typer.Exit(code)


def print_json(document: dict[str, Any]) -> None:
    """Print one document and nothing else."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


_STYLE = {
    Outcome.CONVERTED: "bold green",
    Outcome.SKIPPED: "bold",
    Outcome.REFUSED: "bold yellow",
    Outcome.FAILED: "bold red",
}


def show(result: Result, console: Console, *, evidence: bool) -> None:
    """One result for people. Text that comes from files is printed as text, never as markup or control codes."""
    only_said = result.outcome is Outcome.CONVERTED and not result.outputs
    head = Text("would be converted" if only_said else str(result.outcome), style=_STYLE[result.outcome])
    head.append(f" ({result.reason})" if result.reason else "", style="default")
    console.print(head, Text(inert(result.detail)))
    if result.hint:
        console.print(Text(f"  {inert(result.hint)}", style="italic"))
    if result.segments:
        table = Table("segment", "label", "voxels", "volume (mm3)", "type")
        for segment in result.segments:
            volume = "" if segment.volume_mm3 is None else f"{segment.volume_mm3:,.1f}"
            code = f"{segment.type_code} (needs a code)" if segment.needs_coding else segment.type_code
            cells = (str(segment.number), segment.label, f"{segment.voxels:,}", volume, code)
            table.add_row(*(Text(inert(c)) for c in cells))
        console.print(table)
    for output in result.outputs:
        console.print(Text(f"  {output.kind}: {inert(output.path or output.attachment or output.key or '')}"))
    if evidence:
        _show_evidence(result, console)


def _show_evidence(result: Result, console: Console) -> None:
    for text in result.evidence:
        console.print(Text(f"  - {inert(text)}"))
    if result.candidates:
        table = Table(Column("candidate series", overflow="fold"), "score", "evidence", show_lines=True)
        for candidate in result.candidates:
            lines = "\n".join(f"{e.text} ({e.weight:+.2f})" for e in candidate.evidence)
            table.add_row(Text(inert(_named(candidate))), f"{candidate.score:.2f}", Text(inert(lines)))
        console.print(table)


def _named(candidate: Candidate) -> str:
    """What a person calls the series, and its SeriesInstanceUID."""
    number = f"#{candidate.series_number}" if candidate.series_number else ""
    words = " ".join(filter(None, (candidate.modality, number, candidate.series_description)))
    return "\n".join(filter(None, (words, candidate.series_instance_uid)))


def inert(text: str) -> str:
    """Text of a file without control codes."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def progress(console: Console) -> Callable[[str, int, int], None]:
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
