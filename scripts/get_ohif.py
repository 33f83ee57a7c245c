"""Get the OHIF viewer, ready built, as its makers publish it on npm.

    get_ohif.py 3.13.2 3.12.10 3.11.1

unpacks each into .state/ohif/<version>; instant when it is there. `npm pack` fetches it from whichever registry npm is
set up with, and it must be the very file whose hash is written here. Where there is no npm, Debian's is got into a
private folder, and run by the node that Playwright brings. Standard library only.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parent.parent
INTEGRITY = {
    "3.13.2": "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
    "3.12.10": "0kuF66Mq9c9dMD++bUsTjMrJpXJwaZhz9B4uS244DawAjSkTwIYFU93pxPuRUQixaRi7QAHlF3Fe1qudBlZrmA==",
    "3.11.1": "0lJRyHguGuIR06PxeJ3rqnPWf1OAqsaXGuqT2kl5HkNjIOxBDnRTTMvyHnkn3ZyjcHlsIhY8gf0h7AhVORqsSQ==",
}
"""SHA-512 of what npm packs, by version; the first is the newest."""

VIEWER = "package/dist/"
"""Where the built viewer is in the package."""


class GetOhifError(Exception):
    """The viewer could not be got."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"of {', '.join(INTEGRITY)}; all by default")
    versions = parser.parse_args().versions or list(INTEGRITY)
    if unknown := set(versions) - set(INTEGRITY):  # argparse takes no list as a default where there are choices
        parser.error(f"no such version: {', '.join(sorted(unknown))}")
    try:
        for version in versions:
            fetch(version)
    except (GetOhifError, get_debian.GetDebianError) as error:
        sys.exit(f"get_ohif: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def fetch(version: str, parent: Path = ROOT / ".state" / "ohif") -> Path:
    """Folder of the built viewer, which appears whole or not at all."""
    into = parent.absolute() / version
    with get_debian.locked(into):
        if into.is_dir():
            return into
        with tempfile.TemporaryDirectory(prefix=f".{version}.", suffix=".part", dir=into.parent) as name:
            archive = _pack(f"@ohif/app@{version}", Path(name))
            check(archive, INTEGRITY[version])
            _unpack(archive, Path(name))
            (Path(name) / VIEWER).rename(into)
    return into


def check(archive: Path, integrity: str) -> None:
    """Refuse a file that is not the one whose hash we have."""
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise GetOhifError(f"{archive.name} is not the file that is expected: its hash is {found}")


def npm() -> tuple[list[str], dict[str, str]]:
    """Words that run npm, and the environment for it; Debian's own in a private folder where there is none."""
    if shutil.which("npm"):
        return ["npm"], dict(os.environ)
    suite = get_debian.own_suite()
    tree = get_debian.fetch(suite, ["npm"], ROOT / ".state" / "debian" / f"{suite}-npm")
    modules = tree / "usr/share/nodejs"
    environment = {**os.environ, "NODE_PATH": str(modules), "NODE_NO_WARNINGS": "1"}
    return [node(), str(modules / "npm/bin/npm-cli.js")], environment


def node() -> str:
    """Path of node: this machine's, or the one that Playwright brings (Debian's looks for its parts in /usr alone)."""
    found = shutil.which("node") or next(ROOT.glob(".venv/lib/python3*/site-packages/playwright/driver/node"), None)
    if found is None:
        raise GetOhifError("there is neither node nor a .venv with Playwright: make venv")
    return str(found)


def _pack(package: str, folder: Path) -> Path:
    words, environment = npm()
    print(f"npm pack {package}", flush=True)
    command = [*words, "pack", "--silent", "--pack-destination", str(folder), package]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    archive = next(folder.glob("*.tgz"), None)
    if done.returncode or archive is None:
        raise GetOhifError(f"npm could not pack {package}:\n{done.stderr.strip()}")
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        members = [m for m in packed if m.isfile() and m.name.startswith(VIEWER) and not m.name.endswith(".map")]
        packed.extractall(folder, members, filter="data")


if __name__ == "__main__":
    main()
