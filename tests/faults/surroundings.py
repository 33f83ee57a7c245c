"""What surrounds a process and can fail, too: its disk and its clock."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parents[2]


class Disk:
    """A small disk in memory, which can be filled to the brim.

    Raises
    ------
    PermissionError
        Only root may mount.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        if os.geteuid() != 0:
            raise PermissionError("only root may mount a small disk")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "mask2seg-faults", str(folder)]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PermissionError("a small disk cannot be mounted here") from error
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while file.write(b"\0" * 512):
                pass

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)


class Clock:
    """The wall clock of a process, which can jump; its monotonic clock goes on, as that of a real machine does."""

    def __init__(self, file: Path, suite: str) -> None:
        self._file = file
        tree = get_debian.fetch(suite, ["libfaketime"], ROOT / ".state" / "debian" / f"{suite}-faketime")
        library = next(tree.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
        self.jump(0)
        self.environment = {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else Orthanc's waits return at once, and it takes a whole core
        }  # fmt: skip

    def jump(self, seconds: int) -> None:
        """Set the clock so far from the true time."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)
