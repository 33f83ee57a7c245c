"""Which viewers a site has declared, and what each of them makes of each encoding of a SEG.

The table holds what was measured and nothing else: `tests/browser/ohif` opens every encoding in every version of OHIF,
`tests/readers` reads them with the other programs. docs/viewers.md and docs/readers.md show the results.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Version = tuple[int, ...]


class Encoding(StrEnum):
    """How the pixels of a SEG are written (Segmentation Type, PS3.3 C.8.20.2.3)."""

    BINARY = "BINARY"
    FRACTIONAL = "FRACTIONAL"
    """OCCUPANCY with nothing but 0 and the maximum: the same as BINARY, with a byte for each voxel."""
    LABELMAP = "LABELMAP"


class Shows(StrEnum):
    """What a person sees in a viewer."""

    RIGHT = "right"
    NOTHING = "nothing"
    WRONG = "wrong"
    """Voxels at wrong places, and no word about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One row of the table: a program, from one version on, until the next row of the same name.

    Attributes
    ----------
    unaligned
        BINARY where the pixels of a frame do not fill whole bytes.
    """

    name: str
    since: Version = ()
    binary: Shows = Shows.RIGHT
    unaligned: Shows = Shows.RIGHT
    fractional: Shows = Shows.RIGHT
    labelmap: Shows = Shows.RIGHT

    def shows(self, encoding: Encoding, *, aligned: bool) -> Shows:
        """What this program shows of an encoding."""
        if encoding is Encoding.BINARY:
            return self.binary if aligned else self.unaligned
        return self.fractional if encoding is Encoding.FRACTIONAL else self.labelmap

    def __str__(self) -> str:
        """Name and version as people write them."""
        return f"{self.name} {'.'.join(map(str, self.since))}".strip()


READERS = (
    Reader(name="ohif", since=(3, 11), fractional=Shows.NOTHING),
    Reader(name="ohif", since=(3, 12), fractional=Shows.NOTHING),
    Reader(name="ohif", since=(3, 13), unaligned=Shows.WRONG),
    Reader(name="slicer"),  # reads through dcmqi
    Reader(name="dcmqi"),
    Reader(name="highdicom"),
    Reader(name="dcmjs"),
    Reader(name="simpleitk", unaligned=Shows.WRONG, labelmap=Shows.NOTHING),  # both read with GDCM: wrong at some sizes
    Reader(name="plastimatch", unaligned=Shows.WRONG, labelmap=Shows.NOTHING),
)

NAMES = tuple(dict.fromkeys(reader.name for reader in READERS))

_WORD = re.compile(r"([a-z][a-z0-9-]*)\s*((?:(?:>=|<=|==|<|>)\s*\d+(?:\.\d+)*\s*,?\s*)*)")
_CONDITION = re.compile(r"(>=|<=|==|<|>)\s*(\d+(?:\.\d+)*)")
_ENDLESS: Version = (10**9,)


def parse_viewers(words: Sequence[str]) -> tuple[Reader, ...]:
    """Rows of the table that the declared viewers stand for: "ohif>=3.12", "slicer".

    Raises
    ------
    ValueError
        A viewer, or a version of it, that nobody has tested.
    """
    return tuple(dict.fromkeys(reader for word in words for reader in _rows(word)))


def _rows(word: str) -> list[Reader]:
    found = _WORD.fullmatch(word.strip().lower())
    if found is None or found[1] not in NAMES:
        raise ValueError(f"{word!r} is not a viewer that was tested; those are {', '.join(NAMES)}")
    rows = [reader for reader in READERS if reader.name == found[1]]
    low, high = _range(found[2])
    ends = [*(row.since for row in rows[1:]), _ENDLESS]
    covered = [row for row, end in zip(rows, ends, strict=True) if row.since < high and end > low]
    if not covered:
        raise ValueError(f"{word!r}: tested were {', '.join(map(str, rows))} and later")
    return covered


def _range(conditions: str) -> tuple[Version, Version]:
    """Versions from the first to before the second; a bound may take in a neighbour too many, never one too few."""
    low: Version = ()
    high = _ENDLESS
    for operator, text in _CONDITION.findall(conditions):
        version = tuple(int(part) for part in text.split("."))
        if operator in {">=", ">", "=="}:
            low = max(low, version)
        if operator == "<":
            high = min(high, version)
        if operator in {"<=", "=="}:
            high = min(high, (*version[:-1], version[-1] + 1))
    return low, high


DEFAULT_VIEWERS = ("ohif>=3.11", "slicer")
"""What most sites have."""
