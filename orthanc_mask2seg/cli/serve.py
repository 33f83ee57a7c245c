"""mask2seg serve."""

from __future__ import annotations

from orthanc_mask2seg.cli.answers import faults
from orthanc_mask2seg.cli.options import ConfigOption, StateOption, settings_of


def serve(config_file: ConfigOption = None, state: StateOption = None) -> None:
    """Follow Orthanc, convert every mask series that arrives, and show a status page.

    Example: mask2seg serve -c orthanc.json
    """
    with faults(as_json=False):
        settings = settings_of(config_file, state)
        from orthanc_mask2seg.service import daemon
        from orthanc_mask2seg.web import page

        daemon.serve(settings, start_page=page.start)
