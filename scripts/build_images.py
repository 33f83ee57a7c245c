"""Build the images of docker/Dockerfile without a Docker engine, and without a registry.

    build_images.py service orthanc

The base is made by mmdebstrap from the mirror that this machine's apt knows; buildah, with chroot isolation, builds the
targets on it into .state/images. Needs root; where the two programs are not there, apt installs them. pip and npm reach
what this machine's reach. Standard library only.
"""

from __future__ import annotations

import argparse
import configparser
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import get_debian

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".state" / "images"
SUITE = "trixie"
BASE = "localhost/mask2seg-base"
TARGETS = ("service", "orthanc", "ohif")
PROGRAMS = ("buildah", "mmdebstrap")


class BuildImagesError(Exception):
    """The images could not be built."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    targets = parser.parse_args().targets or list(TARGETS)
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    try:
        for target in targets:
            print(build(target), flush=True)
    except (BuildImagesError, get_debian.GetDebianError) as error:
        sys.exit(f"build_images: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def build(target: str) -> str:
    """Build a target; the name of its image."""
    STATE.mkdir(parents=True, exist_ok=True)
    with get_debian.locked(STATE / "storage"):
        _programs()
        _base()
        image = f"localhost/mask2seg-{target}"
        how = ["--isolation", "chroot", "--pull-never", "--quiet", "--format", "docker"]
        what = ["--file", str(ROOT / "docker" / "Dockerfile"), "--target", target, "--tag", image, str(ROOT)]
        _run(buildah("bud", *how, *_reach(), "--build-arg", f"BASE={BASE}", *what))
    return image


def buildah(*words: str) -> list[str]:
    """The beginning of a command to buildah, which keeps all that it has in .state/images."""
    folders = ["--root", str(STATE / "storage"), "--runroot", str(STATE / "run"), "--storage-driver", "vfs"]
    return ["buildah", *folders, *words]


def _programs() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid():
        raise BuildImagesError("building images without a Docker engine needs root")
    if missing:
        _run(["apt-get", "install", "--yes", "--no-install-recommends", *missing])


def _base() -> None:
    """Make the base, once."""
    if (
        subprocess.run([*buildah(), "inspect", "--type", "image", BASE], capture_output=True, check=False).returncode
        == 0
    ):
        return
    archive = STATE / "base.tar"
    known = get_debian.mirrors()
    if not known:
        raise BuildImagesError("this machine's apt names no mirror of the Debian archive")
    print(f"mmdebstrap {SUITE}", flush=True)
    keyring = next(path for path in get_debian.KEYRINGS if path.exists())
    line = f"deb [signed-by={keyring}] {known[0]} {SUITE} main"
    _run(["mmdebstrap", "--quiet", "--variant=minbase", SUITE, str(archive), line])
    container = _run([*buildah(), "from", "scratch"]).strip()
    _run([*buildah(), "add", "--quiet", container, str(archive)])
    _run([*buildah(), "config", "--cmd", "/bin/sh", container])
    _run([*buildah(), "commit", "--quiet", "--rm", container, BASE])
    archive.unlink()


def _reach() -> list[str]:
    """Options by which pip and npm reach from within what they reach here; nothing of them stays in the image."""
    certificates = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    inside = "/run/build-certificates.crt"
    pip = configparser.ConfigParser(interpolation=None)
    pip["global"] = {"cert": inside}
    for name in ("index-url", "timeout"):
        found = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", f"global.{name}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode == 0:
            pip["global"][name] = found.stdout.strip()
    text = io.StringIO()
    pip.write(text)
    (STATE / "pip.conf").write_text(text.getvalue(), encoding="utf-8")
    registry = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, check=False)
    lines = [f"cafile={inside}"] + ([f"registry={registry.stdout.strip()}"] if registry.returncode == 0 else [])
    (STATE / "npmrc").write_text("\n".join(lines) + "\n", encoding="utf-8")
    volumes = [(certificates, inside), (STATE / "pip.conf", "/etc/pip.conf"), (STATE / "npmrc", "/root/.npmrc")]
    return [word for here, there in volumes for word in ("--volume", f"{here}:{there}:ro")]


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildImagesError(f"{' '.join(words[:2])} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
