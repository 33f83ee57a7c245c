"""What no server may do to the HTTP clients, with real sockets: trickle for ever, or be flooded with connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orthanc_mask2seg.addresses import DicomwebAddress
from orthanc_mask2seg.errors import ArchiveError, ArchiveUnreachable
from orthanc_mask2seg.pacs.dicomweb import DicomwebArchive
from orthanc_mask2seg.pacs.orthanc_http import OrthancHttp

TIMEOUT = 0.2
STEP = 0.05
HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Padding: "
END = b"\r\nContent-Length: 2\r\n\r\n[]"


class Server:
    """Takes connections, and counts how many there are at once."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.answer, self.lock, self.most = answer, threading.Lock(), 0
        self.held: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self.lock:
            self.held.add(connection)
            self.most = max(self.most, sum(map(_is_held, self.held)))
        try:
            with connection, contextlib.suppress(OSError):
                while connection.recv(1 << 16):
                    self.answer(connection)
        finally:
            with self.lock:
                self.held.discard(connection)


def _is_held(connection: socket.socket) -> bool:
    """Whether the client still holds it: a busy machine comes late to what was closed."""
    try:
        return connection.fileno() >= 0 and bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[socket.socket], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.listener.close()


def trickle(connection: socket.socket) -> None:
    """An answer that is right in the end, and whose header comes byte by byte, for longer than anybody waits."""
    connection.sendall(HEADER)
    for _ in range(int(40 * TIMEOUT / STEP)):
        connection.sendall(b"x")
        time.sleep(STEP)
    connection.sendall(END)


WAYS: dict[str, Callable[[OrthancHttp], Any]] = {
    "index": lambda http: http.index("it", lambda client: client.get_system()),
    "download": lambda http: http.fetch("it", "/x"),
    "question": lambda http: http.ask("GET", "/x"),
    "upload": lambda http: http.post("it", "/x", b"x" * 1000),
}


@pytest.mark.parametrize("way", WAYS)
def test_headers_that_trickle_are_given_up(serve: Any, way: str) -> None:
    http = OrthancHttp(serve(trickle).url, "", "", TIMEOUT)
    with contextlib.closing(http), pytest.raises(ArchiveUnreachable):
        WAYS[way](http)


def test_headers_of_dicomweb_that_trickle_are_given_up(serve: Any) -> None:
    address = DicomwebAddress(url=serve(trickle).url)
    with DicomwebArchive(address, TIMEOUT) as archive, pytest.raises(ArchiveUnreachable):
        list(archive.all_series())


def test_an_answer_in_time_is_taken_again_and_again(serve: Any) -> None:
    """The deadline of one answer is not that of the next on the same connection."""
    http = OrthancHttp(serve(lambda c: c.sendall(HEADER + END)).url, "", "", TIMEOUT)
    with contextlib.closing(http):
        for _ in range(3):
            for way in WAYS.values():
                way(http)
            time.sleep(12 * TIMEOUT / 3)


def test_at_most_eight_connections_however_many_ask(serve: Any) -> None:
    def slowly(connection: socket.socket) -> None:
        time.sleep(0.05)
        connection.sendall(HEADER + END)

    server = serve(slowly)
    http = OrthancHttp(server.url, "", "", 20)

    def ask(number: int) -> None:
        with contextlib.suppress(ArchiveError):
            list(WAYS.values())[number % len(WAYS)](http)

    with contextlib.closing(http), ThreadPoolExecutor(32) as pool:
        list(pool.map(ask, range(200)))
    assert 4 <= server.most <= 8
