"""Get Chromium, the browser that the tests drive: this machine's, or Debian's.

    get_browser.py

prints its path. Root lets apt install it; everybody else gets it into a private folder, from the suite that this
machine runs, so that it finds the C library that it was built for. Standard library only.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def main() -> None:
    """Do what the command line asks."""
    try:
        print(fetch())
    except get_debian.GetDebianError as error:
        sys.exit(f"get_browser: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def fetch() -> Path:
    """Path of a program that is Chromium; installs it where there is none."""
    found = _found()
    if found is None and os.geteuid() == 0 and _installed():
        found = _found()
    return found or private()


def _found() -> Path | None:
    return next((Path(path) for path in map(shutil.which, NAMES) if path), None)


def _installed() -> bool:
    print("installing chromium", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]
    return any(
        all(subprocess.run(words, env=environment, stdout=sys.stderr, check=False).returncode == 0 for words in steps)
        for steps in ([install], [["apt-get", "update", "--quiet"], install])
    )


def private(suite: str | None = None) -> Path:
    """Path of a script that runs the Chromium of a private folder."""
    suite = suite or get_debian.own_suite()
    tree = get_debian.fetch(suite, ["chromium", "fonts-dejavu-core"], ROOT / ".state" / "debian" / f"{suite}-chromium")
    libraries = ":".join(str(path) for path in (*tree.glob("usr/lib/*-linux-gnu"), tree / "usr/lib"))
    script = tree / "run-chromium"
    text = f'#!/bin/sh\nexport LD_LIBRARY_PATH={shlex.quote(libraries)}\nexec {tree}/usr/lib/chromium/chromium "$@"\n'
    if not script.is_file() or script.read_text(encoding="utf-8") != text:
        new = script.with_suffix(f".{os.getpid()}")
        new.write_text(text, encoding="utf-8")
        new.chmod(0o755)
        new.rename(script)
    return script


if __name__ == "__main__":
    main()
