"""The real Orthanc, as a Debian suite ships it: gets it once into .state/debian, and says how to start it."""

from __future__ import annotations

import os
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parent.parent
SUITE = "trixie"
"""Orthanc 1.12.7. Others to choose from: bookworm has 1.10.1, sid 1.13.0."""

PACKAGES = ("orthanc", "orthanc-dicomweb", "orthanc-python")


WITH_POSTGRESQL = (*PACKAGES, "orthanc-postgresql")


def fetch(suite: str = SUITE, *, postgresql: bool = False) -> Path:
    """Folder of the unpacked Orthanc, with its plugins for PostgreSQL if wanted; downloads it where it is absent."""
    folder = ROOT / ".state" / "debian"
    if postgresql:
        return get_debian.fetch(suite, WITH_POSTGRESQL, folder / f"{suite}-orthanc-postgresql")
    return get_debian.fetch(suite, PACKAGES, folder / f"{suite}-orthanc")


def command(tree: Path, configuration: Path) -> list[str]:
    """Words that start Orthanc."""
    return get_debian.command(tree, "usr/sbin/Orthanc", str(configuration))


def environment(tree: Path) -> dict[str, str]:
    """Environment that Orthanc is started in: its own DICOM dictionary and plugins."""
    folder = next((tree / "usr/share").glob("*dcmtk*/dicom.dic")).parent  # bookworm has the library's version in it
    dictionaries = (folder / name for name in ("dicom.dic", "private.dic"))
    return {**os.environ, "DCMDICTPATH": ":".join(map(str, dictionaries)), "ORTHANC_PLUGINS": str(plugins(tree))}


def plugins(tree: Path) -> Path:
    """Folder of the plugins (libOrthancDicomWeb.so, libOrthancPython.so)."""
    return tree / "usr/share/orthanc/plugins"
