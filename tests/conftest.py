"""Fixtures that every room's tests share: a real Orthanc, the cases of shared/data, an independent DICOM checker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import get_debian
import pytest
from orthanc_server import OrthancServer
from postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parent.parent


class Dicom3Tools(NamedTuple):
    """Programs of Debian's dicom3tools: `dciodvfy FILE` checks one instance, `dcentvfy FILE...` several together."""

    dciodvfy: Path
    dcentvfy: Path


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    """A fresh and empty Orthanc (trixie, DICOMweb, with a password) for one test, which may kill it."""
    server = OrthancServer(tmp_path / "orthanc")
    try:
        yield server.start()
    finally:
        server.kill()  # at once: what it stored goes, too


@pytest.fixture(scope="session")
def shared_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """One Orthanc for all tests that only add to it and look for their own."""
    server = OrthancServer(tmp_path_factory.mktemp("shared_orthanc"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def shared_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests, each with a database of its own (`create_database`)."""
    server = PostgresServer(tmp_path_factory.mktemp("shared_postgres"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL for one test, which may kill it."""
    server = PostgresServer(tmp_path / "postgres")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def set_a() -> Path:
    """Folder of the ten cases with known truth, beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the cases are not here: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def dicom3tools() -> Dicom3Tools:
    """The independent checker of DICOM conformance, as Debian ships it."""
    tree = get_debian.fetch("bookworm", ["dicom3tools"], ROOT / ".state" / "debian" / "bookworm-dicom3tools")
    return Dicom3Tools(*(get_debian.wrapper(tree, f"usr/bin/{name}") for name in ("dciodvfy", "dcentvfy")))
