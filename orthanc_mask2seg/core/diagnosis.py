"""What a check is, and what it found: the nouns of `mask2seg doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Viewer(StrEnum):
    """What shows segmentations."""

    OHIF = "ohif>=3.11"
    SLICER = "slicer"
    DICOMWEB = "dicomweb"


ALL = frozenset(Viewer)
"""Every viewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that is looked at.

    Attributes
    ----------
    code
        Stable name.
    level
        How bad it is when it fails.
    fine, fault
        One sentence each: what is said when it is right, and when it is not.
    remedy
        What to do about a fault.
    hides
        Viewers that show nothing, or something wrong, when it fails. Only for checks of a segmentation.
    """

    code: str
    level: Level
    fine: str
    fault: str
    remedy: str
    hides: frozenset[Viewer] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found; `evidence` are observations with their numbers, without the patient's data."""

    check: Check
    ok: bool
    evidence: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """ok, or how bad the check says that it is."""
        return Level.OK if self.ok else self.check.level

    @property
    def sentence(self) -> str:
        """The check's answer in words."""
        return self.check.fine if self.ok else self.check.fault

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "code": self.check.code,
            "level": str(self.level),
            "detail": self.sentence,
            "evidence": list(self.evidence),
            "hint": "" if self.ok else self.check.remedy,
            "viewers": [] if self.ok else sorted(self.check.hides),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a viewer shows the segmentation, and the codes of what speaks against it.

    `displays` is `yes`, `no`, or `unknown` where what decides could not be asked.
    """

    viewer: Viewer
    displays: str
    because: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return {"displays": self.displays, "because": list(self.because)}


def by_code(checks: Iterable[Check]) -> Mapping[str, Check]:
    """Checks by their codes, each of which is there once."""
    checks = tuple(checks)
    table = {check.code: check for check in checks}
    assert len(table) == len(checks), "two checks have the same code"
    return table


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of all."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), Level.OK)
