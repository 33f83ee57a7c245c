"""A total deadline for each answer, headers included: the timeouts of HTTP libraries begin anew with every byte."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import httpcore
import httpx
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

SLOWEST_BYTES_PER_SECOND = 1 << 20
"""What flows faster than this is not given up for its size."""


def seconds_for(count: int) -> float:
    """Time that so many bytes may take."""
    return count / SLOWEST_BYTES_PER_SECOND


@cache
def timed_pools(seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools of urllib3 by scheme, whose answers end after so many seconds in all."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
            super().__init__(sock, *arguments, **named)
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_TimedReader(raw, sock, seconds))

    class Plain(HTTPConnection):
        response_class = Response

    class Secure(HTTPSConnection):
        response_class = Response

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def timed_pool(url: str, seconds: float, **named: Any) -> HTTPConnectionPool:
    """Connections to one host."""
    parts = urllib3.util.parse_url(url)
    return timed_pools(seconds)[parts.scheme or "http"](parts.host or "", parts.port, **named)


class TimedTransport(httpx.HTTPTransport):
    """httpx's transport, whose answers end after so many seconds in all."""

    def __init__(self, context: Any, limits: httpx.Limits, seconds: float) -> None:
        super().__init__(context, limits=limits, trust_env=False)
        self._seconds, self._backend = seconds, _TimedBackend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=self._backend,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is read later, by the same thread."""
        self._backend.begin(self._seconds)
        return super().handle_request(request)


class _TimedReader(io.RawIOBase):
    """What a socket receives, until the time is over."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, seconds: float) -> None:
        super().__init__()
        self._raw, self._sock = raw, sock
        self._end, self._timeout = time.monotonic() + seconds, sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        if self._timeout is None or left < self._timeout:
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        self._end += seconds_for(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedBackend(httpcore.NetworkBackend):
    """Connects as httpcore does; what a thread reads has to end when the request that it began last has to."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self._now = threading.local()

    def begin(self, seconds: float) -> None:
        self._now.end = time.monotonic() + seconds

    def passed(self, count: int) -> None:
        """Note that so many bytes have passed."""
        if getattr(self._now, "end", None) is not None:
            self._now.end += seconds_for(count)

    def left(self, timeout: float | None) -> float | None:
        """Seconds for one operation."""
        end: float | None = getattr(self._now, "end", None)
        if end is None:
            return timeout
        left = end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer did not end in time")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.connect_tcp(host, port, self.left(timeout), local_address, socket_options)
        return _TimedStream(inner, self)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, backend: _TimedBackend) -> None:
        self._inner, self._backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        block = self._inner.read(max_bytes, self._backend.left(timeout))
        self._backend.passed(len(block))
        return block

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._backend.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._backend.left(timeout))
        return _TimedStream(inner, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
