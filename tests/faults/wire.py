"""HTTP/1.1 in the small, as the proxy needs it: requests and replies whole, halved or never ended."""

from __future__ import annotations

import contextlib
import http
import socket
import struct
from dataclasses import dataclass
from typing import Any

JSON = "application/json"


class Dropped(Exception):
    """The connection has ended here."""


@dataclass(slots=True)
class Request:
    """A request on its way; `number` counts those of its kind."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    kind: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def of(cls, status: int, body: bytes, kind: str = JSON) -> Reply:
        return cls(status, (("Content-Type", kind),), body)

    @property
    def head(self) -> bytes:
        """The first lines, up to the empty one."""
        lines = [f"HTTP/1.1 {self.status} {http.HTTPStatus(self.status).phrase}"]
        dropped = {"content-length", "transfer-encoding", "connection", "keep-alive"}
        lines += [f"{k}: {v}" for k, v in self.headers if k.lower() not in dropped]
        lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_request(stream: Any) -> Request | None:
    """The next request of a connection; None at its end."""
    line = stream.readline(65536)
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := stream.readline(65536)).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    body = stream.read(length) if length else b""
    return Request(method, path, headers, body) if len(body) == length else None


def head_of_request(request: Request) -> bytes:
    """The first lines of a request."""
    lines = [f"{request.method} {request.path} HTTP/1.1", "Host: orthanc"]
    lines += [f"{k}: {v}" for k, v in request.headers.items() if k not in {"host", "connection"}]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def abort(connection: socket.socket) -> None:
    """End a connection with a reset, and what is done for it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shut(connection)


def shut(connection: socket.socket) -> None:
    """End a connection, and what is done for it."""
    # the file that requests are read from holds the descriptor open, so close() alone would send nothing
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    raise Dropped
