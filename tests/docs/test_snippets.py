"""What the documentation tells people to type and to write works: every block is run, or says why it is not.

Settings are read by the reader of the settings, label tables by `mask2seg convert`, commands by bash on synthetic
folders, Python by Python. The blocks of a page are run in its order, in one folder, as a reader would.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import json5
import pytest
from docs.blocks import Block, blocks_of, pages
from pydicom import Dataset

from orthanc_mask2seg.config import SECTION, SETTINGS, Settings, of_document
from orthanc_mask2seg.config.table import SECRET_FILES
from orthanc_mask2seg.demo.study import make_study, to_bytes
from orthanc_mask2seg.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
MOMENT = datetime(2026, 1, 1)  # noqa: DTZ001 - DICOM's local time
SHELLS = frozenset({"sh", "bash", "console"})
TABLES = frozenset({"csv"})
NAMES = {setting.name for setting in SETTINGS}
SECRET = {"DatabaseUrlFile": "postgresql://user:password@127.0.0.1/mask2seg"}
BLOCKS = {str(page.relative_to(ROOT)): blocks_of(page.read_text("utf-8"), page.name) for page in pages(ROOT)}


class Shown(AssertionError):
    """A block does not do what the page says."""


@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if any(not b.reason for b in blocks)])
def test_every_block_of_a_page_works(page: str, folder: Path) -> None:
    run_page(BLOCKS[page], folder)


def test_there_are_blocks_of_each_kind() -> None:
    """A reader of pages that finds nothing would pass as well."""
    run = [block.language for blocks in BLOCKS.values() for block in blocks if not block.reason]
    assert {"sh", "console", "json", "python", "csv"} <= set(run)
    assert len(run) >= 15


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT, two masks of it, a segmentation, and the commands that a reader has on the PATH."""
    whole = tmp_path_factory.mktemp("prepared")
    place, programs = whole / "here", whole / "bin"
    study = make_study(seed=0, slices=8, size=64, moment=MOMENT)
    _write(place / "ct", study.ct)
    _write(place / "tumour", study.mask)
    for image in study.mask:
        image.SeriesInstanceUID += ".1"
        image.SeriesDescription = "liver mask"
    _write(place / "liver", study.mask)
    programs.mkdir()
    for name, words in {"mask2seg": "-m orthanc_mask2seg", "python": "", "python3": ""}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        program.chmod(0o700)
    run_shell("mask2seg convert --mask tumour --source ct -o seg.dcm", place)
    return whole


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """Where a reader is, to write into."""
    shutil.copytree(prepared, tmp_path / "whole")
    return tmp_path / "whole" / "here"


def _write(into: Path, images: Sequence[Dataset]) -> None:
    into.mkdir(parents=True)
    for number, image in enumerate(images):
        (into / f"{number:03}.dcm").write_bytes(to_bytes(image))


def run_page(blocks: Sequence[Block], folder: Path) -> None:
    """Run all blocks of a page that are not marked."""
    for block in blocks:
        if block.reason:
            continue
        try:
            _run(block, folder)
        except (Shown, ValueError, ConfigurationError) as error:
            raise Shown(f"{block}: {error}") from error


def _run(block: Block, folder: Path) -> None:
    if block.language in SHELLS:
        run_shell(block.text, folder)
    elif block.language == "python":
        _succeed([sys.executable, "-c", block.text], folder)
    elif block.language == "json":
        run_json(block.text, folder)
    elif block.language in TABLES:
        run_table(block.text, folder, block.language)
    else:
        raise Shown(f"nothing runs blocks of the language {block.language!r}: name one, or mark it as not run")


def run_shell(text: str, folder: Path) -> None:
    """As a person types it; the first command that fails ends it."""
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    _succeed(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], folder)


def _succeed(command: list[str], folder: Path, **environment: str) -> None:
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=240,
    )
    if done.returncode:
        raise Shown(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")


def run_json(text: str, folder: Path) -> None:
    """Settings: a whole file, the members of one, the section, or members of the section; or else a label table.

    Members for other parts of Orthanc are the ones of orthanc.json, which the tests start Orthanc with.
    """
    document = _document(text)
    others = json5.loads((ROOT / "orthanc.json").read_text(encoding="utf-8"))
    if set(document) <= set(others) - {SECTION}:
        if document != {name: others[name] for name in document}:
            raise Shown("this is not what orthanc.json says")
    elif set(document) & ({SECTION, "Plugins", "PythonScript"} | NAMES):
        read_settings(document, folder)
    else:
        run_table(text, folder, "json")


def _document(text: str) -> dict[str, Any]:
    whole = text if text.lstrip().startswith("{") else f"{{{text}}}"
    found = json5.loads(whole)
    if not isinstance(found, dict) or not found:
        raise Shown("a JSON object with members is expected")
    return found


def read_settings(document: dict[str, Any], folder: Path) -> Settings:
    """Read them as the service does. Files of secrets are made here: those of the page are on the site's machine alone.

    A block that names no section holds members of it, and nothing that the section does not have.
    """
    outer = document if SECTION in document else {SECTION: document}
    section = dict(outer[SECTION])
    for name in section:
        if name in {_name(field) for field in SECRET_FILES}:
            file = folder / f"{name}.secret"
            file.write_text(SECRET.get(name, "0123456789abcdef" * 2))
            section[name] = str(file)
    return of_document({**outer, SECTION: section}, folder, {})


def _name(field: str) -> str:
    return next(setting.name for setting in SETTINGS if setting.field == field)


def run_table(text: str, folder: Path, ending: str) -> None:
    """Convert a mask with this table of labels: one that is wrong ends with exit code 2."""
    table = folder / f"labels.{ending}"
    table.write_text(text, encoding="utf-8")
    command = "mask2seg convert --mask tumour --source ct -o with_table.dcm"
    _succeed(["bash", "-c", command], folder, MASK2SEG_LABEL_TABLE=str(table))


def _page(language: str, text: str, mark: str = "") -> tuple[Block, ...]:
    return blocks_of(f"# A page\n\n{mark}```{language}\n{text}\n```\n", "a.md")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "mask2seg convert --mask no_such_folder --source ct -o out.dcm"),
        ("sh", "false\ntrue"),
        ("sh", "false | true"),
        ("console", "mask2seg convert --no-such-option"),
        ("python", "import orthanc_mask2seg.no_such_module"),
        ("json", '"Mask2Seg": {"NoSuchSetting": 1}'),
        ("json", '"Mask2Seg": {"Viewers": ["no such viewer"]}'),
        ("json", '"Viewers": ["ohif>=3.11"], "NoSuchSetting": 1'),
        ("json", '"Destinations": [{"Kind": "pigeon", "Name": "a"}]'),
        ("json", '"Mask2Seg": {"Workers": '),
        ("json", '{"outcome": {"name": "converted", "code": "1"}}'),
        ("json", '"OrthancExplorer2": {"CustomButtons": {}}'),
        ("csv", "value,name,code\n1,Herd X,no code"),
        ("yaml", "a: 1"),
        ("", "anything"),
    ],
)
def test_a_block_that_does_not_work_is_seen(language: str, text: str, folder: Path) -> None:
    with pytest.raises(Shown, match=r"a\.md:3"):
        run_page(_page(language, text), folder)


def test_what_is_marked_is_not_run(tmp_path: Path) -> None:
    run_page(_page("sh", "touch run", "<!-- not run: it needs a PACS -->\n"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mark", ["<!-- not run -->\n", "<!-- not run: -->\n", "<!-- not run: far away -->\n\n"])
def test_a_mark_without_a_reason_or_far_away_excuses_nothing(mark: str, tmp_path: Path) -> None:
    with pytest.raises((Shown, ValueError)):
        run_page(_page("sh", "false", mark), tmp_path)


def test_a_block_that_does_not_end_is_seen() -> None:
    with pytest.raises(ValueError, match="does not end"):
        blocks_of("```sh\ntrue\n", "a.md")
