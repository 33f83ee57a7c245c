"""Asks the service, over HTTP, within a deadline."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

DEADLINE_SECONDS = 30.0
CONNECT_SECONDS = 3.0
MOST_BYTES = 16 << 20
_BLOCK = 1 << 16


class Unavailable(Exception):
    """The service does not answer; the message is for people."""


@dataclass(frozen=True)
class Reply:
    """What the service said."""

    status: int
    content_type: str
    body: bytes


class Backend:
    """The service.

    Parameters
    ----------
    address
        Returns where it serves; '' while it is starting.
    token
        What it and we share.
    ca_file
        The only authorities that may have signed its certificate, in PEM; '' for those of the system.
    """

    def __init__(
        self, address: Callable[[], str], token: str, deadline_seconds: float = DEADLINE_SECONDS, ca_file: str = ""
    ) -> None:
        self._address, self._token, self._deadline_seconds = address, token, deadline_seconds
        self._ca_file = ca_file

    def ask(self, method: str, path: str) -> Reply:
        """Send a request without a body. Redirects are not followed, proxies not used.

        Raises
        ------
        Unavailable
            It is starting, does not answer, or takes too long.
        """
        address = self._address()
        if not address:
            raise Unavailable("The mask2seg service is starting. Try again in a few seconds.")
        deadline = time.monotonic() + self._deadline_seconds
        parts = urlsplit(address)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.connect()
            assert connection.sock is not None
            connection.sock.settimeout(self._deadline_seconds)
            connection.request(method, parts.path.rstrip("/") + path, headers=headers)
            response = connection.getresponse()
            body = _body(connection, response, deadline)
            return Reply(response.status, response.headers.get("Content-Type", ""), body)
        except TimeoutError:
            raise Unavailable("The mask2seg service did not answer in time. See its log.") from None
        except (OSError, http.client.HTTPException):
            raise Unavailable("The mask2seg service does not answer. Does it run? See the log of Orthanc.") from None
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        try:
            context = ssl.create_default_context(cafile=self._ca_file or None)
        except OSError:
            raise Unavailable("The certificates of ServiceCaFile cannot be read.") from None
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)


def _body(connection: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Read the body block by block, watching its size and the time that it takes."""
    body = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
        block = response.read1(_BLOCK)
        if not block:
            return bytes(body)
        body += block
        if len(body) > MOST_BYTES:
            raise http.client.HTTPException
