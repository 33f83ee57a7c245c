"""Settings: one table, one frozen value."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from orthanc_mask2seg import config
from orthanc_mask2seg.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / "orthanc.json"
    path.write_text(text)
    return path


def test_every_row_of_the_table_is_an_attribute_and_the_other_way_round() -> None:
    """Table and value cannot drift apart."""
    assert [s.field for s in config.SETTINGS] == [f.name for f in fields(config.Settings)]


def test_one_file_serves_orthanc_and_us(tmp_path: Path) -> None:
    """Comments, trailing commas, environment variables, Orthanc's port and users."""
    path = write(
        tmp_path,
        """
        // a comment
        { "HttpPort": 8099, /* another */
          "RegisteredUsers": {"alice": "${SECRET:-s3cret}"},
          "Mask2Seg": {"SettleSeconds": 3, "State": "here"},
        }
        """,
    )
    settings = config.load(path, {})
    assert settings.orthanc_url == "http://127.0.0.1:8099"
    assert (settings.orthanc_username, settings.orthanc_password) == ("alice", "s3cret")
    assert settings.settle_seconds == 3.0
    assert settings.state == str(tmp_path / "here")
    assert config.load(path, {"SECRET": "other"}).orthanc_password == "other"
    assert "s3cret" not in repr(settings)


def test_the_environment_overrides(tmp_path: Path) -> None:
    """MASK2SEG_SETTLE_SECONDS is SettleSeconds."""
    path = write(tmp_path, '{"Mask2Seg": {"SettleSeconds": 3}}')
    assert config.load(path, {"MASK2SEG_SETTLE_SECONDS": "0.5"}).settle_seconds == 0.5


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    """Without its line end."""
    (tmp_path / "secret").write_text("from a file\n")
    path = write(tmp_path, '{"Mask2Seg": {"OrthancPasswordFile": "secret"}}')
    assert config.load(path, {}).orthanc_password == "from a file"


@pytest.mark.parametrize(
    ("text", "environ", "message"),
    [
        ('{"Mask2Seg": {"SetleSeconds": 3}}', {}, "did you mean SettleSeconds"),
        ('{"Mask2Seg": {"SettleSeconds": "3"}}', {}, "must be of type float"),
        ('{"Mask2Seg": {"SettleSeconds": -1}}', {}, "not allowed"),
        ('{"Mask2Seg": {"Workers": true}}', {}, "must be of type int"),
        ('{"Mask2Seg": []}', {}, "must be JSON objects"),
        ('{"Mask2Seg": ', {}, "not valid JSON"),
        ("{}", {"MASK2SEG_SETLE_SECONDS": "1"}, "did you mean MASK2SEG_SETTLE_SECONDS"),
        ("{}", {"MASK2SEG_WORKERS": "many"}, "must be of type int"),
        ('{"Mask2Seg": {"OrthancPasswordFile": "nowhere"}}', {}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, environ: dict[str, str], message: str) -> None:
    """An unknown key is an error with a suggestion; a bad value says what is allowed."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        config.load(write(tmp_path, text), environ)


def test_a_secret_is_never_in_a_message(tmp_path: Path) -> None:
    """Not even when its type is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        config.load(write(tmp_path, '{"Mask2Seg": {"OrthancPassword": 987654321}}'), {})
    assert "987654321" not in str(caught.value)


def test_the_shipped_file_names_every_setting() -> None:
    """orthanc.json in the root loads, and shows each setting that a site would touch."""
    config.load(ROOT / "orthanc.json", {})
    text = (ROOT / "orthanc.json").read_text()
    assert [
        s.name
        for s in config.SETTINGS
        if f'"{s.name}"' not in text and s.name not in {"OrthancPassword", "ServiceToken"}
    ] == []
