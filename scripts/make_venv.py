"""Build .venv from the hashed lock file: exactly these files, or nothing.

    make_venv.py         what the service needs (requirements/run.lock)
    make_venv.py --dev   and what its developers need (requirements/dev.lock, the same versions and more)

A second call is instant; a changed lock file or another Python builds it anew. Standard library only, and it works
where Debian's python3-venv and python3-pip are missing: pip then comes from Debian's package of pip for such places.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".built.json"
BARE = "VENV_WITHOUT_ENSUREPIP"
"""Environment variable that makes this machine look as if python3-venv were missing (for tests)."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--dev", action="store_true", help="with the tools of the developers")
    try:
        build("dev" if parser.parse_args().dev else "run")
    except (get_debian.GetDebianError, subprocess.CalledProcessError) as error:
        sys.exit(f"make_venv: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def build(kind: str) -> None:
    """Make sure that .venv holds what the lock file `kind` names, and the project itself."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"make_venv: this is Python {sys.version.split()[0]}; give one of 3.11 to 3.13 with make PYTHON=...")
    with get_debian.locked(ROOT / ".state" / "venv"):
        built = _built() if PYTHON.exists() else {}
        wanted: dict[str, object] = {
            "path": str(VENV),  # its programs name it, so it cannot be moved
            "python": list(sys.version_info[:2]),
            "run": _digest("requirements/run.lock"),
            "dev": _digest("requirements/dev.lock") if kind == "dev" or built.get("dev") else None,
            "project": _digest("pyproject.toml"),
        }
        if built != wanted:
            _bring(built, wanted)


def _bring(built: dict[str, object], wanted: dict[str, object]) -> None:
    """Make a .venv that was built from one thing, or nothing, be built from another."""
    STAMP.unlink(missing_ok=True)
    kept = {name for name in wanted if built.get(name) == wanted[name]}
    if built.get("dev") is None:
        kept.add("dev")  # what is missing comes on top
    if not {"path", "python", "run", "dev"} <= kept:
        _say(f"building .venv with Python {sys.version.split()[0]}")
        shutil.rmtree(VENV, ignore_errors=True)
        venv.create(VENV, symlinks=True)
        _put_pip_in()
        built = {}
    kind = "dev" if wanted["dev"] else "run"
    if built.get(kind) != wanted[kind]:
        # the lock file is complete; z-rad's wheel also names a graphical interface, which it leaves out
        _pip("install", "--no-deps", "--require-hashes", "--requirement", str(ROOT / "requirements" / f"{kind}.lock"))
    _pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")
    _say(".venv is ready")


def _built() -> dict[str, object]:
    """What the .venv that is there was built from."""
    try:
        built = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return built if isinstance(built, dict) else {}


def _digest(path: str) -> str:
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def _put_pip_in() -> None:
    """Install the pip that comes with Python; on a Debian without python3-venv, the one of its python3-pip-whl."""
    if importlib.util.find_spec("ensurepip") is not None and not os.environ.get(BARE):
        subprocess.run([PYTHON, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
        return
    _say("Python comes without pip here, getting Debian's")
    suite = _debian_suite()
    tree = get_debian.fetch(suite, ["python3-pip-whl"], ROOT / ".state" / "debian" / f"{suite}-pip")
    wheel = next(tree.glob("usr/share/python-wheels/pip-*.whl"))
    install: list[str | Path] = [PYTHON, wheel / "pip", "install", "--quiet", "--no-index", "--no-cache-dir", wheel]
    subprocess.run(install, check=True)


def _debian_suite() -> str:
    """Suite of this Debian, where pip fits this Python; trixie where that cannot be told."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")), "trixie")


def _pip(*words: str) -> None:
    """Run the pip of .venv; show what it downloads, and all that it said if it fails."""
    said = []
    with subprocess.Popen(
        [PYTHON, "-m", "pip", *words, "--no-input", "--disable-pip-version-check", "--progress-bar", "off"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            large = re.match(r"  Downloading ([^-]+-[^-]+)-\S+ (\(\S+ MB\))", line)
            if large:
                _say(f"  downloading {large[1]} {large[2]}")
            elif line.startswith("Installing collected packages") and "," in line:
                _say(f"  installing {line.count(',') + 1} packages")
    if process.returncode:
        sys.stderr.writelines(said)
        raise subprocess.CalledProcessError(process.returncode, "pip")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
