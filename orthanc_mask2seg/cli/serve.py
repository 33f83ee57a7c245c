"""mask2seg serve, and its two parts: watch and work."""

from __future__ import annotations

from typing import Annotated

import typer

from orthanc_mask2seg.cli.answers import faults
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, StateOption, settings_of


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
        daemon.serve(settings_of(config_file, state), start_page=page.start, as_json=as_json)


def watch(config_file: ConfigOption = None, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Follow Orthanc and show a status page; the work is done by mask2seg work, on as many hosts as you like.

    For example:

    mask2seg watch -c orthanc.json
    """
    with faults(as_json=as_json):
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.web import page

        daemon.serve(settings_of(config_file, state), start_page=page.start, works=False, as_json=as_json)


def work(config_file: ConfigOption = None, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Convert what mask2seg watch finds; any number of hosts on one PostgreSQL (DatabaseUrl) share the work.

    For example:

    mask2seg work -c orthanc.json
    """
    with faults(as_json=as_json):
        from orthanc_mask2seg.service import daemon

        daemon.serve(settings_of(config_file, state), watches=False, as_json=as_json)
