"""Settings: one table, one frozen value."""

from __future__ import annotations

import json
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
    assert [s.name for s in config.SETTINGS if f'"{s.name}"' not in text and s.field not in config.SECRET] == []


def loaded(folder: Path, **section: object) -> config.Settings:
    path = folder / "orthanc.json"
    path.write_text(json.dumps({"Mask2Seg": section}))
    return config.load(path, {})


def test_a_dicomweb_archive_and_its_secrets(tmp_path: Path) -> None:
    """Paths are relative to the file, and no secret is shown."""
    settings = loaded(tmp_path, DicomwebUrl="https://x/dw", DicomwebToken="SECRET", DicomwebCaFile="ca.pem")
    assert settings.dicomweb is not None
    assert (settings.dicomweb.token, settings.dicomweb.ca_file) == ("SECRET", str(tmp_path / "ca.pem"))
    assert "SECRET" not in repr(settings) + repr(settings.dicomweb)
    assert loaded(tmp_path).dicomweb is None
    with pytest.raises(ConfigurationError, match="Username or Token"):
        loaded(tmp_path, DicomwebUrl="https://x", DicomwebUsername="a", DicomwebToken="SECRET")


def test_destinations_are_read(tmp_path: Path) -> None:
    web = {"Kind": "dicomweb", "Url": "https://x:1/dw/", "TokenFile": "token"}
    settings = loaded(tmp_path, Destinations=[web, {"Kind": "peer", "Name": "a"}, {"Kind": "modality", "Name": "a"}])
    assert [d.label for d in settings.destinations] == ["dicomweb:x:1/dw", "peer:a", "modality:a"]
    assert settings.destinations[0].dicomweb is not None
    assert settings.destinations[0].dicomweb.token_file == str(tmp_path / "token")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"Kind": "ftp"}, "Kind"),
        ({"Kind": "peer"}, "Name"),
        ({"Kind": "peer", "Name": "../x"}, "Name"),
        ({"Kind": "peer", "Name": "x", "Url": "http://x"}, "Url"),
        ({"Kind": "dicomweb", "Url": "x"}, "Url"),
        ({"Kind": "dicomweb", "Url": "http://x", "Tokn": "SECRET"}, "Tokn"),
        ({"Kind": "dicomweb", "Url": "http://x", "Token": 7}, "texts"),
        ("peer", "object"),
    ],
)
def test_a_wrong_destination_is_said(tmp_path: Path, wrong: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as told:
        loaded(tmp_path, Destinations=[wrong])
    assert "number 1" in str(told.value)
    assert "SECRET" not in str(told.value)


def test_destinations_that_cannot_be_are_said(tmp_path: Path) -> None:
    peer = {"Kind": "peer", "Name": "a"}
    with pytest.raises(ConfigurationError, match="same name"):
        loaded(tmp_path, Destinations=[peer, peer])
    with pytest.raises(ConfigurationError, match="DicomwebUrl"):
        loaded(tmp_path, Destinations=[peer], DicomwebUrl="http://x")


def test_a_token_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="fewer than 16 characters") as told:
        config.load(environ={"MASK2SEG_SERVICE_TOKEN": "secret"})
    assert "secret" not in str(told.value)
    assert config.load(environ={"MASK2SEG_SERVICE_TOKEN": "s" * 16}).service_token == "s" * 16
