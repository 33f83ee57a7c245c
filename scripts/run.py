"""Start a real Orthanc, which starts the service, send a demonstration study, and stay until Ctrl-C.

Run it by `make run`. Everything that it makes is in .state/ beside the configuration file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import get_debian
import orthanc_tree
from child import Child
from rich.console import Console

from orthanc_mask2seg.config import Settings, load
from orthanc_mask2seg.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
MASK2SEG = Path(sys.executable).parent / "mask2seg"
READY_S = 60
DEMO_S = 300
HEALTH = "/mask2seg/healthz"

console = Console(highlight=False, markup=False)


class RunError(Exception):
    """Something does not run."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("-c", "--config", type=Path, default=ROOT / "orthanc.json", help="Orthanc's configuration file")
    parser.add_argument("--once", action="store_true", help="stop after the demonstration")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(arguments.config.resolve(), once=arguments.once)
    except KeyboardInterrupt:
        console.print("Stopped.")
    except (RunError, ConfigurationError, get_debian.GetDebianError) as error:
        console.print("Failed:", style="red", end=" ")
        console.print(error, soft_wrap=True)
        sys.exit(1)


def run(config: Path, *, once: bool) -> None:
    """Start Orthanc, demonstrate, wait; whatever happens, stop it, and with it the service."""
    settings = load(config)
    address = urlsplit(settings.orthanc_url)
    _assert_free(address.hostname or "", address.port or 80, "HttpPort")
    tree = orthanc_tree.fetch()
    state = config.parent / ".state" / "run"
    (state / "orthanc").mkdir(parents=True, exist_ok=True)

    with contextlib.ExitStack() as running:
        log = state / "orthanc.log"
        log.unlink(missing_ok=True)
        words, environment = orthanc_tree.command(tree, config), orthanc_tree.environment(tree)
        orthanc = Child("Orthanc", words, log, environment=environment, folder=ROOT)  # PythonScript is relative to it
        running.callback(_stop, orthanc)
        _wait_until("Orthanc answers", READY_S, lambda: _answers(f"{settings.orthanc_url}/tools/now"), orthanc)
        _wait_until("the service is ready", READY_S, lambda: _answers(f"{settings.orthanc_url}{HEALTH}"), orthanc)
        console.print("Open:", *_pages(settings), sep="\n  ", soft_wrap=True)
        _show(_demonstrate(config, orthanc))
        if once:
            return
        console.print(f"Orthanc and the service keep running; Ctrl-C stops them. Logs: {state}", soft_wrap=True)
        while True:
            _assert_alive(orthanc)
            time.sleep(0.2)


def _assert_free(host: str, port: int, setting: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RunError(
                f"port {port} of {host} cannot be used ({error.strerror}). "
                f"Does another 'make run' or Orthanc run here? Stop it, or change {setting} in the configuration file."
            ) from None


def _assert_alive(*children: Child) -> None:
    for child in children:
        if child.status is not None:
            raise RunError(f"{child.name} ended (status {child.status}). Its log, {child.log}:\n{child.tail()}")


def _wait_until(
    what: str, seconds: float, is_so: Callable[[], bool], *alive: Child, doing: Callable[[], str] = lambda: ""
) -> None:
    """Wait until something is so, as long as the given children live, and show what is going on."""
    begin = time.monotonic()
    with console.status(f"Waiting until {what} ...") as status:
        while not is_so():
            _assert_alive(*alive)
            if time.monotonic() - begin > seconds:
                raise RunError(f"waited {seconds:.0f} s in vain until {what}; see the logs in {alive[0].log.parent}")
            if now := doing():
                status.update(now)
            time.sleep(0.1)
    console.print(f"{what[0].upper()}{what[1:]} ({time.monotonic() - begin:.1f} s).")


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _demonstrate(config: Path, *alive: Child) -> dict[str, Any]:
    """Send the demonstration studies; what `mask2seg demo` says of them."""
    words = [str(MASK2SEG), "demo", "-c", str(config), "--json"]
    log = alive[0].log.with_name("demo.log")
    with (
        tempfile.TemporaryFile() as printed,
        log.open("wb") as progress,
        subprocess.Popen(words, stdout=printed, stderr=progress) as demo,
    ):
        try:
            is_done = lambda: demo.poll() is not None  # noqa: E731
            _wait_until("the segmentations are there", DEMO_S, is_done, *alive, doing=lambda: _last_line(log))
        finally:
            demo.kill()
        printed.seek(0)
        said = printed.read().decode()
    if demo.returncode:
        tails = "\n".join(f"{child.log}:\n{child.tail(8)}" for child in alive)
        raise RunError(f"the demonstration did not succeed: {said}\n{_last_line(log)}\n{tails}")
    document = json.loads(said)
    assert isinstance(document, dict)
    return document


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else ""


def _show(demo: dict[str, Any]) -> None:
    """Say what happened and where to look."""
    for study in demo["studies"]:
        waited = study["latency_s"]
        found = "was there already" if waited is None else f"was found after {waited:.2f} s"
        console.print(f"Study {study['study_instance_uid']}", soft_wrap=True)
        console.print(f"  its segmentation, series {study['segmentation_series_uid']}, {found}", soft_wrap=True)
    median = demo["median_latency_s"]
    if median is not None:
        console.print(f"From the last mask slice stored to the SEG found by QIDO-RS: median {median:.2f} s.")
    console.print("Open:", *demo.get("addresses", ()), sep="\n  ", soft_wrap=True)


def _pages(settings: Settings) -> list[str]:
    return [f"{settings.orthanc_url}/app/explorer.html", f"{settings.orthanc_url}/mask2seg/"]


def _stop(child: Child) -> None:
    if child.status is None:
        with console.status(f"Stopping {child.name} ..."):
            if not child.stop():
                console.print(f"{child.name} did not end in time and was killed.", style="yellow")


if __name__ == "__main__":
    main()
