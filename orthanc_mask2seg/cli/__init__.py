"""The words that a person types. Exit codes: 0 converted or skipped, 2 usage or configuration, 3 refused, 4 failed."""

from __future__ import annotations

from orthanc_mask2seg.cli.app import app, main

__all__ = ["app", "main"]
