"""mask2seg serve, and its two parts: watch and work."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer

from orthanc_mask2seg import config
from orthanc_mask2seg.cli.answers import faults, inert
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, StateOption, orthanc_of, settings_of
from orthanc_mask2seg.errors import Mask2SegError

FIRST_LOOK_SECONDS = 5.0
"""Longest wait for an answer of the PACS before the service starts: it waits for its PACS anyway."""


def serve(
    config_file: ConfigOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
    embedded: Annotated[bool, typer.Option("--embedded", hidden=True)] = False,
) -> None:
    """Follow Orthanc, convert every mask series that arrives, and show a status page.

    For example:

    mask2seg serve -c orthanc.json
    """
    with faults(as_json=as_json):
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.service import embedded as child
        from orthanc_mask2seg.web import page

        if embedded:
            child.serve(page.start)
            return
        settings = settings_of(config_file, state)
        _first_look(settings)
        daemon.serve(settings, start_page=page.start, as_json=as_json)


def watch(config_file: ConfigOption = None, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Follow Orthanc and show a status page; the work is done by mask2seg work, on as many hosts as you like.

    For example:

    mask2seg watch -c orthanc.json
    """
    with faults(as_json=as_json):
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.web import page

        settings = settings_of(config_file, state)
        _first_look(settings)
        daemon.serve(settings, start_page=page.start, works=False, as_json=as_json)


def work(config_file: ConfigOption = None, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Convert what mask2seg watch finds; any number of hosts on one PostgreSQL (DatabaseUrl) share the work.

    For example:

    mask2seg work -c orthanc.json
    """
    with faults(as_json=as_json):
        from orthanc_mask2seg.service import daemon

        daemon.serve(settings_of(config_file, state), watches=False, as_json=as_json)


def _first_look(settings: config.Settings) -> None:
    """At the first start on a state folder, say on stderr what `mask2seg doctor` finds wrong with the PACS."""
    from orthanc_mask2seg.service import doctor
    from orthanc_mask2seg.service.workers import has_memory

    if has_memory(settings) or settings.dicomweb is not None:
        return
    patient = replace(settings, timeout_seconds=min(settings.timeout_seconds, FIRST_LOOK_SECONDS), status_port=0)
    with suppress(Mask2SegError), orthanc_of(patient) as archive:  # the service says by itself that it has no PACS
        report = doctor.examine(archive, patient)
        wrong = [finding for finding in report.pacs if not finding.ok]
        for finding in wrong:
            said = f"{finding.level}: {finding.sentence} {finding.check.remedy} ({finding.check.code})"
            typer.echo(inert(said), err=True)
        typer.echo(f"First start with Orthanc {inert(report.orthanc)}: {len(wrong)} of {len(report.pacs)} checks of "
                   "mask2seg doctor have something to say.", err=True)  # fmt: skip
