"""What this software says while it works: identifiers and reasons, one line each, never what a file holds."""

from __future__ import annotations

import logging
import sys
import warnings
from logging.handlers import RotatingFileHandler
from pathlib import Path

MOST_BYTES = 5 << 20
"""Size at which a log file is put aside; two of these are kept."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_TALKATIVE = ("pydicom", "highdicom", "urllib3", "httpx", "httpcore", "uvicorn.error")
"""Libraries whose messages name values of data elements, or addresses."""


class _OneLine(logging.Formatter):
    """Keeps each record on its line, whatever a file put into an identifier."""

    def format(self, record: logging.LogRecord) -> str:
        return "".join(c if c.isprintable() else "?" for c in super().format(record))


def silence_libraries() -> None:
    """Keep libraries from printing values of data elements: pydicom's and highdicom's warnings quote them."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("pydicom", "highdicom"):
        warnings.filterwarnings("ignore", module=name)


def also_to(file: Path) -> None:
    """Log to a file too, which does not grow for ever."""
    handler = RotatingFileHandler(file, maxBytes=MOST_BYTES, backupCount=2, encoding="utf-8")
    handler.setFormatter(_OneLine(_FORMAT))
    logging.getLogger().addHandler(handler)


def prepare(level: str) -> None:
    """Log to stderr.

    Parameters
    ----------
    level
        Of our own messages; those of libraries are shown from WARNING on, or not at all.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(_FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("orthanc_mask2seg").setLevel(level)
    silence_libraries()
