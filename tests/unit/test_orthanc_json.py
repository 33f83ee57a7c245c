"""orthanc.json, the file that a newcomer starts with and copies from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import json5

from orthanc_mask2seg import config

TEXT = (Path(__file__).resolve().parents[2] / "orthanc.json").read_text(encoding="utf-8")
COMMENTED_SETTING = re.compile(r'^    // ("\w+":.*)$', re.MULTILINE)
EXAMPLES = {"Rules", "Destinations"}
"""Settings whose default is nothing to look at."""


def commented() -> dict[str, Any]:
    """Return the settings that are there as comments."""
    found: dict[str, Any] = {}
    for line in COMMENTED_SETTING.findall(TEXT):
        found |= json5.loads(f"{{{line}\n}}")
    return found


def test_names_every_setting() -> None:
    named = {*commented(), *json5.loads(TEXT)["Mask2Seg"]}
    secret = {s.name for s in config.SETTINGS if s.field in config.SECRET}  # a file is the better way
    assert named - {"OrthancAuthorization", "Webhooks"} == {s.name for s in config.SETTINGS} - secret


def test_comments_show_the_defaults() -> None:
    defaults = config.Settings()
    shown = {name: value for name, value in commented().items() if name not in EXAMPLES}
    wanted = {s.name: getattr(defaults, s.field) for s in config.SETTINGS if s.name in shown}
    assert shown == {name: list(value) if isinstance(value, tuple) else value for name, value in wanted.items()}


def test_what_is_commented_out_may_be_switched_on(tmp_path: Path) -> None:
    file = tmp_path / "orthanc.json"
    file.write_text(json.dumps({"Mask2Seg": commented()}), encoding="utf-8")
    assert config.load(file, {}).rules


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
