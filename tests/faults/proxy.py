"""A proxy between one service and Orthanc that breaks what passes through it, as the plan says.

It knows the service's requests by their kinds, so that a fault, or the death of the service, can be placed at a step:
before a request is delivered, when half of it is, when it is and the reply is not, after the reply.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.plan import Plan
from tests.faults.wire import Dropped, Reply, Request, abort, head_of_request, read_request

KINDS = (
    ("journal", "GET", re.compile(r"/changes\?")),
    ("scan", "GET", re.compile(r"/series/?\?")),
    ("headers", "GET", re.compile(r"/series/[^/]+/instances-tags|.* beginning$")),
    ("label", "", re.compile(r"/series/[^/]+/labels")),
    ("note", "PUT", re.compile(r"/series/[^/]+/metadata/")),
    ("look", "GET", re.compile(r"/series/[^/]+$")),
    ("siblings", "GET", re.compile(r"/studies/[^/]+/series")),
    ("lookup", "POST", re.compile(r"/tools/lookup")),
    ("pixels", "GET", re.compile(r"/instances/[^/]+/(file|attachments/dicom/data)$")),
    ("digest", "GET", re.compile(r"/instances/[^/]+/attachments/dicom/md5")),
    ("store", "POST", re.compile(r"/instances$")),
    ("delete", "DELETE", re.compile(r"/instances/")),
)
UPSTREAM_SECONDS = 30.0

STEPS = (
    "journal asked", "journal unanswered", "journal answered", "look answered", "siblings answered", "headers asked",
    "headers answered", "pixels asked", "pixels answered", "store check answered", "store asked", "store half sent",
    "store unanswered", "store answered", "store proof asked", "store proof answered", "delete asked",
    "delete unanswered", "delete answered", "label asked", "note unanswered", "scan unanswered",
)  # fmt: skip
"""Where the service can be made to die, as the proxy sees it."""


def kind_of(request: Request) -> str:
    """What a request is for; the beginning of a file is asked for its header."""
    path = request.path + (" beginning" if "range" in request.headers else "")
    for kind, wanted, pattern in KINDS:
        if wanted in {"", request.method} and pattern.match(path):
            return kind
    return "other"


@dataclass(slots=True)
class Armed:
    """A step at which something is to happen once."""

    step: str
    act: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Store:
    """A file that a service asked to store: when (monotonic), and whether it reached Orthanc (status, or 0)."""

    at: float
    content: bytes
    status: int


class Proxy:
    """Listens on a port of its own; `stores` collects all that reached Orthanc."""

    def __init__(self, name: str, upstream: tuple[str, int], plan: Plan) -> None:
        self.name, self._upstream, self._plan = name, upstream, plan
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._armed: Armed | None = None
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._ours: set[str] = set()
        self.stores: list[Store] = []
        self.polled = threading.Event()
        threading.Thread(target=self._accept, name=f"proxy of {name}", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> dict[str, int]:
        """How many of each kind there were."""
        return dict(self._numbers)

    def close(self) -> None:
        self._listener.close()

    def arm(self, step: str, act: Callable[[], None]) -> Armed:
        """Do something when the service is at a step the next time."""
        armed = Armed(step, act)
        self._armed = armed
        return armed

    def disarm(self) -> None:
        """Do nothing of it."""
        with self._lock:
            self._armed = None

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        upstream = http.client.HTTPConnection(*self._upstream, timeout=UPSTREAM_SECONDS)
        with contextlib.suppress(Dropped, OSError), connection, connection.makefile("rb") as stream:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (request := read_request(stream)) is not None:
                self._one(connection, upstream, request)
        upstream.close()

    def _one(self, connection: socket.socket, upstream: http.client.HTTPConnection, request: Request) -> None:
        request.kind = kind_of(request)
        with self._lock:
            request.number = self._numbers[request.kind] = self._numbers.get(request.kind, 0) + 1
        if request.kind == "journal":
            self.polled.set()
        self._at(f"{request.kind} asked", connection)
        fault = self._plan.fault(self.name, request)
        fault.before(connection, request)
        if request.kind == "store":
            self._half(request, connection)
        begun = time.monotonic()
        reply = self._forward(upstream, request, connection)
        self._note(request, reply, begun)
        if request.kind == "journal":
            reply = self._plan.journal(self.name, reply)
        told = fault.reply(reply)
        step = self._step(request, reply)
        self._at(f"{step} unanswered", connection)
        fault.send(connection, told)
        self._at(f"{step} answered", connection)

    def _note(self, request: Request, reply: Reply, begun: float) -> None:
        if request.kind != "store":
            return
        self.stores.append(Store(begun, request.body, reply.status))
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self._ours.add(json.loads(reply.body)["ID"])

    def _step(self, request: Request, reply: Reply) -> str:
        if request.kind == "digest":
            if reply.status == http.HTTPStatus.NOT_FOUND:
                return "store check"
            if request.path.split("/")[2] in self._ours:
                return "store proof"
        return "empty journal" if request.kind == "journal" and b'"Seq"' not in reply.body else request.kind

    def _at(self, step: str, connection: socket.socket) -> None:
        with self._lock:
            armed = self._armed
            if armed is None or armed.step != step:
                return
            self._armed = None
        armed.act()
        armed.done.set()
        abort(connection)

    def _half(self, request: Request, connection: socket.socket) -> None:
        """Half an upload reaches Orthanc, if the service is to die there."""
        armed = self._armed
        if armed is None or armed.step != "store half sent":
            return
        with contextlib.suppress(OSError), socket.create_connection(self._upstream, timeout=5) as there:
            there.sendall(head_of_request(request) + request.body[: len(request.body) // 2])
            time.sleep(0.05)
        self._at("store half sent", connection)

    def _forward(self, upstream: http.client.HTTPConnection, request: Request, connection: socket.socket) -> Reply:
        headers = {k: v for k, v in request.headers.items() if k not in {"connection", "host", "content-length"}}
        upstream.close()  # Orthanc closes idle connections: a new one each time has no race
        try:
            upstream.request(request.method, request.path, request.body, headers)
            answer = upstream.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            if request.kind == "store":
                self.stores.append(Store(time.monotonic(), request.body, 0))
            abort(connection)
        return Reply(answer.status, tuple(answer.getheaders()), body)
