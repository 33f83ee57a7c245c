"""What resampling does to volumes, and where it is too much."""

from __future__ import annotations

import math

import pytest

from orthanc_mask2seg.core.resample import volume_change
from orthanc_mask2seg.model import Reason, Refusal


def test_a_small_change_is_reported() -> None:
    """One sentence per label."""
    assert volume_change({1: 100.0}, {1: 95.0}, 0.1) == (
        "label 1: 100.0 mm3 on its own grid, 95.0 mm3 resampled (-5.0%)",
    )


@pytest.mark.parametrize(
    ("before", "detail", "hint"),
    [(100.0, "by 50%", "MaximumVolumeChange"), (math.nan, "cannot be told", "SliceThickness")],
)
def test_a_large_or_unknown_change_is_refused(before: float, detail: str, hint: str) -> None:
    """With the bound and what to do."""
    refused = volume_change({1: before}, {1: 50.0}, 0.1)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.GEOMETRY_MISMATCH
    assert detail in refused.detail
    assert hint in refused.hint
    assert refused.evidence[0] == "largest change that is accepted: 10%"
