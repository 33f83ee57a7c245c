"""Starts the service as the command line does, with a knife at named places inside.

    python -m tests.faults.launch serve -c orthanc.json

The product knows nothing of this: it is wrapped from outside. Where a file named after a step lies in the folder
FAULTS_STEPS, the process removes it when it comes there, and is gone.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

INSIDE = {
    "job asked for": ("orthanc_mask2seg.jobs.engine", "Engine.enqueue", "after"),
    "series remembered": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.remember", "after"),
    "cursor not saved": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.move_cursor", "before"),
    "cursor saved": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.move_cursor", "after"),
    "result not noted": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.exchange_stored", "before"),
    "result noted": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.exchange_stored", "after"),
    "old result forgotten": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.drop_stored", "after"),
    "job ended, not recorded": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.end", "before"),
    "job ended": ("orthanc_mask2seg.jobs.ledger", "SqlLedger.end", "after"),
}
"""Step to the function at which it is, and whether before or after it."""


def place_knives(folder: Path) -> None:
    """Wrap the functions at which the process can be made to die; raises where one has another name now."""
    for step, (module, path, when) in INSIDE.items():
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        setattr(owner, name, _wrapped(getattr(owner, name), folder / step, when))


def _wrapped(function: Any, armed: Path, when: str) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            _die_if(armed)
        answer = function(*arguments, **named)
        if when == "after":
            _die_if(armed)
        return answer

    return wrapper


def _die_if(armed: Path) -> None:
    try:
        armed.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    place_knives(Path(os.environ["FAULTS_STEPS"]))
    from orthanc_mask2seg.cli import main as program

    sys.argv[0] = "mask2seg"
    program()


if __name__ == "__main__":
    main()
