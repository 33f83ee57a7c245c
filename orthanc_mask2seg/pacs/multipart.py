"""The bodies of WADO-RS and STOW-RS: `multipart/related` (PS3.18 section 8.6.1.2, RFC 2387)."""

from __future__ import annotations

import hashlib
import re
from email.message import Message

from orthanc_mask2seg.errors import ArchiveGarbled, ArchiveUnreachable

DICOM = "application/dicom"
_MULTIPART = "multipart/related"
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,12})\s*$", re.IGNORECASE | re.MULTILINE)
_CRLF = b"\r\n"


def parts_of(body: bytes, content_type: str) -> list[bytes]:
    """Content of each part. An answer that is one DICOM file without any wrapping is one part.

    Raises
    ------
    ArchiveUnreachable
        The answer is damaged: it has no end, or a part of it has none.
    ArchiveGarbled
        The answer is something else.
    """
    kind = Message()
    kind["Content-Type"] = content_type
    if kind.get_content_type() == DICOM:
        return [body]
    boundary = kind.get_boundary()
    if kind.get_content_type() != _MULTIPART or not boundary:
        raise ArchiveGarbled("The archive answered with something else than DICOM files")
    return _split(body, b"--" + boundary.encode("ascii", "replace"))


def _split(body: bytes, delimiter: bytes) -> list[bytes]:
    parts: list[bytes] = []
    position = 0 if body.startswith(delimiter) else body.find(_CRLF + delimiter) + len(_CRLF)
    if not body.startswith(delimiter, position):
        raise _damaged()
    while True:
        position += len(delimiter)
        if body.startswith(b"--", position):
            return parts
        start = body.find(_CRLF * 2, position)
        if start < 0:
            raise _damaged()
        head, start = body[position:start], start + len(_CRLF * 2)
        end = _end(body, head, start, delimiter)
        parts.append(body[start:end])
        position = end + len(_CRLF)


def _end(body: bytes, head: bytes, start: int, delimiter: bytes) -> int:
    """Where a part ends: where its own length says so, if a delimiter is there; else at the next delimiter."""
    said = _LENGTH.search(head.replace(_CRLF, b"\n"))
    if said is not None and body.startswith(_CRLF + delimiter, start + int(said[1])):
        return start + int(said[1])
    end = body.find(_CRLF + delimiter, start)
    if end < 0 or said is not None:
        raise _damaged()
    return end


def packed(content: bytes) -> tuple[bytes, str]:
    """Wrap one DICOM file; returns the body and its media type."""
    boundary = hashlib.sha256(content).hexdigest()
    while boundary.encode() in content:
        boundary = hashlib.sha256(boundary.encode()).hexdigest()
    body = b"".join(
        [f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode(), content, f"\r\n--{boundary}--\r\n".encode()]
    )
    return body, f'{_MULTIPART}; type="{DICOM}"; boundary="{boundary}"'


def _damaged() -> ArchiveUnreachable:
    return ArchiveUnreachable("An answer of the archive arrived damaged", hint="It is asked for again.")
