"""A real HTTP server and a real SMTP server on loopback, which write down what they get."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hooks:
    """What came; `answers` are statuses in turn, the last one from then on."""

    answers: list[int] = field(default_factory=lambda: [200])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    def wait(self, count: int, seconds: float = 10.0) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.got) >= count, seconds), self.got


@contextmanager
def web(hooks: Hooks) -> Iterator[str]:
    """Address of a server that takes posts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with hooks.came:
                status = hooks.answers[min(len(hooks.got), len(hooks.answers) - 1)]
                hooks.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                hooks.came.notify_all()
            self.send_response(status)
            if status in {301, 302, 307}:
                self.send_header("Location", f"http://127.0.0.1:{hooks.port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hooks.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret-path"
    server.shutdown()
    server.server_close()


@contextmanager
def post_office(letters: list[bytes], came: threading.Event) -> Iterator[int]:
    """Port of a server that speaks as much SMTP as a letter needs (RFC 5321)."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper().strip()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (text := self.rfile.readline()) != b".\r\n":
                        lines.append(text)
                    letters.append(b"".join(lines))
                    came.set()
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
