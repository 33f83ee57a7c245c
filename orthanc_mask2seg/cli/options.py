"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import dataclasses
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthanc_mask2seg import config
from orthanc_mask2seg.errors import Mask2SegError

if TYPE_CHECKING:
    from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help='Orthanc\'s configuration file with the "Mask2Seg" section.')
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TrustOption = Annotated[
    bool, typer.Option("--trust-order", help="Pair slices that have no positions by InstanceNumber.")
]


def _outputs(incomplete: str) -> list[str]:
    """How a list of outputs may go on."""
    from orthanc_mask2seg.outputs.kinds import OutputKind

    *before, _last = incomplete.split(",")
    words = [str(kind) for kind in OutputKind if str(kind) not in {*before, str(OutputKind.SEG)}]
    return [",".join([*before, word]) for word in words]


def _jobs(incomplete: str) -> list[str]:
    """Ids of the newest jobs, where the configuration lies where people call it orthanc.json."""
    from orthanc_mask2seg.jobs.reader import JobReader

    with suppress(Mask2SegError):
        settings = config.load(path if (path := Path("orthanc.json")).exists() else None)
        with closing(JobReader(Path(settings.state), settings.database_url)) as history:
            return [job.id for job in history.list(limit=200) if job.id.startswith(incomplete)]
    return []


ToOption = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="Outputs beside the SEG, with commas: sr, csv, json, rtstruct, nrrd, nifti, ...",
        autocompletion=_outputs,
    ),
]
JobArgument = Annotated[str, typer.Argument(help="Id of a job: see mask2seg jobs list.", autocompletion=_jobs)]
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
