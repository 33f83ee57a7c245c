"""A real Orthanc for tests: started on a free port, killed, restarted, never left behind."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orthanc_tree
import requests
from child import Child

PORTS = range(20000, 32000)
"""Below the ports that outgoing connections take, so that nobody takes ours while Orthanc restarts."""

READY_S = 30
DICOMWEB = ("libOrthancDicomWeb.so",)
POSTGRESQL = ("libOrthancPostgreSQLIndex.so",)


class OrthancServer:
    """Orthanc of a Debian suite, with a storage folder and a port of its own and a password.

    It dies with the thread that started it.

    Arguments
    ---------
    folder
        Made if need be; holds the configuration file, the log (orthanc.log) and the storage.
    suite
        bookworm (1.10.1), trixie (1.12.7) or sid (1.13.0).
    plugins
        Files of plugins: names of those that the suite has, or paths.
    settings
        Orthanc's settings, over those that are here by default.
    index
        Address of a PostgreSQL database (`PostgresServer.create_database`) for Orthanc's index, instead of SQLite.
        Several Orthancs may share it, if they share the storage too.
    storage
        Folder of the storage, where another Orthanc has it already.
    clock
        Environment with which a library in LD_PRELOAD makes Orthanc's clock another one.
    """

    username = "tester"
    password = "correct horse"

    def __init__(
        self,
        folder: Path,
        *,
        suite: str = orthanc_tree.SUITE,
        plugins: Sequence[str | Path] = DICOMWEB,
        settings: Mapping[str, Any] | None = None,
        index: str = "",
        storage: Path | None = None,
        clock: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = dict(clock or {})
        self.folder = folder.absolute()
        self.suite = suite
        self.port = free_port()
        self.configuration = self.folder / "orthanc.json"
        self.storage = storage or self.folder / "storage"
        self._tree = orthanc_tree.fetch(suite, postgresql=bool(index))
        plugins = (*plugins, *POSTGRESQL) if index else plugins
        self._child: Child | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self.storage.mkdir(parents=True, exist_ok=True)
        document = {
            "Name": f"test {suite}",
            "StorageDirectory": str(self.storage),
            "IndexDirectory": str(self.storage),
            "HttpPort": self.port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.username: self.password},
            "DicomServerEnabled": False,
            "Plugins": [str(orthanc_tree.plugins(self._tree) / plugin) for plugin in plugins],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "SeriesMetadata": "Full"},
            **({"PostgreSQL": _postgresql(index)} if index else {}),
            **(settings or {}),
        }
        self.configuration.write_text(json.dumps(document, indent=2), encoding="utf-8")

    @property
    def url(self) -> str:
        """Address of the REST API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def auth(self) -> tuple[str, str]:
        """User and password, as requests wants them."""
        return self.username, self.password

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.status is None

    @property
    def log(self) -> str:
        """All that Orthanc has said, over all its starts."""
        return (self.folder / "orthanc.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> OrthancServer:
        """Start it and wait until it answers."""
        assert not self.running, "Orthanc runs already"
        loader, *words = orthanc_tree.command(self._tree, self.configuration)
        clock = {name: value for name, value in self._clock.items() if name != "LD_PRELOAD"}
        preload = ["--preload", self._clock["LD_PRELOAD"]] if self._clock else []  # for Orthanc's own C library only
        self._child = Child(
            "Orthanc",
            [loader, *preload, *words],
            self.folder / "orthanc.log",
            environment={**orthanc_tree.environment(self._tree), **clock},
            on_parent_death="KILL",
        )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                tail = self._child.tail()
                self.kill()
                raise RuntimeError(f"Orthanc did not start:\n{tail}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Ask it to end and wait until it has."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL)."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> OrthancServer:
        """Stop it, if it runs, and start it on the same port and storage."""
        self.stop()
        return self.start()

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """Answer to GET; raises for an error."""
        return self._request("GET", path, params=parameters)

    def post(self, path: str, body: bytes) -> requests.Response:
        """Answer to POST; raises for an error."""
        return self._request("POST", path, data=body)

    def delete(self, path: str) -> requests.Response:
        """Answer to DELETE; raises for an error."""
        return self._request("DELETE", path)

    def _request(self, method: str, path: str, **more: Any) -> requests.Response:
        answer = requests.request(method, self.url + path, auth=self.auth, timeout=60, **more)
        answer.raise_for_status()
        return answer

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/system", auth=self.auth, timeout=5).ok
        except requests.ConnectionError:
            return False


def _postgresql(url: str) -> dict[str, Any]:
    address = urlsplit(url)
    return {
        "EnableIndex": True,
        "EnableStorage": False,
        "Host": address.hostname,
        "Port": address.port,
        "Database": address.path.removeprefix("/"),
        "Username": unquote(address.username or ""),
        "Password": unquote(address.password or ""),
        "Lock": False,
        "EnableSsl": False,
        "TransactionMode": "ReadCommitted",
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
