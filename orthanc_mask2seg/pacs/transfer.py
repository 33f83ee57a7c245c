"""What every HTTP client of an archive shares: limits on size and time, large blocks, no compression, no chatter."""

from __future__ import annotations

import io
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.response import BaseHTTPResponse

from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveDenied,
    ArchiveError,
    ArchiveFull,
    ArchiveGarbled,
    ArchiveRejected,
    ArchiveUnreachable,
    NotInArchive,
    NotSupported,
)
from orthanc_mask2seg.pacs.deadline import seconds_for, timed_pools

DEADLINE_TIMEOUTS = 10
"""An answer or an upload that takes so many timeouts in all is given up, however steadily it trickles."""

LONGEST_ANSWER_SECONDS = 100.0
"""The same, where the timeouts are long: two such answers end before the job does that waits for them."""

MAX_INSTANCE_BYTES = 2 << 30
"""Largest DICOM file that is taken."""

MAX_INDEX_BYTES = 256 << 20
"""Largest answer about the index that is taken."""

BLOCK = 1 << 20
"""Bytes sent or received at a time."""

BODILESS = frozenset({requests.codes.no_content, requests.codes.not_modified})

_NOT_THE_ARCHIVE = frozenset({requests.codes.proxy_authentication_required, 425})
_NO_SUCH_FUNCTION = frozenset({requests.codes.not_implemented, requests.codes.http_version_not_supported})

HEADERS = {"Accept-Encoding": "identity", "User-Agent": "orthanc-mask2seg"}

AHEAD = 8
"""Instances fetched or waiting to be taken, beyond the one that is being worked on, however large they are."""

MOST_AHEAD = 64
BYTES_AHEAD = 16 << 20
"""So many where they are small, and as many bytes: whoever works on them on a busy machine keeps nobody waiting."""

S = TypeVar("S")
T = TypeVar("T")


class ConnectionDropped(ArchiveUnreachable):
    """The connection was refused or broke."""


def repeated(send: Callable[[], T]) -> T:
    """Send, and once more when the connection drops: the archive may have closed it as idle."""
    try:
        return send()
    except ConnectionDropped:
        return send()


def fetched(fetch: Callable[[S], T], keys: Sequence[S], connections: int) -> Iterator[T]:
    """What `fetch` gives for each key, in order, over several connections."""
    waiting = deque(keys)
    coming: deque[Future[T]] = deque()
    ahead = AHEAD
    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        try:
            while waiting or coming:
                while waiting and len(coming) < ahead:
                    coming.append(pool.submit(fetch, waiting.popleft()))
                found = coming.popleft().result()
                if isinstance(found, bytes):
                    ahead = min(MOST_AHEAD, max(AHEAD, BYTES_AHEAD // (len(found) + 1)))
                yield found
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def answer_seconds(timeout: float) -> float:
    """Longest time of an answer of no size; one that flows well may take longer (`seconds_for`)."""
    return min(timeout * DEADLINE_TIMEOUTS, max(LONGEST_ANSWER_SECONDS, timeout))


class Guard:
    """Counts the bytes and the seconds of one transfer: each byte that has passed gives it time for more."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._left = max_bytes
        self._end = time.monotonic() + seconds

    def passed(self, count: int) -> None:
        """Note so many bytes; raise where they are too many or came too late."""
        self._left -= count
        self._end += seconds_for(count)
        if self._left < 0:
            raise ArchiveRejected("The archive's answer is larger than is accepted")
        if time.monotonic() > self._end:
            raise ArchiveUnreachable("A transfer from or to the archive did not end in time")


class Upload(io.BytesIO):
    """Content to be sent: watches the deadline, and shares the bytes instead of copying them."""

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__(content)
        self._guard = Guard(len(content), seconds)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on, while there is time."""
        block = super().read(size)
        self._guard.passed(len(block))
        return block


class Adapter(HTTPAdapter):
    """requests' adapter with larger blocks: uploads leave in pieces of `BLOCK` bytes, not of 16 kB.

    Parameters
    ----------
    connections
        Most of them at a time.
    seconds
        Longest time of an answer in all.
    """

    def __init__(self, connections: int, seconds: float) -> None:
        self._seconds = seconds
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0, pool_block=True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Make the pool, with the larger blocks and the deadline."""
        super().init_poolmanager(connections, maxsize, block, blocksize=BLOCK, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = timed_pools(self._seconds)


def received(response: BaseHTTPResponse, max_bytes: int, seconds: float) -> bytes:
    """Read an answer block by block, watching its size and the time that it takes.

    Python's HTTP reads an answer that breaks off amid its headers as one without a body: an answer that does not say
    where it ends (RFC 9112 section 6.3) is taken for one that broke off.
    """
    refuse_compressed(response.headers.get("Content-Encoding"))
    if response.status not in BODILESS and not _tells_its_end(response.headers):
        raise ConnectionDropped("The archive's answer broke off amid its headers, or does not tell its length")
    guard = Guard(max_bytes, seconds)
    body = io.BytesIO()
    while block := response.read1(BLOCK, decode_content=False):
        guard.passed(len(block))
        body.write(block)
    return body.getvalue()


def _tells_its_end(headers: Mapping[str, str]) -> bool:
    """Whether a body of known length, in chunks, or in parts with a last delimiter follows these headers."""
    if headers.get("Content-Length", "").strip().isdigit():
        return True
    content_type = headers.get("Content-Type", "").lower()
    in_parts = content_type.startswith("multipart/") and "boundary=" in content_type  # as Orthanc 1.10's DICOMweb does
    return in_parts or headers.get("Transfer-Encoding", "").lower() == "chunked"


def refuse_compressed(encoding: str | None) -> None:
    """Raise where an answer is compressed: its size could not be judged."""
    if encoding and encoding.strip().lower() != "identity":
        raise ArchiveGarbled("The archive, or a proxy before it, sent a compressed answer, which was not asked for")


def fault_of(status: int) -> type[ArchiveError]:
    """What a status code means that is no success.

    Redirections, 407 and 425 come from something before the archive: a portal, a proxy, a server that is restarting.
    """
    if status in {requests.codes.unauthorized, requests.codes.forbidden}:
        return ArchiveDenied
    if status in {requests.codes.not_found, requests.codes.gone}:
        return NotInArchive
    if status in {requests.codes.request_timeout, requests.codes.too_many_requests}:
        return ArchiveBusy
    if status == requests.codes.insufficient_storage:
        return ArchiveFull
    if status in _NOT_THE_ARCHIVE or requests.codes.multiple_choices <= status < requests.codes.bad_request:
        return ArchiveGarbled
    if status in _NO_SUCH_FUNCTION:
        return NotSupported
    return ArchiveBusy if status >= requests.codes.internal_server_error else ArchiveRejected


def quieten(*names: str) -> None:
    """Keep libraries from writing whole URLs into the log."""
    for name in names:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING or logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
