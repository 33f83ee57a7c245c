"""Every gate of `make lint` bites: each test plants a violation in a copy of the tree and sees the gate complain.

A gate that matches nothing looks exactly like one that is kept, so each is also shown to be silent about a planted
file that breaks no rule.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = "orthanc_mask2seg"
CONTRACTS = {contract["name"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
WITHOUT_LAYERS = [name for name, contract in CONTRACTS.items() if contract["type"] == "forbidden"]


class Answer(NamedTuple):
    """What a gate said."""

    passed: bool
    text: str


class Copy(NamedTuple):
    """A copy of the package and of the rules."""

    root: Path

    def plant(self, path: str, text: str) -> str:
        """Add text to the end of a file of the package, new or not; its path as the gates want it."""
        file = self.root / PACKAGE / path
        with file.open("a", encoding="utf-8") as output:
            output.write(text)
        return str(file.relative_to(self.root))

    def ask(self, *words: str) -> Answer:
        """Run a gate in the copy."""
        done = subprocess.run([BIN / words[0], *words[1:]], cwd=self.root, capture_output=True, text=True, check=False)
        return Answer(done.returncode == 0, done.stdout + done.stderr)

    def broken_contracts(self) -> tuple[set[str], str]:
        """Names of the import contracts that do not hold, and the report."""
        answer = self.ask("lint-imports", "--no-cache")
        verdicts = dict(re.findall(rf"^({'|'.join(CONTRACTS)}) (\w+)", answer.text, re.MULTILINE))
        assert verdicts.keys() == CONTRACTS.keys(), answer.text
        return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}, answer.text


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return Copy(tmp_path)


CLEAN = '"""A planted module."""\n\nfrom orthanc_mask2seg.errors import Mask2SegError\n\n__all__ = ["Mask2SegError"]\n'


BROAD = '"""Hide every fault."""\n\ntry:\n    print()\nexcept Exception:\n    pass\n'


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        (CLEAN + "\nimport os\n", "F401"),
        ('"""Public, and not documented."""\n\n\ndef f(a: int) -> int:\n    return a\n', "D103"),
        (BROAD, "BLE001"),
    ],
)
def test_ruff_bites(copy: Copy, planted: str, rule: str) -> None:
    assert copy.ask("ruff", "check", copy.plant("pacs/planted_clean.py", CLEAN)).passed
    answer = copy.ask("ruff", "check", copy.plant("pacs/planted.py", planted))
    assert not answer.passed
    assert rule in answer.text


def test_ruff_format_bites(copy: Copy) -> None:
    assert copy.ask("ruff", "format", "--check", copy.plant("pacs/planted_clean.py", CLEAN)).passed
    answer = copy.ask("ruff", "format", "--check", copy.plant("pacs/planted.py", CLEAN + "x = { 1:2 }\n"))
    assert not answer.passed
    assert "would be reformatted" in answer.text


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ("def f(a): return a\n", "no-untyped-def"),
        ("def f() -> int:\n    return ''\n", "return-value"),
        ("def f(a: int) -> None:\n    if not isinstance(a, int):\n        print(a)\n", "unreachable"),
        ("def f(a: dict) -> None: ...\n", "type-arg"),
    ],
)
def test_mypy_bites(copy: Copy, planted: str, complaint: str) -> None:
    assert copy.ask("mypy", copy.plant("pacs/planted_clean.py", CLEAN)).passed
    answer = copy.ask("mypy", copy.plant("pacs/planted.py", planted))
    assert not answer.passed
    assert complaint in answer.text


def test_import_contracts_hold_with_a_file_that_keeps_them(copy: Copy) -> None:
    copy.plant("pacs/planted.py", CLEAN)
    broken, report = copy.broken_contracts()
    assert broken == set(), report


@pytest.mark.parametrize(
    ("path", "planted"),
    [
        ("pacs/planted.py", "from orthanc_mask2seg import service\n"),
        ("pacs/planted.py", "from orthanc_mask2seg import jobs\n"),
        ("errors.py", "from orthanc_mask2seg import model\n"),
        ("service/planted.py", "import orthanc_mask2seg.web\n"),
        ("utils.py", "X = 1\n"),
        ("helpers/__init__.py", "X = 1\n"),
    ],
    ids=["upwards", "sideways", "lowest", "web", "stray-file", "stray-folder"],
)
def test_contract_imports_point_one_way_bites(copy: Copy, path: str, planted: str) -> None:
    (copy.root / PACKAGE / path).parent.mkdir(exist_ok=True)
    copy.plant(path, planted)
    broken, report = copy.broken_contracts()
    assert broken == {"Imports point one way"}
    assert Path(path).parts[0].removesuffix(".py") in report


@pytest.mark.parametrize(
    ("path", "planted"),
    [
        ("core/geometry.py", "from orthanc_mask2seg.core import convert\n"),
        ("core/segments.py", "from orthanc_mask2seg.core import encode\n"),
        ("core/utils.py", "X = 1\n"),
    ],
    ids=["end-to-start", "one-back", "stray-file"],
)
def test_contract_the_core_is_one_straight_line_bites(copy: Copy, path: str, planted: str) -> None:
    copy.plant(path, planted)
    broken, _ = copy.broken_contracts()
    assert broken == {"The core is one straight line"}


def test_contract_commands_do_not_know_each_other_bites(copy: Copy) -> None:
    copy.plant("cli/jobs.py", "from orthanc_mask2seg.cli import demo\n")
    broken, _ = copy.broken_contracts()
    assert broken == {"Commands do not know each other"}


@pytest.mark.parametrize(
    ("path", "planted"),
    [
        ("outputs/regions.py", "from orthanc_mask2seg.outputs import report\n"),
        ("outputs/rtstruct.py", "from orthanc_mask2seg.outputs import volumes\n"),
        ("outputs/utils.py", "X = 1\n"),
    ],
    ids=["one-back", "sideways", "stray-file"],
)
def test_contract_each_output_is_made_by_itself_bites(copy: Copy, path: str, planted: str) -> None:
    copy.plant(path, planted)
    broken, _ = copy.broken_contracts()
    assert broken == {"Each output is made by itself"}


@pytest.mark.parametrize("name", WITHOUT_LAYERS)
def test_contract_that_forbids_modules_bites_in_every_room_for_every_module(copy: Copy, name: str) -> None:
    rooms = [room.removeprefix(f"{PACKAGE}.") for room in CONTRACTS[name]["source_modules"]]
    modules = CONTRACTS[name]["forbidden_modules"]
    for room in rooms:
        copy.plant(f"{room}/__init__.py" if (ROOT / PACKAGE / room).is_dir() else f"{room}.py", _imports(modules))
    broken, report = copy.broken_contracts()
    assert name in broken
    for room in rooms:
        for module in modules:
            assert f"{PACKAGE}.{room} is not allowed to import {module}:" in report


@pytest.mark.parametrize(
    ("name", "door"), [("Only pacs speaks HTTP to archives", "pacs"), ("Only jobs speaks to a database", "jobs")]
)
def test_contract_of_one_door_leaves_no_room_out(name: str, door: str) -> None:
    rooms = {
        path.stem for path in (ROOT / PACKAGE).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    held = {room.removeprefix(f"{PACKAGE}.") for room in CONTRACTS[name]["source_modules"]}
    assert held == rooms - {door, "__init__", "__main__"}


def test_every_contract_has_a_test_here() -> None:
    with_layers = {name for name, contract in CONTRACTS.items() if contract["type"] == "layers"}
    assert with_layers == {
        "Imports point one way",
        "Commands do not know each other",
        "The core is one straight line",
        "Each output is made by itself",
    }
    assert all(CONTRACTS[name]["exhaustive"] for name in with_layers)
    assert with_layers | set(WITHOUT_LAYERS) == CONTRACTS.keys()


def test_make_lint_asks_every_gate_about_the_whole_tree() -> None:
    asked = subprocess.run(["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for gate in ("ruff check .", "ruff format --check .", "mypy", "mypy scripts", "lint-imports"):
        assert f".venv/bin/{gate}" in asked.splitlines()
    assert PYPROJECT["tool"]["mypy"]["packages"] == [PACKAGE]


def test_continuous_integration_asks_make() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in script
    without_packaging = 'make test-all ARGS="--ignore tests/distribution --ignore tests/images"'
    assert [line for line in script if line.startswith("make ")] == ["make lint", without_packaging, "make audit"]


def _imports(modules: list[str]) -> str:
    return "".join(f"import {module}\n" for module in modules)
