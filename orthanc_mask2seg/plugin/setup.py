"""From Orthanc's configuration to what the plugin does, and to what the service is told."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECTION = "Mask2Seg"
PROGRAM = "mask2seg"
PREFIX = "MASK2SEG_"
HANDED_ON = ("HttpPort", "SslEnabled", "IndexDirectory", "StorageDirectory")
"""What the service needs to know of Orthanc's own settings."""

_YES = frozenset({"true", "1", "yes"})


@dataclass(frozen=True)
class Wanted:
    """What the site wants of the plugin.

    Attributes
    ----------
    folder
        Where relative paths of the configuration start.
    token
        What the plugin and the service share.
    ca_file
        Authorities of the service's certificate, '' for those of the system.
    """

    enable: bool
    command: str
    service: str
    token: str
    ca_file: str
    configuration: Mapping[str, Any]
    folder: Path
    own_credentials: bool


def read(configuration: Mapping[str, Any], path: str, environ: Mapping[str, str]) -> Wanted:
    """Read the settings that are for the plugin; the service checks them all."""
    section = dict(configuration.get(SECTION) or {})
    place = Path(path).absolute() if path else Path.cwd()
    folder = place if place.is_dir() else place.parent

    def setting(name: str, variable: str) -> str:
        return environ.get(PREFIX + variable) or str(section.get(name, ""))

    ca_file = setting("ServiceCaFile", "SERVICE_CA_FILE")
    command, token_file = setting("Command", "COMMAND"), setting("ServiceTokenFile", "SERVICE_TOKEN_FILE")
    token = setting("ServiceToken", "SERVICE_TOKEN")
    if token_file:
        token = (folder / token_file).read_text(encoding="utf-8").rstrip("\r\n")
    service = setting("Service", "SERVICE").rstrip("/")
    return Wanted(
        enable=setting("Enable", "ENABLE").lower() in _YES,
        command=str(folder / command) if command else "",
        service=service,
        token=token if token or service else secrets.token_urlsafe(32),
        ca_file=str(folder / ca_file) if ca_file else "",
        configuration=configuration,
        folder=folder,
        own_credentials=any(
            setting(name, variable)
            for name, variable in (
                ("OrthancUrl", "ORTHANC_URL"),
                ("OrthancUsername", "ORTHANC_USERNAME"),
                ("OrthancAuthorization", "ORTHANC_AUTHORIZATION"),
            )
        ),
    )


def command(wanted: str, here: Path, environ: Mapping[str, str]) -> list[str]:
    """Words that start the service: the program of the settings, of our own environment, or of the PATH."""
    root = here.parents[1]  # site-packages of an environment, or a checkout
    folders = [*root.parents[2:3], root / ".venv"]
    beside = [folder / "bin" / PROGRAM for folder in folders]
    found = next((str(path) for path in beside if path.is_file()), None)
    program = wanted or found or shutil.which(PROGRAM, path=environ.get("PATH")) or PROGRAM
    return [program, "serve", "--embedded"]


def greeting(wanted: Wanted, authorization: Callable[[], str]) -> Callable[[], bytes]:
    """What the service is told when it starts: one line of JSON, which nobody else sees."""
    section = {**(wanted.configuration.get(SECTION) or {}), "Enable": True}
    section.pop("ServiceTokenFile", None)
    section["ServiceToken"] = wanted.token
    known = {name: wanted.configuration[name] for name in HANDED_ON if name in wanted.configuration}

    def line() -> bytes:
        own = {} if wanted.own_credentials else {"OrthancAuthorization": authorization()}
        document = {"configuration": {**known, SECTION: {**section, **own}}, "folder": str(wanted.folder)}
        return json.dumps(document).encode() + b"\n"

    return line


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Environment of the service: that of Orthanc, but for what steers Orthanc's own interpreter, and our token."""
    dropped = {"PYTHONHOME", PREFIX + "SERVICE_TOKEN", PREFIX + "SERVICE_TOKEN_FILE"}
    return {**{k: v for k, v in environ.items() if k not in dropped}, "PYTHONUNBUFFERED": "1", "COLUMNS": "1000"}
