"""The fenced blocks of the documentation, and which of them say that they are not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MARK = re.compile(r"\s*<!-- not run: (\S.*?) -->\s*")
_FENCE = re.compile(r"(\s*)(```+|~~~+)\s*(\S*)(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    line
        Of its fence, from 1.
    reason
        Why it is not run; empty where it has to be.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str) -> tuple[Block, ...]:
    """All fenced blocks of a page.

    Raises
    ------
    ValueError
        A block does not end, or a mark stands before no block: it would excuse nothing, and nobody would see it.
    """
    found: list[Block] = []
    lines = text.splitlines()
    reason, number = "", 0
    while number < len(lines):
        line = lines[number]
        if marked := MARK.fullmatch(line):
            if number + 1 == len(lines) or not _FENCE.fullmatch(lines[number + 1]):
                raise ValueError(f"{page}:{number + 1}: a mark that stands before no block")
            reason = marked[1]
        elif fence := _FENCE.fullmatch(line):
            end = _end(lines, number, fence[2])
            if end is None:
                raise ValueError(f"{page}:{number + 1}: a block that does not end")
            inside = "\n".join(one.removeprefix(fence[1]) for one in lines[number + 1 : end]) + "\n"
            found.append(Block(page=page, line=number + 1, language=fence[3], text=inside, reason=reason))
            reason, number = "", end
        number += 1
    return tuple(found)


def _end(lines: list[str], start: int, fence: str) -> int | None:
    return next((n for n in range(start + 1, len(lines)) if lines[n].strip() == fence), None)


def pages(root: Path) -> list[Path]:
    """README.md and all of docs/."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
