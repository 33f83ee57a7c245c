"""Getting the viewer and the browser: only the very file that is expected, and Debian's own where nothing is there."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import get_browser
import get_debian
import get_ohif
import pytest


def packed(folder: Path, text: str = "<html>") -> Path:
    """A package as npm packs it, with a file that wants to be elsewhere."""
    archive = folder / "ohif-app.tgz"
    with tarfile.open(archive, "w:gz") as file:
        for name in ("package/dist/index.html", "package/README.md", "package/dist/app.js.map"):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            file.addfile(member, io.BytesIO(text.encode()))
    return archive


def test_takes_what_is_expected_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pack(package: str, folder: Path) -> Path:
        asked.append(package)
        return packed(folder)

    monkeypatch.setattr(get_ohif, "_pack", pack)
    monkeypatch.setattr(get_ohif, "check", lambda *_: None)
    for _ in range(2):
        into = get_ohif.fetch("3.13.2", tmp_path)
        assert [p.name for p in into.iterdir()] == ["index.html"]
    assert asked == ["@ohif/app@3.13.2"]


@pytest.mark.parametrize(("words", "versions"), [([], list(get_ohif.INTEGRITY)), (["3.11.1"], ["3.11.1"])])
def test_without_a_version_it_gets_all(words: list[str], versions: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[str] = []
    monkeypatch.setattr(get_ohif, "fetch", got.append)
    monkeypatch.setattr(get_ohif.sys, "argv", ["get_ohif.py", *words])
    get_ohif.main()
    assert got == versions


def test_refuses_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_ohif, "_pack", lambda _package, folder: packed(folder))
    with pytest.raises(get_ohif.GetOhifError, match="not the file that is expected"):
        get_ohif.fetch("3.13.2", tmp_path)
    assert not (tmp_path / "3.13.2").exists()


def test_npm_comes_from_debian_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(suite: str, packages: list[str], into: Path) -> Path:
        asked.append((suite, packages, into.name))
        return tmp_path

    brought = tmp_path / ".venv/lib/python3.11/site-packages/playwright/driver/node"
    brought.parent.mkdir(parents=True)
    brought.touch()
    monkeypatch.setattr(get_ohif, "ROOT", tmp_path)
    monkeypatch.setattr(get_ohif.shutil, "which", lambda _: None)
    monkeypatch.setattr(get_debian, "fetch", fetch)
    words, environment = get_ohif.npm()
    suite = get_debian.own_suite()
    assert asked == [(suite, ["npm"], f"{suite}-npm")]
    assert words == [str(brought), str(tmp_path / "usr/share/nodejs/npm/bin/npm-cli.js")]
    assert environment["NODE_PATH"] == str(tmp_path / "usr/share/nodejs")


def test_browser_of_a_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but root installs anything; the script runs what is in the folder with its own libraries."""
    program = tmp_path / "usr/lib/chromium/chromium"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH $@"\n')
    program.chmod(0o755)
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir()
    monkeypatch.setattr(get_browser.shutil, "which", lambda _: None)
    monkeypatch.setattr(get_browser.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(get_debian, "fetch", lambda *_: tmp_path)
    script = get_browser.fetch()
    said = get_browser.subprocess.run([script, "--headless"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{tmp_path}/usr/lib/x86_64-linux-gnu:{tmp_path}/usr/lib --headless"


def test_lock_of_node_names_no_address() -> None:
    text = (Path(get_ohif.ROOT) / "tests" / "readers" / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)
