"""Every refusal says what to do and shows what was seen: read from the source, so that a new one cannot forget."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "orthanc_mask2seg"


def bare_refusals(source: str) -> list[tuple[int, str]]:
    """Line and argument of each `Refusal(...)` that lacks a hint, or any evidence."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal"):
            continue
        given = {k.arg: k.value for k in node.keywords}
        empty = {name for name, value in given.items() if ast.unparse(value) in {"''", "()"}}
        said = given.keys() - empty
        if "hint" not in said:
            found.append((node.lineno, "hint"))
        if not said & {"evidence", "candidates"}:
            found.append((node.lineno, "evidence"))
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_refusal_has_a_hint_and_evidence(path: Path) -> None:
    """The person who reads it has to know why, and what to do."""
    assert bare_refusals(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "lacking"),
    [
        ("Refusal(reason=r, detail=d, hint=h, evidence=(e,))", []),
        ("Refusal(reason=r, detail=d, hint=h, candidates=c)", []),
        ("Refusal(reason=r, detail=d, evidence=(e,))", ["hint"]),
        ("Refusal(reason=r, detail=d, hint='', evidence=())", ["hint", "evidence"]),
    ],
)
def test_the_rule_bites(source: str, lacking: list[str]) -> None:
    """It sees what is missing, and nothing else."""
    assert [what for _, what in bare_refusals(source)] == lacking
