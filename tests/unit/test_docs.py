"""The documentation says what the code does."""

from __future__ import annotations

from pathlib import Path

import make_docs
import pytest

from orthanc_mask2seg import errors
from orthanc_mask2seg.model import Reason

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_current() -> None:
    """`make docs` was run."""
    assert make_docs.stale() == []


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    """Each code is a row of docs/reasons.md."""
    assert f"| `{reason}` |" in (ROOT / "docs/reasons.md").read_text()


def test_every_fault_is_named() -> None:
    """Each code of the tree of faults is in docs/reasons.md."""
    text = (ROOT / "docs/reasons.md").read_text()
    faults = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.Mask2SegError)]
    codes = {e.code for e in faults if e is not errors.Mask2SegError}
    assert codes
    assert [c for c in codes if f"`{c}`" not in text] == []
