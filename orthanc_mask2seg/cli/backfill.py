"""mask2seg backfill."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orthanc_mask2seg import config
from orthanc_mask2seg.cli.answers import EXIT_FAILED, EXIT_INTERRUPTED, faults, inert, print_json
from orthanc_mask2seg.cli.bars import Bars
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, StateOption, settings_of
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Outcome

if TYPE_CHECKING:
    from orthanc_mask2seg.jobs.port import Ledger
    from orthanc_mask2seg.service.backfill import Tally, Window

_DATES = ["%Y-%m-%d", "%Y%m%d"]


def backfill(
    since: Annotated[
        datetime | None, typer.Option(formats=_DATES, help="Only studies of this day (StudyDate) and later ones.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_DATES, help="Only studies of this day and earlier ones.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; say what would become of each.")] = False,
    config_file: ConfigOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert the masks that are in the PACS already, once each, behind whatever arrives.

    May be interrupted with Ctrl-C, and goes on where it was when it is started again. Where a service uses the same
    state, that does the work. Exit code 0 when every mask has its answer, a refusal too; 4 when some have failed, 130
    when it was interrupted.

    For example:

    mask2seg backfill --dry-run -c orthanc.json

    mask2seg backfill --since 2024-01-01 -c orthanc.json
    """
    with faults(as_json=as_json):
        settings = settings_of(config_file, state)
        from orthanc_mask2seg.service.backfill import Tally, Window

        window = Window(since=_day(since), until=_day(until))
        if window.since and window.until and window.since > window.until:
            raise ConfigurationError("--since is later than --until", hint="Exchange the two.")
        tally, console = Tally(dry_run=dry_run), Console(stderr=True)
        with Bars(console, quiet=as_json and not console.is_terminal).shown() as bars:
            try:
                _run(settings, tally, window, bars)
            except KeyboardInterrupt:
                tally.interrupted = True
        if as_json:
            print_json(tally.document())
        else:
            _show(tally, Console())
        if tally.interrupted:
            raise typer.Exit(EXIT_INTERRUPTED)
        if tally.reasons[Outcome.FAILED]:
            raise typer.Exit(EXIT_FAILED)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _run(settings: config.Settings, tally: Tally, window: Window, told: Bars) -> None:
    from orthanc_mask2seg.jobs.ledger import SqlLedger
    from orthanc_mask2seg.service import archives
    from orthanc_mask2seg.service.backfill import Backfill
    from orthanc_mask2seg.service.workers import has_memory, working
    from orthanc_mask2seg.service.workshop import Apart

    archive = archives.open_archive(settings)
    with ExitStack() as stack:
        workshop = stack.enter_context(closing(Apart(settings, works=not tally.dry_run)))
        workshop.open()
        ledger: Ledger | None = None
        if not tally.dry_run:
            queue = stack.enter_context(working(settings, archive, workshop))
            ledger = queue.ledger
        elif has_memory(settings):
            ledger = stack.enter_context(closing(SqlLedger(Path(settings.state), settings.database_url)))
        work = Backfill(archive=archive, settings=settings, ledger=ledger, look=workshop.look, window=window, told=told)
        if tally.dry_run:
            work.survey(tally)
        else:
            replace(work, alone=queue.alone).convert(tally, queue.jobs)


def _show(tally: Tally, console: Console) -> None:
    if tally.interrupted:
        console.print(Text("interrupted; the same command goes on where it was", style="bold yellow"))
    console.print(Text(tally.sentence(), style="bold"))
    rows = [(outcome, code, n) for outcome, counter in tally.reasons.items() for code, n in counter.most_common()]
    if rows:
        table = Table("", "reason", Column("series", justify="right"), Column("for example", overflow="fold"))
        for outcome, code, number in rows:
            cells = (str(outcome), code, f"{number:,}", "\n".join(tally.examples.get(code, ())))
            table.add_row(*(Text(inert(cell)) for cell in cells))
        console.print(table)
        console.print(Text("mask2seg explain SERIES shows the evidence; docs/reasons.md has what to do."))
    for text in _remarks(tally):
        console.print(Text(text))


def _remarks(tally: Tally) -> list[str]:
    found = [f"{tally.series:,} series of the PACS were looked through."]
    if tally.before:
        found.append(f"{tally.before:,} of the answers were known before.")
    if tally.outside:
        found.append(f"{tally.outside:,} series lie outside the dates.")
    if tally.undated:
        found.append(f"{tally.undated:,} series without StudyDate were left out.")
    return found
