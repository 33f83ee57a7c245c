"""Get Debian packages into a private folder, without root and without a chroot.

    get_debian.py --suite trixie --into .state/debian/trixie-orthanc orthanc orthanc-dicomweb

makes an apt state of its own, lets this machine's apt download the packages and all that they depend on from the
mirror that it knows already, checked against the Debian archive's keyring, and unpacks them. Nothing is installed:
no maintainer script runs and nothing outside the folder changes. `command` then runs a program of that folder on its
own C library, so that any suite's programs run on any Debian. Standard library only: this is what a bare machine has.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

STAMP = ".unpacked.json"
KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{ending}") for ending in ("gpg", "pgp"))
PAUSES_S = (2, 10)
"""Waits before the second and the third try of what failed on the way (apt tries thrice by itself, too)."""

REACHES_MIRROR = re.compile(r"Acquire::(https?|socks5h?|mirror|Proxy|Force)", re.IGNORECASE)
"""The settings of this machine's apt that say how to reach a mirror: proxies, certificates, timeouts."""

HINTS = {
    "NO_PUBKEY": "The keyring of the Debian archive is too old for this suite: apt-get install debian-archive-keyring",
    "Unable to locate package": "The suite has no package of that name.",
    "does not have a Release file": "The mirror does not have this suite.",
}
"""What apt says where trying again does not help, and what to do."""


class GetDebianError(Exception):
    """The packages could not be got."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--suite", required=True, help="bookworm, trixie, sid, ...")
    parser.add_argument("--into", required=True, type=Path, help="folder to make")
    parser.add_argument("--mirror", help="address of the archive; by default the one that this machine's apt uses")
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    arguments = parser.parse_args()
    try:
        fetch(arguments.suite, arguments.packages, arguments.into, arguments.mirror)
    except GetDebianError as error:
        sys.exit(f"get_debian: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def fetch(suite: str, packages: Sequence[str], into: Path, mirror: str | None = None) -> Path:
    """Make sure that the folder `into` holds the unpacked packages of a suite; instant when it does.

    The folder appears whole or not at all, whatever interrupts this.
    """
    into = into.absolute()
    stamp = json.dumps({"suite": suite, "packages": sorted(packages)})
    with locked(into):
        if _read(into / STAMP) == stamp:
            return into
        for leftover in into.parent.glob(f".{into.name}.*.part"):
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=f".{into.name}.", suffix=".part", dir=into.parent) as name:
            work = Path(name)
            archives = _download(work / "apt", suite, packages, mirror)
            _unpack(archives, work / "tree")
            (work / "tree" / STAMP).write_text(stamp, encoding="utf-8")
            if into.exists():
                into.rename(work / "old")
            (work / "tree").rename(into)
    return into


def command(tree: Path, program: str, *arguments: str) -> list[str]:
    """Words that run a program (`usr/sbin/Orthanc`) of an unpacked folder with its own loader and libraries."""
    tree = tree.absolute()
    loader = next(tree.glob("usr/lib/*-linux-gnu*/ld-linux*.so.?"), None)
    if loader is None:
        raise GetDebianError(f"{tree} holds no C library; remove the folder and get it again")
    libraries = f"{loader.parent}:{tree / 'usr/lib'}"
    return [str(loader), "--library-path", libraries, str(tree / program), *arguments]


def own_suite() -> str:
    """Suite of Debian that this machine runs: bookworm, trixie..., or sid where it does not say."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")), "sid")


def wrapper(tree: Path, program: str) -> Path:
    """Path of a script that runs a program of an unpacked folder, for whoever wants one path and not many words."""
    script = tree.absolute() / "run" / Path(program).name
    script.parent.mkdir(exist_ok=True)
    if not script.exists():
        with tempfile.NamedTemporaryFile("w", dir=script.parent, delete=False, encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {shlex.join(command(tree, program))} "$@"\n')
        Path(file.name).chmod(0o755)
        Path(file.name).rename(script)
    return script


@contextlib.contextmanager
def locked(into: Path) -> Iterator[None]:
    """Keep a second process that would make the same folder waiting until the first is done."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with (into.parent / f".{into.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _download(apt: Path, suite: str, packages: Sequence[str], mirror: str | None) -> list[Path]:
    """Download the packages and all that they depend on; the paths of the .deb files."""
    for program in ("apt-get", "apt-config", "dpkg-deb"):
        if shutil.which(program) is None:
            raise GetDebianError(f"{program} is not there: this works on Debian only")
    keyring = next((path for path in KEYRINGS if path.exists()), None)
    if keyring is None:
        raise GetDebianError(f"{KEYRINGS[0]} is not there: apt-get install debian-archive-keyring")

    failure: GetDebianError | None = None
    for address in [mirror] if mirror else mirrors():
        environment = _apt_state(apt, suite, address, keyring)
        _say(f"{suite}: asking {address} for {' '.join(packages)}")
        try:
            _apt(environment, "update")
        except GetDebianError as error:
            failure = error
            continue
        uris = _apt(environment, "install", "--print-uris", "--yes", *packages)
        sizes = [int(size) for size in re.findall(r"^'[^']+' \S+ (\d+) ", uris, re.MULTILINE)]
        _say(f"{suite}: downloading {len(sizes)} packages, {sum(sizes) / 1e6:.0f} MB")
        _apt(environment, "install", "--download-only", "--yes", *packages, show_progress=True)
        return sorted((apt / "cache" / "archives").glob("*.deb"))
    raise failure or GetDebianError("this machine's apt names no mirror of the Debian archive; give one with --mirror")


def mirrors() -> list[str]:
    """Addresses of the main Debian archive in this machine's apt sources, of whichever format.

    apt reads its own files here. A stranger's repository that calls itself .../debian too is merely tried in vain:
    only what the Debian archive's keyring signed is accepted.
    """
    listing = ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]
    found = []
    for line in _run([*listing, "Created-By: Packages"]).splitlines():
        uri, _, rest = line.rpartition("/ ")
        if re.search(r"/debian(\.list)?$", uri) and re.fullmatch(r"[a-z]+ main", rest) and uri not in found:
            found.append(uri)
    return found


def _apt_state(apt: Path, suite: str, mirror: str, keyring: Path) -> dict[str, str]:
    """Make an apt state of our own that believes nothing is installed; the environment that makes apt use it."""
    shutil.rmtree(apt, ignore_errors=True)
    for folder in ("etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial", "log"):
        (apt / folder).mkdir(parents=True)
    (apt / "state" / "status").touch()
    (apt / "etc" / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {suite} main\n", encoding="utf-8")
    settings = {
        "Dir": apt,
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "state" / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc": apt / "etc",
        "Dir::Log": apt / "log",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
    }
    if suite in {"sid", "unstable"}:
        settings["Acquire::Check-Valid-Until"] = "false"  # a mirror that stands still is good enough here
    reach = [line for line in _run(["apt-config", "dump"]).splitlines() if REACHES_MIRROR.match(line)]
    lines = [*reach, *(f'{name} "{value}";' for name, value in settings.items())]
    (apt / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _apt(environment: dict[str, str], *words: str, show_progress: bool = False) -> str:
    """Run apt-get, again where the network failed it; what it printed."""
    for pause in (*PAUSES_S, None):
        status, printed = _apt_once(environment, words, show_progress)
        if status == 0:
            return printed
        complaints = [line for line in printed.splitlines() if line.startswith(("E:", "W:"))] or [f"status {status}"]
        said = "\n".join(dict.fromkeys(complaints))
        for symptom, hint in HINTS.items():
            if symptom in printed:
                raise GetDebianError(f"{hint}\n{said}")
        if pause is None:
            break
        _say(f"apt-get {words[0]} failed, trying again in {pause} s: {complaints[0]}")
        time.sleep(pause)
    raise GetDebianError(f"apt-get {' '.join(words)} failed:\n{said}")


def _apt_once(environment: dict[str, str], words: Sequence[str], show_progress: bool) -> tuple[int, str]:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        reading, writing = os.pipe()
        options = ["-q", "-o", f"APT::Status-Fd={writing}", "-o", "APT::Update::Error-Mode=any"]
        with subprocess.Popen(
            ["apt-get", *options, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
        ) as process:
            os.close(writing)
            with open(reading, encoding="utf-8") as status:  # noqa: PTH123 - a file descriptor
                shown = 0
                for line in status:  # dlstatus:<n>:<percent>:<what>
                    percent = int(float(line.split(":")[2])) if line.startswith("dlstatus:") else 0
                    if show_progress and percent >= shown + 20:
                        shown = percent - percent % 20
                        _say(f"  {shown} %")
        printed.seek(0)
        return process.returncode, printed.read()


def _unpack(archives: Sequence[Path], tree: Path) -> None:
    """Unpack the packages over one another, with /usr merged as Debian installs it."""
    _say(f"unpacking {len(archives)} packages")
    for name in ("bin", "lib", "lib64", "sbin"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    extract = ["tar", "--extract", "--keep-directory-symlink", "--no-same-owner", "--no-same-permissions"]
    left_out = [f"--exclude=./usr/share/{name}/*" for name in ("doc", "info", "locale", "man")]
    for archive in archives:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as reader:
            unpacked = subprocess.run([*extract, *left_out, "--directory", tree], stdin=reader.stdout, check=False)
        if reader.returncode or unpacked.returncode:
            raise GetDebianError(f"{archive.name} could not be unpacked; is the disk full?")


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GetDebianError(f"{' '.join(words)} failed:\n{done.stderr.strip()}")
    return done.stdout


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
