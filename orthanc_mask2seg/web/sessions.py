"""Who has shown the token: sessions of browsers, and how often somebody may guess."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from itsdangerous import BadSignature, TimestampSigner

SESSION_SECONDS = 12 * 3600
"""A browser has to log in again after so long; after a restart of the service, too."""

MOST_FAILURES = 5
FAILURE_SECONDS = 60.0
"""So many wrong tokens from one address within so many seconds, and the next ones are told to wait.

The right one always comes in: behind a proxy all have one address, and a token is too long to be guessed.
"""

MOST_ADDRESSES = 4096
"""Addresses whose failures are remembered."""

MOST_ENDED = 4096


class Sessions:
    """Logins by token.

    Parameters
    ----------
    token
        What those have to show who come in; '' lets nobody log in.
    secure
        The page is served by TLS: the cookie is never sent without.
    """

    def __init__(self, token: str, *, secure: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._token, self.secure, self._clock = token, secure, clock
        self._signer = TimestampSigner(secrets.token_bytes(32), salt="mask2seg session")
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def cookie(self) -> str:
        """Name of the cookie; the prefix makes browsers insist on what we ask of it (RFC 6265bis section 4.1.3.2)."""
        return "__Host-mask2seg" if self.secure else "mask2seg"

    def held_off(self, address: str) -> bool:
        """Whether an address has guessed wrong too often of late."""
        recent = self._failures.get(address, deque())
        while recent and recent[0] < self._clock() - FAILURE_SECONDS:
            recent.popleft()
        return len(recent) >= MOST_FAILURES

    def knows(self, token: str, address: str) -> bool:
        """Whether this is the token; if it is not, that is remembered."""
        if self._token and hmac.compare_digest(token.encode(), self._token.encode()):
            return True
        self._failures.setdefault(address, deque(maxlen=MOST_FAILURES)).append(self._clock())
        self._failures.move_to_end(address)
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)
        return False

    def begin(self) -> str:
        """A new session: the value of its cookie."""
        return self._signer.sign(secrets.token_urlsafe(18)).decode()

    def lives(self, value: str) -> bool:
        """Whether a cookie is of a session that we began, that is young, and that nobody ended."""
        try:
            name = self._signer.unsign(value, max_age=SESSION_SECONDS).decode()
        except (BadSignature, UnicodeError):
            return False
        return name not in self._ended

    def end(self, value: str) -> None:
        """Log out."""
        if self.lives(value):
            self._ended[value.split(".", maxsplit=1)[0]] = None
            while len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)
