"""From Orthanc's configuration to what the service is told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.plugin import setup
from orthanc_mask2seg.service import embedded

TOKEN = "Bearer of-orthanc"


def told(configuration, folder, environ=None):
    """The settings that the service reads from what the plugin hands over."""
    environ = environ or {}
    wanted = setup.read(configuration, str(folder / "orthanc.json"), environ)
    line = setup.greeting(wanted, lambda: TOKEN)()
    assert line.count(b"\n") == 1
    return wanted, embedded.read(io.BytesIO(line), setup.environment(environ))


def test_enable_is_all_that_it_takes(tmp_path):
    configuration = {"HttpPort": 8099, "RegisteredUsers": {"a": "secret"}, "IndexDirectory": "index",
                     "Mask2Seg": {"Enable": True}}  # fmt: skip
    wanted, settings = told(configuration, tmp_path)
    assert wanted.enable
    assert settings.orthanc_url == "http://127.0.0.1:8099"
    assert settings.orthanc_authorization == TOKEN
    assert (settings.orthanc_username, settings.orthanc_password) == ("", "")
    assert settings.state == str(tmp_path / "index" / "mask2seg")
    assert settings.service_token == wanted.token
    assert len(wanted.token) > 30
    assert wanted.token not in repr(settings)
    assert TOKEN not in repr(settings)


def test_what_the_site_says_goes_before(tmp_path):
    (tmp_path / "secret").write_text("shared by the two of them\n")
    section = {"Enable": True, "OrthancUsername": "a", "State": "here", "ServiceTokenFile": "secret", "Workers": 3}
    wanted, settings = told({"Mask2Seg": section}, tmp_path)
    assert settings.orthanc_authorization == ""
    assert settings.orthanc_username == "a"
    assert settings.state == str(tmp_path / "here")
    assert settings.workers == 3
    assert wanted.token == settings.service_token == "shared by the two of them"


def test_the_environment_counts_here_too(tmp_path):
    environ = {"MASK2SEG_ENABLE": "1", "MASK2SEG_SERVICE": "http://h:1/", "MASK2SEG_SERVICE_TOKEN": "t"}
    wanted = setup.read({}, str(tmp_path), environ)
    assert (wanted.enable, wanted.service, wanted.token) == (True, "http://h:1", "t")
    assert not setup.read({}, "", {}).enable
    assert not setup.read({"Mask2Seg": {"Enable": False}}, "", {}).enable


def test_a_mistake_is_said_by_the_service(tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean Workers"):
        told({"Mask2Seg": {"Enable": True, "Wokers": 1}}, tmp_path)
    with pytest.raises(ConfigurationError, match="for Orthanc's plugin"):
        embedded.read(io.BytesIO(b""), {})


def test_the_program_is_that_of_the_plugin(tmp_path):
    site = tmp_path / "venv/lib/python3.11/site-packages/orthanc_mask2seg/plugin"
    checkout = tmp_path / "checkout/orthanc_mask2seg/plugin"
    for program in (tmp_path / "venv/bin/mask2seg", tmp_path / "checkout/.venv/bin/mask2seg", tmp_path / "p/mask2seg"):
        program.parent.mkdir(parents=True)
        program.write_text("")
        program.chmod(0o755)
    environ = {"PATH": str(tmp_path / "p")}
    assert setup.command("", site, environ)[0] == str(tmp_path / "venv/bin/mask2seg")
    assert setup.command("", checkout, environ)[0] == str(tmp_path / "checkout/.venv/bin/mask2seg")
    assert setup.command("", Path("/a/b/c"), environ)[0] == str(tmp_path / "p/mask2seg")
    assert setup.command("/my/own", site, environ) == ["/my/own", "serve", "--embedded"]


def test_the_environment_of_orthancs_interpreter_stays_there():
    given = {"PYTHONHOME": "/orthanc", "PATH": "/bin", "MASK2SEG_SERVICE_TOKEN": "t", "MASK2SEG_WORKERS": "2"}
    left = setup.environment(given)
    assert set(left) == {"PATH", "MASK2SEG_WORKERS", "PYTHONUNBUFFERED", "COLUMNS"}
    assert json.dumps(left)
