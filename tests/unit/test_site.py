"""The documentation builds as a site without a warning, reaches every page, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make site` does."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(folder / "mkdocs.yml")]
    return subprocess.run(
        [*command, "--site-dir", str(into)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources of the site, to break."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def test_it_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Every page of docs/ is there; no script, style, font or picture has an address of another host."""
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        written = (tmp_path / "site" / page.relative_to(ROOT / "docs")).with_suffix(".html")
        assert written.is_file()
        loaded = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)", written.read_text()
        )
        assert loaded == []
    for style in (tmp_path / "site").rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", style.read_text()) == []


@pytest.mark.parametrize(
    ("page", "text", "said"),
    [
        ("faults.md", "", 'not included in the "nav"'),
        ("index.md", "[gone](no_such_page.md)", "no_such_page.md"),
        ("index.md", "[gone](design.md#no-such-heading)", "no-such-heading"),
        ("index.md", "![gone](pictures/no_such_picture.png)", "no_such_picture.png"),
        ("index.md", "[gone](../README.md)", "README.md"),
    ],
)
def test_what_is_broken_fails(copy: Path, page: str, text: str, said: str) -> None:
    """A link, an anchor, a picture, a page that nothing leads to."""
    with (copy / "docs" / page).open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    done = build(copy, copy / "site")
    assert done.returncode != 0
    assert said in done.stderr


def test_the_copy_itself_builds(copy: Path) -> None:
    """So the test above fails by what it adds alone."""
    assert build(copy, copy / "site").returncode == 0
