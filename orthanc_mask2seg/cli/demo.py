"""mask2seg demo."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from orthanc_mask2seg.cli.answers import faults, print_json, progress
from orthanc_mask2seg.cli.options import ConfigOption, JsonOption, orthanc_of, settings_of


def demo(
    config_file: ConfigOption = None,
    count: Annotated[int, typer.Option(help="Synthetic patients to send.", min=1, max=50)] = 3,
    seed: Annotated[int, typer.Option(help="Another seed makes other patients.", min=0)] = 0,
    timeout: Annotated[float, typer.Option(help="Longest wait for each SEG, in seconds.", min=1)] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Put a synthetic chest CT and its mask into the PACS, wait for the SEG, and say where to look.

    For example:

    mask2seg demo -c orthanc.json --count 1
    """
    with faults(as_json=as_json):
        settings = settings_of(config_file, None)
        from orthanc_mask2seg.demo import run

        console = Console(stderr=True)
        report = run.run(
            orthanc_of(settings),
            count=count,
            seed=seed,
            timeout_s=timeout,
            settings=settings,
            progress=progress(console),
        )
        if as_json:
            print_json(report.document())
        else:
            run.show(report, Console())
