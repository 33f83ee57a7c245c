"""The HTTP clients of one Orthanc, and the one door where their exceptions become ours.

pyorthanc (httpx) speaks for the index, requests carries the bytes. Both hold few connections, follow no redirect,
read no proxy variable and no .netrc, ask for uncompressed answers (Orthanc's gzip is twenty times slower than the
network), and give up on an answer that is too large or does not end. Orthanc closes idle connections after one
second: a request that can be repeated is sent once more when its connection drops.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import pyorthanc
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveDenied,
    ArchiveError,
    ArchiveRejected,
    ArchiveUnreachable,
    ConfigurationError,
    NotInArchive,
)
from orthanc_mask2seg.pacs.orthanc_json import understood

CONNECTIONS = 4
"""Connections of each of the two clients."""

KEEP_ALIVE_SECONDS = 0.5
"""Idle connections are dropped after this; Orthanc does it after 1 s."""

DEADLINE_TIMEOUTS = 10
"""An answer or an upload that takes so many timeouts in all is given up, however steadily it trickles."""

MAX_INSTANCE_BYTES = 2 << 30
"""Largest DICOM file that is taken."""

MAX_INDEX_BYTES = 256 << 20
"""Largest answer about the index that is taken."""

BLOCK = 1 << 20
"""Bytes sent or received at a time."""

HEADERS = {"Accept-Encoding": "identity", "User-Agent": "orthanc-mask2seg"}

_CHATTY_LOGGERS = ("httpx", "httpcore", "urllib3")

_TIMEOUTS = (httpx.TimeoutException, requests.Timeout, urllib3.exceptions.TimeoutError)
_DROPPED = (
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)
_OTHER = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, requests.RequestException, OSError)

T = TypeVar("T")


class ConnectionDropped(ArchiveUnreachable):
    """The connection was refused or broke."""


class OrthancHttp:
    """Requests to one Orthanc.

    Parameters
    ----------
    timeout
        Longest silence inside one answer, in seconds.
    authorization
        Whole Authorization header, in place of a user and a password.
    max_bytes
        Largest answer that is taken, for DICOM files.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        timeout: float,
        *,
        authorization: str = "",
        max_bytes: int = MAX_INSTANCE_BYTES,
    ) -> None:
        _quieten()
        self.url = _checked_url(url)
        self._timeout = timeout
        self._deadline = timeout * DEADLINE_TIMEOUTS
        self._max_bytes = max_bytes
        headers = {**HEADERS, "Authorization": authorization} if authorization else HEADERS
        username = "" if authorization else username
        self._client = self._index_client(username, password, headers)
        self._session = _bytes_session(username, password, headers)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._session.close()

    def index(self, what: str, call: Callable[[pyorthanc.Orthanc], Any]) -> Any:
        """Ask something about the index and read the JSON answer."""
        answer = self._asked(what, call)
        with understood(what):
            return json.loads(answer.content)

    def fetch(self, what: str, path: str) -> bytes:
        """Download a file."""

        def send() -> tuple[int, bytes]:
            with self._guarded(), self._requested("GET", path) as response:
                return response.status_code, self._body(response)

        status, body = _repeated(send)
        _check(what, status, body)
        return body

    def post(self, what: str, path: str, content: bytes) -> Any:
        """Upload a file, once, and read the JSON answer."""
        upload = _Upload(content, self._deadline)
        with self._guarded(), self._requested("POST", path, data=upload) as response:
            status, body = response.status_code, self._body(response)
        _check(what, status, body)
        with understood(what):
            return json.loads(body)

    def put(self, what: str, path: str, content: bytes = b"") -> None:
        """Set something; repeating it changes nothing."""
        self._changed(what, "PUT", path, content)

    def delete(self, what: str, path: str) -> None:
        """Delete something; repeating it changes nothing."""
        self._changed(what, "DELETE", path, b"")

    def _changed(self, what: str, method: str, path: str, content: bytes) -> None:
        def send() -> tuple[int, bytes]:
            body = _Upload(content, self._deadline) if content else None
            with self._guarded(), self._requested(method, path, data=body) as response:
                return response.status_code, self._body(response)

        _check(what, *_repeated(send))

    def _index_client(self, username: str, password: str, headers: dict[str, str]) -> pyorthanc.Orthanc:
        limits = httpx.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
        )
        return pyorthanc.Orthanc(
            self.url,
            return_raw_response=True,
            auth=httpx.BasicAuth(username, password) if username else None,
            headers=headers,
            timeout=httpx.Timeout(self._timeout, pool=self._deadline),
            transport=_GuardedTransport(httpx.HTTPTransport(limits=limits, trust_env=False), self._deadline),
            follow_redirects=False,
            trust_env=False,
        )

    def _asked(self, what: str, call: Callable[[pyorthanc.Orthanc], Any]) -> httpx.Response:
        def send() -> httpx.Response:
            with self._guarded():
                answer: httpx.Response = call(self._client)
                return answer

        answer = _repeated(send)
        _check(what, answer.status_code, answer.content)
        return answer

    def _requested(self, method: str, path: str, data: io.BytesIO | None = None) -> requests.Response:
        timeouts = (self._timeout, self._timeout)
        return self._session.request(
            method, f"{self.url}{path}", data=data, stream=True, timeout=timeouts, allow_redirects=False
        )

    def _body(self, response: requests.Response) -> bytes:
        """Read an answer block by block, watching its size and the time that it takes."""
        _refuse_compressed(response.headers.get("Content-Encoding"))
        guard = _Guard(self._max_bytes, self._deadline)
        received = io.BytesIO()
        while block := response.raw.read1(BLOCK, decode_content=False):
            guard.passed(len(block))
            received.write(block)
        return received.getvalue()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Translate what the HTTP libraries raise; their messages hold URLs and stay behind."""
        try:
            yield
        except _TIMEOUTS:
            raise ArchiveUnreachable(f"Orthanc at {self.url} did not answer within {self._timeout:g} s") from None
        except _DROPPED as error:
            message = f"Orthanc at {self.url} cannot be reached ({type(error).__name__})"
            raise ConnectionDropped(message) from None
        except _OTHER as error:
            raise ArchiveRejected(f"The request to Orthanc failed ({type(error).__name__})") from None


def _repeated(send: Callable[[], T]) -> T:
    """Send, and once more when the connection drops: Orthanc may have closed it as idle."""
    try:
        return send()
    except ConnectionDropped:
        return send()


class _Guard:
    """Counts the bytes and the seconds of one transfer."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._left = max_bytes
        self._end = time.monotonic() + seconds

    def passed(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ArchiveRejected("Orthanc's answer is larger than is accepted")
        if time.monotonic() > self._end:
            raise ArchiveUnreachable("A transfer from or to Orthanc did not end in time")


class _Upload(io.BytesIO):
    """Content to be sent: watches the deadline, and shares the bytes instead of copying them."""

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__(content)
        self._guard = _Guard(len(content), seconds)

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self._guard.passed(0)
        return block


class _GuardedStream(httpx.SyncByteStream):
    """The body of an answer, watched."""

    def __init__(self, inner: httpx.SyncByteStream, guard: _Guard) -> None:
        self._inner = inner
        self._guard = guard

    def __iter__(self) -> Iterator[bytes]:
        for block in self._inner:
            self._guard.passed(len(block))
            yield block

    def close(self) -> None:
        self._inner.close()


class _GuardedTransport(httpx.BaseTransport):
    """httpx's transport, with limits on the size and the duration of an answer."""

    def __init__(self, inner: httpx.BaseTransport, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        try:
            _refuse_compressed(response.headers.get("content-encoding"))
        except ArchiveRejected:
            response.close()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _GuardedStream(response.stream, _Guard(MAX_INDEX_BYTES, self._seconds))
        return response

    def close(self) -> None:
        self._inner.close()


class _Adapter(HTTPAdapter):
    """requests' adapter with larger blocks: uploads leave in pieces of `BLOCK` bytes, not of 16 kB."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, blocksize=BLOCK, **pool_kwargs)


def _bytes_session(username: str, password: str, headers: dict[str, str]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.update(headers)
    if username:
        session.auth = HTTPBasicAuth(username.encode(), password.encode())
    adapter = _Adapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0, pool_block=True)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError("OrthancUrl must be an address such as http://127.0.0.1:8042")
    if "@" in parts.netloc:
        raise ConfigurationError("OrthancUrl must not hold a name or password: use OrthancUsername, OrthancPassword")
    return url.rstrip("/")


def _quieten() -> None:
    """Keep the HTTP libraries from writing whole URLs into the log."""
    for name in _CHATTY_LOGGERS:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING or logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def _refuse_compressed(encoding: str | None) -> None:
    if encoding and encoding.strip().lower() != "identity":
        raise ArchiveRejected("Orthanc, or a proxy before it, sent a compressed answer, which was not asked for")


def _check(what: str, status: int, body: bytes) -> None:
    """Raise what a status code means."""
    if requests.codes.ok <= status < requests.codes.multiple_choices:
        return
    detail = _orthanc_status(body)
    raise _fault(status)(f"Orthanc answered {status} to {what}{detail}")


def _fault(status: int) -> type[ArchiveError]:
    if status in {requests.codes.unauthorized, requests.codes.forbidden}:
        return ArchiveDenied
    if status == requests.codes.not_found:
        return NotInArchive
    if status == requests.codes.too_many_requests or status >= requests.codes.internal_server_error:
        return ArchiveBusy
    return ArchiveRejected


def _orthanc_status(body: bytes) -> str:
    """Orthanc's own error number; its words may quote the patient's data."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        return f" (OrthancStatus {int(json.loads(body)['OrthancStatus'])})"
    return ""
