"""The soak in its short form: it can be run, and counts right."""

from __future__ import annotations

from pathlib import Path

import soak


def test_the_service_does_not_grow(tmp_path: Path) -> None:
    """80 masks; `make soak` has 5000."""
    assert soak.run(80, 20, tmp_path)
