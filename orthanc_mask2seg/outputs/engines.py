"""Which program computes radiomics."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


class EngineName(StrEnum):
    """Programs that compute radiomics, the one that is asked first in front."""

    ZRAD = "z-rad"
    PYRADIOMICS = "pyradiomics"


_MODULES = {EngineName.ZRAD: "zrad", EngineName.PYRADIOMICS: "radiomics"}


def engine_version(engine: EngineName) -> str | None:
    """Version of an engine; None where it is not installed."""
    if find_spec(_MODULES[engine]) is None:
        return None
    try:
        return version(engine)
    except PackageNotFoundError:
        return None


def engine_of(wanted: str) -> EngineName | None:
    """The engine of that name, or the first that is installed where none is named; None where it is not there."""
    for engine in EngineName:
        if wanted in {"", engine} and engine_version(engine) is not None:
            return engine
    return None
