"""The help of every command: an example that the command understands, and the exit codes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from orthanc_mask2seg import cli
from orthanc_mask2seg.cli.app import EXIT_CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


ALL = dict(commands(get_command(cli.app)))
LEAVES = {words: command for words, command in ALL.items() if not getattr(command, "commands", {})}


def understood(line: str) -> tuple[str, ...]:
    """The command of a line, which takes all of its words; what it would do is not done."""
    words = shlex.split(line, comments=True)[1:]
    depth = next(n for n in range(len(words) + 1) if tuple(words[: n + 1]) not in ALL)
    path = tuple(words[:depth])
    command = ALL[path]
    if path in LEAVES:
        command.make_context(" ".join(path), list(words[depth:]))
    else:
        assert [word for word in words[depth:] if not word.startswith("-")] == []
    return path


def test_every_command_of_the_design_is_there() -> None:
    words = {" ".join(path) for path in LEAVES}
    jobs = {f"jobs {word}" for word in ("list", "show", "retry", "undo")}
    assert words >= {"serve", "watch", "work", "convert", "explain", "backfill", "doctor", "measure", "demo"} | jobs


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_help_shows_examples_that_the_command_understands(path: tuple[str, ...]) -> None:
    help_text = ALL[path].help or ""
    examples = re.findall(r"^ *(mask2seg .*)$", help_text, re.MULTILINE)
    assert examples, "no example"
    called = [understood(line) for line in examples]
    assert all(one[: len(path)] == path for one in called)
    shown = CliRunner().invoke(cli.app, [*path, "--help"], env={"COLUMNS": "200"}).stdout
    assert all(line in shown for line in examples)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_speaks_to_machines(path: tuple[str, ...]) -> None:
    assert "--json" in {option for parameter in LEAVES[path].params for option in parameter.opts}


def test_the_exit_codes_are_in_the_help_and_in_the_documentation() -> None:
    shown = " ".join(CliRunner().invoke(cli.app, ["--help"]).stdout.split())
    assert EXIT_CODES in shown
    for text in ((ROOT / "README.md").read_text(), (ROOT / "docs/result.md").read_text()):
        assert all(re.search(rf"\b{code}\b", text) for code in (0, 2, 3, 4))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_the_documentation_are_understood(page: Path) -> None:
    blocks = re.findall(r"```(?:console|sh|bash)\n(.*?)```", page.read_text(), re.DOTALL)
    lines = re.findall(r"^(?:\$ )?(mask2seg .*?)(?: &)?$", "\n".join(blocks).replace("\\\n", " "), re.MULTILINE)
    for line in lines:
        understood(line)


def test_that_this_sees_a_mistake() -> None:
    with pytest.raises(Exception, match="No such option: --sauce"):
        understood("mask2seg convert --mask a --sauce b")
    with pytest.raises(Exception, match="No such option: --all"):
        understood("mask2seg jobs list --all")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("mask2seg convert --to sr,cs", "sr,csv"),
        ("mask2seg measure --preset ib", "ibsi-a"),
        ("mask2seg jobs u", "undo"),
        ("mask2seg backf", "backfill"),
    ],
)
def test_completion(words: str, wanted: str) -> None:
    """As the script of `mask2seg --show-completion bash` asks for it."""
    count = len(words.split())
    env = {"_MASK2SEG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count - 1)}
    said = CliRunner().invoke(cli.app, [], env=env, prog_name="mask2seg").stdout
    assert wanted in said.split()
