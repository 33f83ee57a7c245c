"""What the service and the processes that do its work say to each other: JSON, so that a document is only a document.

A message from a worker is not trusted more than a file: it is data, and what it cannot say is a fault.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from orthanc_mask2seg.errors import InternalError, Mask2SegError, OutOfMemory
from orthanc_mask2seg.jobs.port import JobRequest, RunAgain

LONGEST_MESSAGE = 64 << 20

Message = dict[str, Any]


def send(connection: Connection, message: Mapping[str, Any]) -> None:
    """Send a message whole."""
    connection.send_bytes(json.dumps(message).encode())


def receive(connection: Connection) -> Message:
    """The next message.

    Raises
    ------
    EOFError, OSError, ValueError
        The other side is gone, or sent no message.
    """
    message = json.loads(connection.recv_bytes(LONGEST_MESSAGE))
    if not isinstance(message, dict):
        raise ValueError("no message")  # noqa: TRY004 - it is the other side's fault, as any other text would be
    return message


def answer_message(answer: Mapping[str, Any] | RunAgain) -> Message:
    """How a job ended, or that it is to be run again."""
    if not isinstance(answer, RunAgain):
        return {"answer": dict(answer)}
    request = answer.request.document() if answer.request is not None else None
    return {"again": {"delay_seconds": answer.delay_seconds, "why": dict(answer.why), "request": request}}


def fault_message(error: BaseException) -> Message:
    """A fault, without what its message may quote, unless it is one of ours."""
    if isinstance(error, MemoryError):
        error = OutOfMemory()
    if not isinstance(error, Mask2SegError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        error = InternalError(f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}")
    return {"fault": {"code": error.code, "message": str(error), "hint": error.hint, "retryable": error.retryable}}


def answer_of(message: Message) -> dict[str, Any] | RunAgain:
    """What a worker answered.

    Raises
    ------
    Mask2SegError
        The fault that it met.
    """
    if "fault" in message:
        raise _fault(message["fault"])
    if "again" in message:
        again = dict(message["again"])
        request = again.pop("request")
        return RunAgain(request=JobRequest.of(request) if request else None, **again)
    return dict(message["answer"])


def _fault(told: Mapping[str, Any]) -> Mask2SegError:
    kinds = {kind.code: kind for kind in _tree(Mask2SegError)}
    error = kinds.get(told["code"], InternalError)(told["message"], hint=told["hint"])
    error.retryable = bool(told["retryable"])
    return error


def _tree(kind: type[Mask2SegError]) -> list[type[Mask2SegError]]:
    """A kind of fault and all below it; of those that share a code (`ConnectionDropped`) the general one is last."""
    return [each for below in kind.__subclasses__() for each in _tree(below)] + [kind]
