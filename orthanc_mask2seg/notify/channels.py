"""Ways to tell: a webhook, signed, and e-mail. Each fails with an exception, and says nothing secret in it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import smtplib
import ssl
import time
from contextlib import closing
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

from orthanc_mask2seg.notify.message import Body, Message

SECONDS = 10.0
SIGNATURE, TIMESTAMP = "X-Mask2Seg-Signature", "X-Mask2Seg-Timestamp"
OK = range(200, 300)


class Undelivered(Exception):
    """The other side did not take it."""


class Channel(Protocol):
    """A way to tell somebody."""

    @property
    def name(self) -> str:
        """What a log may call it: the host, without a path, which may hold a secret."""

    def send(self, message: Message) -> None:
        """Tell; raises what goes wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """POST of a message to an address."""

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    body: Body = field(default_factory=Body)

    @property
    def name(self) -> str:
        """Its host."""
        return f"webhook {urlsplit(self.url).hostname}"

    def send(self, message: Message) -> None:
        """Post it: nowhere else than to this address, by no proxy, and whatever is answered is not read.

        Raises
        ------
        Undelivered
            It was not taken.
        """
        content, stamp = self.body.of(message), str(int(time.time()))
        headers = {"Content-Type": "application/json", TIMESTAMP: stamp, "User-Agent": "mask2seg"}
        if self.secret:
            headers[SIGNATURE] = f"sha256={signature(self.secret, stamp, content)}"
        address = urlsplit(self.url)
        with closing(_connection(address)) as connection:
            connection.request("POST", urlunsplit(("", "", address.path or "/", address.query, "")), content, headers)
            status = connection.getresponse().status
        if status not in OK:
            raise Undelivered(f"status {status}")


def _connection(address: SplitResult) -> http.client.HTTPConnection:
    """A connection that knows no proxy and follows no redirect."""
    host = address.hostname or ""
    if address.scheme == "https":
        return http.client.HTTPSConnection(host, address.port, timeout=SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, address.port, timeout=SECONDS)


def signature(secret: str, stamp: str, content: bytes) -> str:
    """HMAC-SHA256 of the time and the body, hexadecimal: who gets it can tell that it is ours, and new."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + content, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """E-mail by one server.

    Attributes
    ----------
    tls
        "starttls", "tls", or "none".
    """

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    tls: str = "starttls"

    @property
    def name(self) -> str:
        """Its host."""
        return f"mail {self.host}"

    def send(self, message: Message) -> None:
        """Send it; raises what smtplib raises."""
        letter = EmailMessage()
        letter["Subject"], letter["From"], letter["To"] = message.subject, self.sender, ", ".join(self.recipients)
        letter["Date"] = formatdate(message.at)
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text)
        with self._server() as server:
            if self.username:
                server.login(self.username, self.password)
            server.send_message(letter)

    def _server(self) -> smtplib.SMTP:
        if self.tls == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=ssl.create_default_context())
        server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        if self.tls == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server
