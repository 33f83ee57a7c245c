"""Which request meets which fault: a function of the seed, the service, the kind of the request and its number."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from tests.faults.wire import Dropped, Reply, Request, abort, shut

SHARE = 0.08
"""Share of the requests that meet a fault."""
SHARES = {"journal": 0.06, "store": 0.35, "delete": 0.3}
"""The same, for kinds of requests that are very many or that matter more."""
EVENTS_LATE, EVENTS_GONE, EVENTS_DOUBLED = 0.01, 0.01, 0.005
"""Shares of the entries of the journal."""


class Tally:
    """Faults that really happened, by kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, kind: str) -> None:
        with self._lock:
            self.counts[kind] += 1

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Fault:
    """No fault: what passes, passes."""

    name = ""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def before(self, connection: socket.socket, request: Request) -> None:
        """Before the request is delivered."""

    def reply(self, reply: Reply) -> Reply:
        """What the service is to be told."""
        return reply

    def send(self, connection: socket.socket, reply: Reply) -> None:
        """How it is told."""
        connection.sendall(reply.head + reply.body)


class Latency(Fault):
    name = "latency"

    def before(self, _connection: socket.socket, _request: Request) -> None:
        time.sleep(self.dice.uniform(0.3, 1.5))


class Reset(Fault):
    name = "reset"

    def before(self, connection: socket.socket, _request: Request) -> None:
        abort(connection)


class LostReply(Fault):
    """The request is delivered and its reply is not."""

    name = "lost reply"

    def send(self, connection: socket.socket, _reply: Reply) -> None:
        abort(connection)


class Truncated(Fault):
    """The reply ends in the middle."""

    name = "truncation"

    def send(self, connection: socket.socket, reply: Reply) -> None:
        whole = reply.head + reply.body
        connection.sendall(whole[: self.dice.randrange(10, len(whole))])
        shut(connection)


class SlowLoris(Fault):
    """The reply trickles for a while, and then breaks off or comes whole."""

    name = "slow-loris"

    def send(self, connection: socket.socket, reply: Reply) -> None:
        whole = reply.head + reply.body
        trickled = self.dice.randrange(2, 10)
        for number in range(trickled):
            connection.sendall(whole[number : number + 1])
            time.sleep(0.3)
        if self.dice.random() < 0.5:
            abort(connection)
        connection.sendall(whole[trickled:])


class Silence(Fault):
    """The request is delivered, and no reply comes until the service gives up."""

    name = "silence"

    def send(self, connection: socket.socket, _reply: Reply) -> None:
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            connection.recv(1)
        shut(connection)


class Instead(Fault):
    """Somebody between answers, and Orthanc never hears of it."""

    status = 500
    body = b'{"HttpError":"Internal Server Error","HttpStatus":500,"OrthancStatus":-1}'
    kind = "application/json"

    def before(self, connection: socket.socket, _request: Request) -> None:
        self.send(connection, Reply.of(self.status, self.body, self.kind))
        shut(connection)


class Error500(Instead):
    name = "500"


class Error503(Instead):
    name = "503"
    status = 503


class Error429(Instead):
    name = "429"
    status = 429


class Html(Instead):
    """A page that says that all is well."""

    name = "HTML with 200"
    status = 200
    kind = "text/html"
    body = b"<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>"


class LyingError(Fault):
    """The request is done, and the answer says that it is not."""

    name = "500 after delivery"

    def reply(self, _reply: Reply) -> Reply:
        return Reply.of(500, Instead.body)


class FalseAcknowledgement(Fault):
    """A store is acknowledged and dropped, as on a full disk with DICOMweb 1.7, or by a filter."""

    name = "false acknowledgement"

    def before(self, connection: socket.socket, request: Request) -> None:
        key = orthanc_id(request.body)
        body = {"ID": key, "Path": f"/instances/{key}", "Status": "Success"}
        self.send(connection, Reply.of(200, json.dumps(body).encode()))
        shut(connection)


class Corrupted(Fault):
    """Pixels arrive with other bytes."""

    name = "corrupted bytes"

    def reply(self, reply: Reply) -> Reply:
        body = bytearray(reply.body)
        for _ in range(40):  # the pixels are the end of our files
            body[-2 - 2 * self.dice.randrange(min(900, len(body) // 2 - 1))] ^= 1
        return Reply(reply.status, reply.headers, bytes(body))


Choices = tuple[tuple[type[Fault], int], ...]
EVERYWHERE: Choices = (
    (Latency, 4), (Reset, 4), (LostReply, 4), (Truncated, 4), (SlowLoris, 2), (Silence, 1), (Error500, 3),
    (Error503, 2), (Error429, 2), (Html, 2),
)  # fmt: skip
MORE: Mapping[str, Choices] = {
    "store": ((LyingError, 12), (LostReply, 12), (FalseAcknowledgement, 6)),
    "delete": ((LyingError, 8), (LostReply, 8)),
    "pixels": ((Corrupted, 10),),
}

OF_EVENTS = frozenset({"events late", "events lost", "events doubled"})
NAMES_OF_FAULTS = OF_EVENTS | {fault.name for choices in (EVERYWHERE, *MORE.values()) for fault, _ in choices}


def orthanc_id(content: bytes) -> str:
    """What Orthanc calls an instance (its book, "Orthanc identifiers")."""
    data = dcmread(DicomBytesIO(content), stop_before_pixels=True)
    names = (data.get("PatientID"), data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID)
    digest = hashlib.sha1("|".join(str(n or "") for n in names).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


class Plan:
    """The faults of one run.

    Parameters
    ----------
    without
        Names of faults that are left out.

    Attributes
    ----------
    on
        Whether faults happen at all, now.
    """

    def __init__(self, seed: int, tally: Tally, *, share: float = SHARE, without: frozenset[str] = frozenset()) -> None:
        self._seed, self._tally, self._share, self._without = seed, tally, share, without
        self._met: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()
        self.on = True

    def fault(self, service: str, request: Request) -> Fault:
        """The fault that a request meets."""
        dice = random.Random(f"{self._seed} {service} {request.kind} {request.number}")
        if not self.on or dice.random() >= SHARES.get(request.kind, self._share):
            return Fault(dice)
        choices = [c for c in (*EVERYWHERE, *MORE.get(request.kind, ())) if c[0].name not in self._without]
        if not choices:
            return Fault(dice)
        made = dice.choices([c[0] for c in choices], [c[1] for c in choices])[0](dice)
        self._tally.add(made.name)
        return made

    def journal(self, service: str, reply: Reply) -> Reply:
        """Some entries come late (as on PostgreSQL), never, or twice."""
        if not self.on or b'"Seq"' not in reply.body:
            return reply
        document = json.loads(reply.body)
        kept = []
        for entry in document["Changes"]:
            kept += [entry] * self._times(service, int(entry["Seq"]))
        document["Changes"] = kept
        return Reply(reply.status, reply.headers, json.dumps(document).encode())

    def _times(self, service: str, sequence: int) -> int:
        dice = random.Random(f"{self._seed} {service} event {sequence}")
        fate, now = dice.random(), time.monotonic()
        with self._lock:
            first = (service, sequence) not in self._met
            since = self._met.setdefault((service, sequence), now)
        if fate < EVENTS_LATE and "events late" not in self._without:
            name, times = "events late", int(now - since > dice.uniform(0.5, 8.0))
        elif fate < EVENTS_LATE + EVENTS_GONE and "events lost" not in self._without:
            name, times = "events lost", 0
        elif fate < EVENTS_LATE + EVENTS_GONE + EVENTS_DOUBLED and "events doubled" not in self._without:
            name, times = "events doubled", 2
        else:
            return 1
        if first:
            self._tally.add(name)
        return times


__all__ = ["Dropped", "Fault", "Plan", "Tally"]
