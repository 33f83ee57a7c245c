"""Build pyradiomics, of which PyPI has no wheel for today's Python, into a folder of its own: for the tests alone.

    get_pyradiomics.py [.state/pyradiomics]

Needs a C compiler and the headers of Python; where these are missing it says so and ends with 3. Instant when it is
there. Every file is one of requirements/pyradiomics.lock, or the sdist below. Standard library only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "pyradiomics.lock"
SDIST = "pyradiomics==3.0.1 --hash=sha256:47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5\n"
CANNOT_BUILD = 3


def main() -> int:
    """Do what the command line asks."""
    into = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".state" / "pyradiomics").absolute()
    missing = missing_tools()
    if missing and not (into / "built").exists():
        print(f"pyradiomics cannot be built here: {missing}", file=sys.stderr)
        return CANNOT_BUILD
    with get_debian.locked(into):
        if not (into / "built").exists():
            build(into)
    print(packages(into))
    return 0


def missing_tools() -> str:
    """What is missing to build it; '' where nothing is."""
    if not shutil.which("cc") and not shutil.which("gcc"):
        return "there is no C compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "there are no headers of Python (python3-dev)"
    return ""


def build(into: Path) -> None:
    """Build it anew."""
    shutil.rmtree(into, ignore_errors=True)
    venv.create(into, with_pip=True)
    pip = [str(into / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    subprocess.run([*pip, "--requirement", str(LOCK)], check=True)
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(SDIST, encoding="ascii")
        subprocess.run([*pip, "--no-build-isolation", "--no-binary", "pyradiomics", "-r", str(wanted)], check=True)
    (into / "built").touch()


def packages(into: Path) -> Path:
    """Where its packages are."""
    [found] = into.glob("lib/python3.*/site-packages")
    return found


if __name__ == "__main__":
    sys.exit(main())
