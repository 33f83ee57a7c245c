"""The documentation says what the code does."""

from __future__ import annotations

from pathlib import Path

import make_docs
import pytest

from orthanc_mask2seg import errors
from orthanc_mask2seg.core.diagnosis import Check
from orthanc_mask2seg.core.display_checks import SEG_CHECKS
from orthanc_mask2seg.model import Reason
from orthanc_mask2seg.pacs.orthanc_checks import PACS_CHECKS

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_current() -> None:
    """`make docs` was run."""
    assert make_docs.stale() == []


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    """Each code is a row of docs/reasons.md."""
    assert f"| `{reason}` |" in (ROOT / "docs/reasons.md").read_text()


@pytest.mark.parametrize("check", [*SEG_CHECKS, *PACS_CHECKS], ids=lambda check: check.code)
def test_every_check_of_the_doctor_is_explained(check: Check) -> None:
    """Each code is a row of docs/doctor.md, and none is given twice."""
    text = (ROOT / "docs/doctor.md").read_text()
    assert text.count(f"\n| `{check.code}` | {check.level} |") == 1
    assert check.remedy in text


def test_every_fault_is_named() -> None:
    """Each code of the tree of faults is in docs/reasons.md."""
    text = (ROOT / "docs/reasons.md").read_text()
    faults = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.Mask2SegError)]
    codes = {e.code for e in faults if e is not errors.Mask2SegError}
    assert codes
    assert [c for c in codes if f"`{c}`" not in text] == []
