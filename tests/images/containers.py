"""Containers of our images, run by buildah in a network of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import build_images

LOOPBACK = """
import fcntl, signal, socket, struct
up = struct.pack("16sH14x", b"lo", 0x49)  # IFF_UP, IFF_LOOPBACK, IFF_RUNNING
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, up)  # SIOCSIFFLAGS
print("up", flush=True)
signal.pause()
"""


class Network:
    """A network with nothing but a loopback of its own, so that what listens there is seen by nobody else."""

    def __enter__(self) -> Self:
        words = ["unshare", "--net", "python3", "-c", LOOPBACK]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def inside(self, words: Sequence[str]) -> list[str]:
        """The words of a command that runs in this network."""
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", *words]


class Container:
    """A container of an image; as a context manager, gone afterwards."""

    def __init__(
        self,
        image: str,
        network: Network,
        *,
        env: Mapping[str, str] | None = None,
        volumes: Mapping[Path, str] | None = None,
    ) -> None:
        self._image, self._network = image, network
        self._options = [w for name, value in (env or {}).items() for w in ("--env", f"{name}={value}")]
        self._options += [w for here, there in (volumes or {}).items() for w in ("--volume", f"{here}:{there}")]
        self._served: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        made = subprocess.run(
            build_images.buildah("from", "--pull-never", self._image), capture_output=True, text=True, check=True
        )
        self._name = made.stdout.strip()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        subprocess.run(build_images.buildah("rm", self._name), capture_output=True, check=True)

    def run(self, *words: str, code: int = 0, timeout: float = 120) -> str:
        """What a program in the container prints."""
        done = subprocess.run(self._words(words), capture_output=True, text=True, check=False, timeout=timeout)
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr  # buildah has codes of its own
        return done.stdout + done.stderr

    def serve(self, log: Path, *words: str) -> None:
        """Start what the container is for."""
        with log.open("w") as file:
            self._served = subprocess.Popen(
                self._words(words), stdout=file, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )

    def until(self, seconds: float, *words: str) -> str:
        """Run a program in the container until it succeeds."""
        end = time.monotonic() + seconds
        while True:
            done = subprocess.run(self._words(words), capture_output=True, text=True, check=False, timeout=120)
            if done.returncode == 0:
                return done.stdout
            assert time.monotonic() < end, done.stdout + done.stderr
            assert self._served is None or self._served.poll() is None, "what is served has ended"
            time.sleep(0.5)

    def stop(self) -> float:
        """End what is served, as a supervisor does; the seconds it took."""
        if self._served is None:
            return 0.0
        begin = time.monotonic()
        os.killpg(self._served.pid, signal.SIGTERM)
        self._served.wait(timeout=60)
        self._served = None
        return time.monotonic() - begin

    def _words(self, words: Sequence[str]) -> list[str]:
        return self._network.inside(
            build_images.buildah("run", "--isolation", "chroot", *self._options, self._name, "--", *words)
        )
