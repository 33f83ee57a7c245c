"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthanc_mask2seg import config

if TYPE_CHECKING:
    from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help='Orthanc\'s configuration file with the "Mask2Seg" section.')
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TrustOption = Annotated[
    bool, typer.Option("--trust-order", help="Pair slices that have no positions by InstanceNumber.")
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="Outputs beside the SEG, with commas: sr, csv, json, rtstruct, nrrd, nifti, ..."),
]
StateOption = Annotated[Path | None, typer.Option("--state", help="Folder of all state of the service.")]


def settings_of(config_file: Path | None, state: Path | None) -> config.Settings:
    """The settings of this run."""
    settings = config.load(config_file)
    return settings if state is None else dataclasses.replace(settings, state=str(state))


def orthanc_of(settings: config.Settings) -> OrthancArchive:
    """The Orthanc of the settings, for what only Orthanc can be asked."""
    from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive

    return OrthancArchive(
        settings.orthanc_url,
        settings.orthanc_username,
        settings.orthanc_password,
        settings.timeout_seconds,
        authorization=settings.orthanc_authorization,
        tls=settings.orthanc_tls,
    )
