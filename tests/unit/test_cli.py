"""The command line's own part: faults in one form, and tables that can be copied from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from typer.testing import CliRunner

from orthanc_mask2seg import cli, config
from orthanc_mask2seg.core import convert as core
from orthanc_mask2seg.jobs import reader as module
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import Job, JobRequest, JobState
from orthanc_mask2seg.model import ArchiveKey, Uid
from tests.builders import study, to_bytes

COMMANDS = [("list",), ("show", "a1b2"), ("retry", "a1b2"), ("undo", "a1b2", "--yes")]


def invoke(*words: object) -> Any:
    return CliRunner().invoke(cli.app, [str(w) for w in words])


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "load", lambda _: config.Settings(state=str(tmp_path)))
    return tmp_path


@pytest.mark.parametrize("content", [None, b"", b"no database " * 1000], ids=["no tables of jobs", "empty", "damaged"])
@pytest.mark.parametrize("words", COMMANDS)
def test_a_history_that_cannot_be_read_is_said_so(words: tuple[str, ...], content: bytes | None, state: Path) -> None:
    if content is None:
        SqlLedger(state).close()
    else:
        (state / "mask2seg.sqlite").write_bytes(content)
    done = invoke("jobs", *words, "--json")
    assert done.exit_code == 4
    document = json.loads(done.stdout)
    assert (document["outcome"], document["reason"]) == ("failed", "state_error")
    assert "mask2seg serve" in document["hint"]
    assert "Traceback" not in done.output


def test_job_ids_are_never_cut(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a narrow terminal the other columns give way."""
    request = JobRequest(
        series_key=ArchiveKey("k"), series_instance_uid=Uid("1." * 31 + "1"), study_instance_uid=Uid("1.2"), version="v"
    )
    error = {"outcome": "failed", "reason": "archive_unreachable", "detail": "The PACS cannot be reached. " * 5}
    jobs = tuple(Job(id=f"{n}" * 24, request=request, state=JobState.FAILED, error=error) for n in range(3))

    class Reader:
        engine = sqlalchemy.create_engine("sqlite://")

        def close(self) -> None:
            pass

        def __init__(self, _state: Path, _url: str) -> None:
            pass

        def list(self, limit: int) -> tuple[Job, ...]:
            assert limit == 50
            return jobs

    monkeypatch.setattr(module, "JobReader", Reader)
    for columns in ("50", "80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        done = invoke("jobs", "list")
        assert done.exit_code == 0
        for job in jobs:
            assert job.id in done.stdout


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_an_unforeseen_fault_tells_its_place_and_never_its_message(
    as_json: bool, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study()
    for name, series in (("mask", made.mask), ("ct", made.image)):
        (tmp_path / name).mkdir()
        for number, data in enumerate(series):
            (tmp_path / name / f"{number}.dcm").write_bytes(to_bytes(data))

    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError("Canary^Patient")

    monkeypatch.setattr(config, "load", lambda _: config.Settings(log_level=level))
    monkeypatch.setattr(core, "encode", stumble)
    words = ("convert", "--mask", tmp_path / "mask", "--source", tmp_path / "ct", "-o", tmp_path / "out.dcm")
    done = invoke(*words, *(["--json"] if as_json else []))
    assert done.exit_code == 4
    assert "internal_error" in done.output
    assert "Canary" not in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out.dcm").exists()
    if as_json:
        document = json.loads(done.stdout)
        assert (document["outcome"], document["reason"]) == ("failed", "internal_error")
        kind, _, place = document["detail"].partition(" at ")
        assert kind == "ZeroDivisionError"
        assert place.startswith("core/convert.py:")
        assert "report" in document["hint"]


def test_help_and_version_are_no_faults() -> None:
    assert invoke("--version").exit_code == 0
    assert invoke("convert", "--help").exit_code == 0
    assert invoke("convert", "--no-such-option").exit_code == 2
