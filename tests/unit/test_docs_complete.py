"""Nothing that a person can set, call or be told is missing in the documentation, and nothing in it is gone."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
from starlette.routing import Route

from orthanc_mask2seg.cli import answers
from orthanc_mask2seg.cli.app import app
from orthanc_mask2seg.config import SETTINGS
from orthanc_mask2seg.model import Outcome, Reason, Result
from orthanc_mask2seg.plugin import routes as plugin
from orthanc_mask2seg.service.status import ServiceState
from orthanc_mask2seg.web.page import create_app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def rows(page: str) -> list[list[str]]:
    """Cells of all rows of the tables of a page, without their heads."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def first_codes(page: str) -> list[str]:
    """All that is in code in the first cells of a page."""
    return [code for row in rows(page) for code in re.findall(r"`([^`]+)`", row[0])]


def test_every_setting_is_a_row_and_every_row_a_setting() -> None:
    assert [row[0] for row in rows("settings.md")] == [f"`{setting.name}`" for setting in SETTINGS]
    assert [row[-1] for row in rows("settings.md")] == [f"`{setting.variable}`" for setting in SETTINGS]


def service_routes() -> Iterator[str]:
    """Those of the status page, as they are written in docs/admin.md."""
    nothing: Any = SimpleNamespace(token="", certificate_file="", names=(), orders=None, jobs=None, gallery=None)
    for route in create_app(cast("ServiceState", nothing)).routes:
        assert isinstance(route, Route)
        for method in route.methods or ():
            if method != "HEAD":
                yield f"{method} {route.path}"


def plugin_routes() -> Iterator[str]:
    """Those of the plugin, as they are written in docs/plugin.md."""
    for method, pattern, _ in plugin._ROUTES:
        for level in ("series", "studies") if "(series|studies)" in pattern else ("",):
            path = pattern.replace("(series|studies)", level).replace(f"({plugin.JOB})", "{id}")
            path = path.replace(f"({plugin.ID})", "{orthanc-id}").replace("([A-Z]{2,8})", "{KIND}")
            path = path.replace("(thumb|sheet)", "{PICTURE}")
            yield f"{method} /mask2seg" + re.sub(r"\((\w+)\)", r"\1", path).replace("\\.", ".")


def documented(page: str) -> list[str]:
    return [code for code in first_codes(page) if code.startswith(("GET /", "POST /"))]


@pytest.mark.parametrize(
    ("page", "real"), [("admin.md", service_routes()), ("plugin.md", plugin_routes())], ids=["service", "plugin"]
)
def test_every_route_is_a_row_and_every_row_a_route(page: str, real: Iterable[str]) -> None:
    found = list(real)
    assert len(found) > 10
    assert sorted(documented(page)) == sorted(found)


def test_every_reason_of_the_code_is_in_the_page_of_reasons() -> None:
    """The enumeration, and what the service adds to it in words of its own."""
    text = (DOCS / "reasons.md").read_text(encoding="utf-8")
    assert [reason for reason in Reason if f"`{reason}`" not in text] == []
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "orthanc_mask2seg").rglob("*.py"))
    written = set(re.findall(r"\breason=\"([a-z_]+)\"", source)) | set(re.findall(r"\"reason\": \"([a-z_]+)\"", source))
    assert written
    assert [reason for reason in sorted(written) if f"`{reason}`" not in text] == []


def test_no_reason_of_the_page_is_gone() -> None:
    """Each row stands for a code that the source still has."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "orthanc_mask2seg").rglob("*.py"))
    codes = first_codes("reasons.md")
    assert len(codes) >= len(Reason)
    assert [code for code in codes if f'"{code}"' not in source] == []


def test_every_exit_code_is_a_row_and_every_row_an_exit_code() -> None:
    own = {value for name, value in vars(answers).items() if name.startswith("EXIT_")}
    by_outcome = {answers._EXIT[outcome] for outcome in Outcome}
    stopped = {128 + signal.SIGINT, 128 + signal.SIGTERM}
    closed = 1  # typer's own
    assert sorted(int(code) for code in first_codes("exit-codes.md")) == sorted(own | by_outcome | stopped | {closed})


def commands() -> Iterator[str]:
    """`serve`, `jobs list`, ..., all that is not hidden."""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield name
        yield from (f"{name} {sub}" for sub in getattr(command, "commands", {}))


def documented_commands() -> set[str]:
    """Those of the table in README.md: alternatives are written `jobs [list\\|show ID]`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    cells = [line.replace("\\|", "\0").split("|")[1] for line in text.splitlines() if line.startswith("| `mask2seg")]
    found: set[str] = set()
    for words in re.findall(r"`mask2seg ([^`]+)`", " ".join(cells)):
        name = words.split()[0]
        found.add(name)
        for group in re.findall(r"\[([^\]]*\0[^\]]*)\]", words):
            found |= {f"{name} {part.split()[0]}" for part in group.split("\0")}
    return found


def test_every_command_is_in_the_table_of_the_readme_and_every_row_a_command() -> None:
    assert documented_commands() == set(commands())


@pytest.mark.parametrize("command", [c.split()[0] for c in commands()])
def test_every_command_has_its_exit_codes_told(command: str) -> None:
    head = next(
        line for line in (DOCS / "exit-codes.md").read_text().splitlines() if line.startswith("| code | when | `")
    )
    assert f"`{command}`" in head


def options() -> Iterator[tuple[str, str]]:
    """Each option of each command that is not hidden."""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden and parameter.name != "help":
                yield name, next(o for o in parameter.opts if o.startswith("--"))


def test_every_option_is_a_row_with_its_commands() -> None:
    told = {
        (command, option)
        for row in rows("commands.md")
        for option in re.findall(r"`(--[\w-]+)`", row[0])
        for command in _of(row[1])
    }
    assert told == set(options())


def _of(cell: str) -> set[str]:
    """Commands that a cell names: some, all, or all but some."""
    named = set(re.findall(r"`(\w+)`", cell))
    every = {command.split()[0] for command in commands()}
    return every - named if cell.startswith("all") else named


def test_the_result_document_has_the_keys_of_its_page() -> None:
    """And each is told in the table below it, but for those that its neighbours tell."""
    text = (DOCS / "result.md").read_text(encoding="utf-8")
    shown = json.loads(text.split("```json\n")[1].split("```")[0])
    assert list(shown) == list(Result(outcome=Outcome.CONVERTED, detail="").document())
    told = set(re.findall(r"`([a-z_0-9]+)`", text.split("```")[2])) | {"mask_series_uids", "evidence", "seconds"}
    assert set(shown) <= told
