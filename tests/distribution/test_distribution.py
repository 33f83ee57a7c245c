"""What people get: the wheel and the sdist build, hold everything, install, and work away from this tree."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from pydicom import dcmread

import orthanc_mask2seg

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = orthanc_mask2seg.__version__
MAKE_DEMO = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from orthanc_mask2seg.demo.study import make_study, to_bytes
made = make_study(3, slices=8, size=64, moment=datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
for name, series in (("mask", made.mask), ("ct", made.ct)):
    Path(name).mkdir()
    for number, data in enumerate(series):
        Path(name, f"{number}.dcm").write_bytes(to_bytes(data))
"""
IN_PYTHON = """
from orthanc_mask2seg import convert
import orthanc_mask2seg
assert "site-packages" in orthanc_mask2seg.__file__, orthanc_mask2seg.__file__
print(convert("mask", "ct").segmentation.Modality)
"""
TYPED = """
from orthanc_mask2seg import convert, explain

done = convert("mask", "ct", out="seg.dcm")
reveal_type(done)
reveal_type(done.results[0].segments[0].label)
explain("mask")
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def run(*words: object, cwd: Path | None = None, code: int = 0, **env: str) -> str:
    """What a program prints, away from this tree."""
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | env
    done = subprocess.run([str(w) for w in words], cwd=cwd, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def build(tree: Path, into: Path, *kinds: str) -> list[Path]:
    run(sys.executable, "-m", "hatchling", "build", *(f"-t{kind}" for kind in kinds), "-d", into, cwd=tree)
    return sorted(into.iterdir(), key=lambda path: path.suffix)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")[0]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A fresh environment with what is locked and the wheel; the folder of its programs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps"]
    run(*pip, "--require-hashes", "--requirement", ROOT / "requirements/run.lock")
    run(*pip, "--no-index", wheel)
    return folder / "bin"


@pytest.fixture
def place(tmp_path: Path, environment: Path) -> Path:
    """A folder with a mask and its images."""
    run(environment / "python", "-c", MAKE_DEMO, cwd=tmp_path)
    return tmp_path


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "orthanc_mask2seg"
    files = (p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    wanted = {str(path.relative_to(ROOT)) for path in files}
    assert {"orthanc_mask2seg/py.typed", "orthanc_mask2seg/plugin/entry.py"} <= wanted
    assert any(name.startswith("orthanc_mask2seg/web/templates/") for name in wanted)
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        about = f"orthanc_mask2seg-{VERSION}.dist-info"
        metadata = message_from_bytes(opened.read(f"{about}/METADATA"))
        assert "mask2seg = orthanc_mask2seg.cli:main" in opened.read(f"{about}/entry_points.txt").decode()
        assert opened.read(f"{about}/licenses/LICENSE")
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], VERSION)
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_sdist_builds_the_very_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path / "tree", filter="data")
    [tree] = (tmp_path / "tree").iterdir()
    assert {"README.md", "CHANGELOG.md", "LICENSE", "orthanc.json"} <= {path.name for path in tree.iterdir()}
    again = build(tree, tmp_path / "again", "wheel")[0]
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_what_is_installed_is_complete(environment: Path) -> None:
    """Every package that the wheel names is there in a version that it takes."""
    words = [environment / "python", "-m", "pip", "check"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    complaints = [line for line in said.splitlines() if "orthanc-mask2seg" in line]
    assert complaints == []
    assert "z-rad" in said or "No broken requirements" in said


def test_the_command_converts(environment: Path, place: Path) -> None:
    program = environment / "mask2seg"
    assert run(program, "--version") == f"mask2seg {VERSION}\n"
    words = ("convert", "--mask", "mask", "--source", "ct", "-o", "out", "--to", "sr,csv,preview", "--json")
    document = json.loads(run(program, *words, cwd=place))
    assert document["outcome"] == "converted"
    assert [output["kind"] for output in document["outputs"]] == ["SEG", "SR", "CSV", "PREVIEW"]
    assert dcmread(place / document["outputs"][0]["path"]).Modality == "SEG"
    assert run(environment / "python", "-m", "orthanc_mask2seg", "--version") == f"mask2seg {VERSION}\n"


def test_python_converts(environment: Path, place: Path) -> None:
    assert run(environment / "python", "-c", IN_PYTHON, cwd=place) == "SEG\n"


def test_its_types_are_seen_from_outside(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    words = ("-m", "mypy", "--strict", "--no-incremental", "--python-executable", environment / "python", "typed.py")
    said = run(sys.executable, *words, cwd=tmp_path, code=1)
    assert 'Revealed type is "orthanc_mask2seg.api.Conversion"' in said
    assert 'Revealed type is "builtins.str"' in said or 'Revealed type is "str"' in said
    assert 'Missing positional argument "source"' in said
    assert "Found 1 error" in said


def test_the_status_page_is_inside(environment: Path, tmp_path: Path) -> None:
    """The service starts without its PACS, and shows its page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    section = {"OrthancUrl": "http://127.0.0.1:9", "State": "state", "StatusPort": port}
    (tmp_path / "orthanc.json").write_text(json.dumps({"Mask2Seg": section}))
    words = [environment / "mask2seg", "serve", "-c", "orthanc.json", "--json"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    service = subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert service.stdout is not None
        address = json.loads(service.stdout.readline())["serving"]
        assert address.endswith(f":{port}")
        with urllib.request.urlopen(address) as answer:
            text = answer.read().decode()
        assert "<html" in text
        assert "mask2seg" in text
    finally:
        service.terminate()
        assert service.wait(20) == 0


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program uv: the one of make lock, one that is there, or one from the package index."""
    found = ROOT / ".state/uv/bin/uv"
    if found.exists():
        return found
    if there := shutil.which("uv"):
        return Path(there)
    folder = tmp_path_factory.mktemp("uv")
    venv.create(folder, with_pip=True, symlinks=True)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "uv")
    return folder / "bin/uv"


def test_uv_installs_it_as_a_tool(uv: Path, wheel: Path, tmp_path: Path) -> None:
    env = {f"UV_{name}": str(tmp_path / name) for name in ("TOOL_DIR", "TOOL_BIN_DIR", "CACHE_DIR")}
    lock = ROOT / "requirements/run.lock"
    run(uv, "tool", "install", "--python", sys.executable, "--constraints", lock, wheel, **env)
    program = tmp_path / "TOOL_BIN_DIR/mask2seg"
    assert run(program, "--version") == f"mask2seg {VERSION}\n"
