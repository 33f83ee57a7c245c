"""mask2seg serve, and its two parts: watch and work."""

from __future__ import annotations

from typing import Annotated

import typer

from orthanc_mask2seg.cli.answers import faults
from orthanc_mask2seg.cli.options import ConfigOption, StateOption, settings_of


def serve(
    config_file: ConfigOption = None,
    state: StateOption = None,
    embedded: Annotated[bool, typer.Option("--embedded", hidden=True)] = False,
) -> None:
    """Follow Orthanc, convert every mask series that arrives, and show a status page.

    Example: mask2seg serve -c orthanc.json
    """
    with faults(as_json=False):
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.service import embedded as child
        from orthanc_mask2seg.web import page

        if embedded:
            child.serve(page.start)
            return
        daemon.serve(settings_of(config_file, state), start_page=page.start)


def watch(config_file: ConfigOption = None, state: StateOption = None) -> None:
    """Follow Orthanc and show a status page; the work is done by mask2seg work, on as many hosts as you like.

    Example: mask2seg watch -c orthanc.json
    """
    with faults(as_json=False):
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.web import page

        daemon.serve(settings_of(config_file, state), start_page=page.start, works=False)


def work(config_file: ConfigOption = None, state: StateOption = None) -> None:
    """Convert what mask2seg watch finds; any number of hosts on one PostgreSQL (DatabaseUrl) share the work.

    Example: mask2seg work -c orthanc.json
    """
    with faults(as_json=False):
        from orthanc_mask2seg.service import daemon

        daemon.serve(settings_of(config_file, state), watches=False)
