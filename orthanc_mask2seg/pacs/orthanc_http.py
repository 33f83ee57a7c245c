"""The HTTP clients of one Orthanc, and the one door where their exceptions become ours.

pyorthanc (httpx) speaks for the index, requests sends bytes, urllib3 fetches them. They hold eight connections in all,
follow no redirect, read no proxy variable and no .netrc, ask for uncompressed answers (Orthanc's gzip is twenty times
slower than the network), and give up on an answer that is too large or does not end. Orthanc closes idle connections
after one second: a request that can be repeated is sent once more when its connection drops.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyorthanc
import requests
import urllib3
from requests.auth import HTTPBasicAuth
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from orthanc_mask2seg.addresses import TlsFiles
from orthanc_mask2seg.errors import (
    ArchiveDenied,
    ArchiveForbidden,
    ArchiveFull,
    ArchiveRejected,
    ArchiveUnreachable,
    ConfigurationError,
)
from orthanc_mask2seg.pacs.deadline import TimedTransport, timed_pool
from orthanc_mask2seg.pacs.orthanc_json import understood
from orthanc_mask2seg.pacs.transfer import (
    HEADERS,
    MAX_INDEX_BYTES,
    MAX_INSTANCE_BYTES,
    Adapter,
    ConnectionDropped,
    Guard,
    Upload,
    answer_seconds,
    fault_of,
    quieten,
    received,
    refuse_compressed,
    repeated,
)

CONNECTIONS = 4
"""Connections for downloads."""

INDEX_CONNECTIONS = UPLOAD_CONNECTIONS = 2
"""Connections of the two others; eight in all."""

KEEP_ALIVE_SECONDS = 0.5
"""Idle connections are dropped after this; Orthanc does it after 1 s."""

TLS_HINT = "Check the certificate of Orthanc and OrthancCaFile; if Orthanc asks for one, also ours."
NO_TLS_FILES = TlsFiles()
MOST_CAUSES = 8
STORE = "a store"
FULL = frozenset({14, 19, 1009})
"""OrthancStatus, with HTTP 500, of a full or read-only disk: no file written, storage full, SQLite cannot write."""

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


class OrthancHttp:
    """Requests to one Orthanc.

    Parameters
    ----------
    timeout
        Longest silence inside one answer, in seconds.
    authorization
        Whole Authorization header, in place of a user and a password.
    tls
        What is trusted and shown where the address begins with https.
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
        tls: TlsFiles = NO_TLS_FILES,
        max_bytes: int = MAX_INSTANCE_BYTES,
    ) -> None:
        quieten(*_CHATTY_LOGGERS)
        self.url = _checked_url(url)
        self._timeout = timeout
        self._deadline = answer_seconds(timeout)
        self._max_bytes = max_bytes
        headers = {**HEADERS, "Authorization": authorization} if authorization else HEADERS
        username = "" if authorization else username
        context = _tls_context(tls)
        self._client = self._index_client(username, password, headers, context)
        self._session = _bytes_session(username, password, headers, tls, self._deadline)
        self._headers = {**headers, **(_basic(username, password) if username else {})}
        parts = urlsplit(self.url)
        self._prefix = parts.path
        self._pool = _pool(self.url, context, self._deadline)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._session.close()
        self._pool.close()

    def index(self, what: str, call: Callable[[pyorthanc.Orthanc], Any]) -> Any:
        """Ask something about the index and read the JSON answer."""
        answer = self._asked(what, call)
        with understood(what):
            return json.loads(answer.content)

    def fetch(self, what: str, path: str) -> bytes:
        """Download a file."""
        return self.fetch_tagged(what, path)[0]

    def fetch_tagged(self, what: str, path: str, *, first: int | None = None) -> tuple[bytes, str]:
        """Download a file, or its first bytes only, together with its ETag ('' where it has none).

        Many small downloads in a row: urllib3 alone, which requests stands on, takes a third of the time.
        """
        headers = self._headers if first is None else {**self._headers, "Range": f"bytes=0-{first - 1}"}

        def send() -> tuple[int, bytes, str]:
            with self._guarded():
                response = self._pool.urlopen(
                    "GET",
                    self._prefix + path,
                    headers=headers,
                    retries=False,
                    redirect=False,
                    timeout=urllib3.Timeout(connect=self._timeout, read=self._timeout),
                    pool_timeout=int(self._deadline),
                    preload_content=False,
                    decode_content=False,
                )
                try:
                    body = received(response, self._max_bytes, self._deadline)
                except BaseException:
                    response.close()
                    raise
                finally:
                    response.release_conn()
                return response.status, body, str(response.headers.get("ETag") or "")

        status, body, tag = repeated(send)
        self._check(what, status, body)
        if first is not None and status != requests.codes.partial_content and len(body) > first:
            raise ArchiveRejected("Orthanc sent a whole file where a part was asked for")
        return body, tag

    def ask(
        self, method: str, path: str, *, content: bytes = b"", accept: str = "application/json"
    ) -> tuple[int, bytes]:
        """Ask, and take whatever it answers: (status, body). For questions where a refusal is an answer, too."""
        data = Upload(content, self._deadline) if content else None  # an empty stream would be sent in chunks
        with self._guarded(), self._requested(method, path, data, {"Accept": accept}) as response:
            return response.status_code, self._body(response)

    def asked(self, method: str, path: str) -> tuple[int, bytes]:
        """The same, for what may be asked twice: once more where the connection drops."""
        return repeated(lambda: self.ask(method, path, accept="*/*"))

    def send(self, what: str, method: str, path: str, content: bytes = b"") -> None:
        """Write something small that may be written twice."""
        status, body = repeated(lambda: self.ask(method, path, content=content))
        self._check(what, status, body)

    def post(self, what: str, path: str, content: bytes) -> Any:
        """Upload a file, once, and read the JSON answer."""
        upload = Upload(content, self._deadline)
        with self._guarded(), self._requested("POST", path, data=upload) as response:
            status, body = response.status_code, self._body(response)
        check(what, status, body)
        with understood(what):
            return json.loads(body)

    def _index_client(
        self, username: str, password: str, headers: dict[str, str], context: ssl.SSLContext
    ) -> pyorthanc.Orthanc:
        limits = httpx.Limits(
            max_connections=INDEX_CONNECTIONS,
            max_keepalive_connections=INDEX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
        )
        return pyorthanc.Orthanc(
            self.url,
            return_raw_response=True,
            auth=httpx.BasicAuth(username, password) if username else None,
            headers=headers,
            timeout=httpx.Timeout(self._timeout, pool=self._deadline),
            transport=_GuardedTransport(TimedTransport(context, limits, self._deadline), self._deadline),
            follow_redirects=False,
            trust_env=False,
        )

    def _asked(self, what: str, call: Callable[[pyorthanc.Orthanc], Any]) -> httpx.Response:
        def send() -> httpx.Response:
            with self._guarded():
                answer: httpx.Response = call(self._client)
                return answer

        answer = repeated(send)
        self._check(what, answer.status_code, answer.content)
        return answer

    def _check(self, what: str, status: int, body: bytes) -> None:
        """As `check`; where it is only this that is forbidden, everything else goes on."""
        try:
            check(what, status, body)
        except ArchiveDenied as error:
            if self.asked("GET", "/system")[0] != requests.codes.ok:
                raise
            raise ArchiveForbidden(str(error)) from None

    def _requested(
        self, method: str, path: str, data: io.BytesIO | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        timeouts = (self._timeout, self._timeout)
        return self._session.request(
            method,
            f"{self.url}{path}",
            data=data,
            headers=headers,
            stream=True,
            timeout=timeouts,
            allow_redirects=False,
        )

    def _body(self, response: requests.Response) -> bytes:
        return received(response.raw, self._max_bytes, self._deadline)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Translate what the HTTP libraries raise; their messages hold URLs and stay behind."""
        try:
            yield
        except _TIMEOUTS:
            raise ArchiveUnreachable(f"Orthanc at {self.url} did not answer within {self._timeout:g} s") from None
        except _DROPPED as error:
            if _is_tls(error):
                raise ArchiveUnreachable("No TLS connection to Orthanc that can be trusted", hint=TLS_HINT) from None
            message = f"Orthanc at {self.url} cannot be reached ({type(error).__name__})"
            raise ConnectionDropped(message) from None
        except _OTHER as error:
            raise ArchiveRejected(f"The request to Orthanc failed ({type(error).__name__})") from None


class _GuardedStream(httpx.SyncByteStream):
    """The body of an answer, watched."""

    def __init__(self, inner: httpx.SyncByteStream, guard: Guard) -> None:
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
            refuse_compressed(response.headers.get("content-encoding"))
        except ArchiveRejected:
            response.close()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _GuardedStream(response.stream, Guard(MAX_INDEX_BYTES, self._seconds))
        return response

    def close(self) -> None:
        self._inner.close()


def _tls_context(tls: TlsFiles) -> ssl.SSLContext:
    """The certificate of the server is checked, its name too; by these authorities alone, where there are some."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or DEFAULT_CA_BUNDLE_PATH)
        if tls.certificate_file:
            context.load_cert_chain(tls.certificate_file, tls.key_file or None)
    except OSError as error:
        what = type(error).__name__ if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigurationError(f"OrthancCaFile, OrthancCertificateFile or OrthancKeyFile: {what}") from None
    return context


def _bytes_session(
    username: str, password: str, headers: dict[str, str], tls: TlsFiles, seconds: float
) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = tls.ca_file or True
    if tls.certificate_file:
        session.cert = (tls.certificate_file, tls.key_file) if tls.key_file else tls.certificate_file
    session.headers.update(headers)
    if username:
        session.auth = HTTPBasicAuth(username.encode(), password.encode())
    adapter = Adapter(UPLOAD_CONNECTIONS, seconds)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _is_tls(error: BaseException | None) -> bool:
    """Whether a connection failed because of a certificate; the libraries wrap that several times."""
    seen = 0
    while error is not None and seen < MOST_CAUSES:
        if isinstance(error, ssl.SSLCertVerificationError | requests.exceptions.SSLError):
            return True
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _basic(username: str, password: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {credentials}"}


def _pool(url: str, context: ssl.SSLContext, seconds: float) -> urllib3.HTTPConnectionPool:
    """Connections for downloads."""
    more = {"ssl_context": context} if url.startswith("https") else {}
    return timed_pool(url, seconds, maxsize=CONNECTIONS, block=True, **more)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError("OrthancUrl must be an address such as http://127.0.0.1:8042")
    if "@" in parts.netloc:
        raise ConfigurationError("OrthancUrl must not hold a name or password: use OrthancUsername, OrthancPassword")
    return url.rstrip("/")


def check(what: str, status: int, body: bytes) -> None:
    """Raise what a status code, or Orthanc's own error number, means."""
    if requests.codes.ok <= status < requests.codes.multiple_choices:
        return
    number = orthanc_status(body)
    read_only = status == requests.codes.not_allowed and what == STORE
    full = number in FULL and status == requests.codes.internal_server_error
    kind = ArchiveFull if full or read_only else fault_of(status)
    detail = "" if number is None else f" (OrthancStatus {number})"
    raise kind(f"Orthanc answered {status} to {what}{detail}")


def orthanc_status(body: bytes) -> int | None:
    """Orthanc's own error number, where Orthanc itself answered; its words may quote the patient's data."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        return int(json.loads(body)["OrthancStatus"])
    return None
