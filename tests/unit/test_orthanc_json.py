"""orthanc.json, the file that a newcomer starts with and copies from."""

from __future__ import annotations

import re
from pathlib import Path

import json5

from orthanc_mask2seg import config

TEXT = (Path(__file__).resolve().parents[2] / "orthanc.json").read_text(encoding="utf-8")
SECTION = TEXT[TEXT.index('"Mask2Seg"') :]


def test_names_every_setting() -> None:
    shown = set(re.findall(r'"(\w+)":', SECTION)) - {"Mask2Seg"}
    assert shown == {setting.name for setting in config.SETTINGS} - {"OrthancPassword"}  # a file is the better way


def test_comments_show_the_defaults() -> None:
    shown = {
        name: json5.loads(value) for name, value in re.findall(r'^    // "(\w+)": ([^,\s]+)', SECTION, re.MULTILINE)
    }
    defaults = config.Settings()
    assert shown == {s.name: getattr(defaults, s.field) for s in config.SETTINGS if s.name in shown}
    assert len(shown) == len(config.SETTINGS) - 2


def test_is_a_configuration_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "orthanc.json"
    file.write_text(TEXT, encoding="utf-8")
    settings = config.load(file, {})
    assert settings.orthanc_url == "http://127.0.0.1:8042"
    assert settings.state == str(tmp_path / ".state/run/mask2seg")
    assert not settings.orthanc_username


def test_lets_nobody_in_from_elsewhere() -> None:
    document = json5.loads(TEXT)
    assert document["RemoteAccessAllowed"] is False
    assert document["DicomServerEnabled"] is False
    assert document["DicomWeb"]["SeriesMetadata"] == "Full"
