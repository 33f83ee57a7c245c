"""The lock files: complete, hashed, and without the address of anybody's package index."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN = (ROOT / "requirements" / "run.lock").read_text(encoding="utf-8")
DEV = (ROOT / "requirements" / "dev.lock").read_text(encoding="utf-8")
AUDIT = (ROOT / "requirements" / "audit.lock").read_text(encoding="utf-8")
FUZZ = (ROOT / "requirements" / "fuzz.lock").read_text(encoding="utf-8")


NAME = r"[a-z0-9-]+(?:\[[a-z0-9,-]+\])?"


def pins(lock: str) -> set[str]:
    """Return the lines that pin a version, as `name==version ; marker`."""
    return set(re.findall(rf"^({NAME}==.*?) \\$", lock, re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in requirements}


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group, with those of the groups that it includes."""
    found = []
    for entry in PYPROJECT["dependency-groups"][name]:
        found.extend(group(entry["include-group"]) if isinstance(entry, dict) else [entry])
    return found


@pytest.mark.parametrize(("lock", "groups"), [(RUN, ["build"]), (DEV, ["build", "dev"])], ids=["run", "dev"])
def test_pins_whatever_the_project_names(lock: str, groups: list[str]) -> None:
    wanted = names([*PYPROJECT["project"]["dependencies"], *(entry for name in groups for entry in group(name))])
    assert wanted <= {pin.partition("==")[0].partition("[")[0] for pin in pins(lock)}, "run make lock"


def test_developers_have_the_versions_that_run() -> None:
    everywhere = {pin for pin in pins(DEV) if ";" not in pin}
    missing = {pin for pin in pins(RUN) - pins(DEV) if pin.partition(" ;")[0] not in everywhere}
    assert not missing, "run make lock"


@pytest.mark.parametrize(("lock", "name"), [(AUDIT, "audit"), (FUZZ, "fuzz")], ids=["audit", "fuzz"])
def test_tools_apart_are_pinned_too(lock: str, name: str) -> None:
    assert names(group(name)) <= {pin.partition("==")[0] for pin in pins(lock)}, "run make lock"


@pytest.mark.parametrize("lock", [RUN, DEV, AUDIT, FUZZ], ids=["run", "dev", "audit", "fuzz"])
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    blocks = re.split(rf"^(?={NAME}==)", lock, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(lock))
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|^-", lock, re.MULTILINE)


def test_extras_are_pinned_by_name() -> None:
    """What a package asks of another with an extra: else pip 23 takes it for unpinned once a newer release is out."""
    pinned = {pin.partition("==")[0] for pin in pins(DEV)}
    asked = [Requirement(line) for package in distributions() for line in package.requires or ()]
    needed = {
        f"{one.name.lower()}[{','.join(sorted(one.extras))}]"
        for one in asked
        if one.extras and (one.marker is None or one.marker.evaluate({"extra": ""}))
    }
    assert "coverage[toml]" in needed
    assert needed <= pinned
