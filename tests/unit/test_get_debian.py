"""Getting Debian packages: which mirror, and what happens when it cannot be done. Nothing is downloaded here."""

from __future__ import annotations

import json
from pathlib import Path

import get_debian
import pytest

ONE_LINE = """
# a comment
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://one.example/debian/ bookworm main
deb-src http://source.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb http://stranger.example/apt bookworm main
deb http://stranger.example/debian stable-extras main
deb mirror+file:/etc/apt/mirrors/debian.list bookworm main
"""
DEB822 = """
Types: deb
# a comment
URIs: http://two.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://node.example/node_20.x
Suites: nodistro
Components: main
"""


@pytest.fixture
def apt_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the source lists that apt believes to be this machine's."""
    parts = tmp_path / "etc" / "sources.list.d"
    parts.mkdir(parents=True)
    (tmp_path / "lists").mkdir()
    settings = {"Dir::Etc": tmp_path / "etc", "Dir::State::lists": tmp_path / "lists"}
    configuration = tmp_path / "apt.conf"
    configuration.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    return parts


def test_finds_the_mirror_in_sources_of_both_formats(apt_sources: Path) -> None:
    (apt_sources / "a.list").write_text(ONE_LINE)
    (apt_sources / "b.sources").write_text(DEB822)
    expected = {"http://one.example/debian", "mirror+file:/etc/apt/mirrors/debian.list", "http://two.example/debian"}
    assert set(get_debian.mirrors()) == expected


def test_says_that_no_mirror_is_known(apt_sources: Path, tmp_path: Path) -> None:
    (apt_sources / "ubuntu.list").write_text("deb http://else.example/ubuntu noble main\n")
    with pytest.raises(get_debian.GetDebianError, match="no mirror of the Debian archive; give one with --mirror"):
        get_debian.fetch("trixie", ["orthanc"], tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_says_that_this_is_not_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(get_debian.GetDebianError, match="apt-get is not there"):
        get_debian.fetch("trixie", ["orthanc"], tmp_path / "into")


def test_says_that_the_keyring_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_debian, "KEYRINGS", (tmp_path / "keyring.gpg",))
    with pytest.raises(get_debian.GetDebianError, match="apt-get install debian-archive-keyring"):
        get_debian.fetch("trixie", ["orthanc"], tmp_path / "into")


def test_tries_again_and_then_says_what_apt_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(get_debian, "PAUSES_S", (0,))
    with pytest.raises(get_debian.GetDebianError, match=r"Failed to fetch http://127\.0\.0\.1:9/.*onnect"):
        get_debian.fetch("trixie", ["orthanc"], tmp_path / "into", mirror="http://127.0.0.1:9/debian")
    assert capsys.readouterr().out.count("trying again") == 1
    assert [path.name for path in tmp_path.iterdir()] == [".into.lock"]


def test_is_done_when_the_packages_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "into").mkdir()
    stamp = json.dumps({"suite": "sid", "packages": ["a", "b"]})
    (tmp_path / "into" / get_debian.STAMP).write_text(stamp)
    monkeypatch.setenv("PATH", "")
    assert get_debian.fetch("sid", ["b", "a"], tmp_path / "into") == tmp_path / "into"
    with pytest.raises(get_debian.GetDebianError):
        get_debian.fetch("sid", ["c"], tmp_path / "into")


def test_runs_programs_with_their_own_loader(tmp_path: Path) -> None:
    libraries = tmp_path / "usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    (libraries / "ld-linux-x86-64.so.2").touch()
    words = get_debian.command(tmp_path, "usr/sbin/Orthanc", "orthanc.json")
    assert words[0] == str(libraries / "ld-linux-x86-64.so.2")
    assert words[1:3] == ["--library-path", f"{libraries}:{tmp_path / 'usr/lib'}"]
    assert words[3:] == [str(tmp_path / "usr/sbin/Orthanc"), "orthanc.json"]
