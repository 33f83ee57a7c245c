"""OHIF as a hospital serves it: the viewer's files and Orthanc's DICOMweb under one address."""

from __future__ import annotations

import http.client
import json
import mimetypes
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from orthanc_server import OrthancServer

DICOMWEB = "/dicom-web/"
CONFIGURATION: dict[str, Any] = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "disableConfirmationPrompts": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "Orthanc",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "wadoUriRoot": "/wado",
                "qidoSupportsIncludeField": False,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}
"""What a site writes into app-config.js: where DICOMweb is, and nothing that would make SEGs easier to read."""

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "authorization"})


class OhifSite:
    """A server on loopback: OHIF's files, its configuration, and Orthanc behind `/dicom-web/` with Orthanc's login.

    Use as a context manager; `url` is its address.
    """

    def __init__(self, dist: Path, orthanc: OrthancServer) -> None:
        self.orthanc = orthanc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(dist, orthanc))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(dist: Path, orthanc: OrthancServer) -> type[BaseHTTPRequestHandler]:
    login = "Basic " + b64encode(":".join(orthanc.auth).encode()).decode()
    configuration = f"window.config = {json.dumps(CONFIGURATION)};".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            pass

        def do_GET(self) -> None:
            if self.path.startswith((DICOMWEB, "/wado")):
                self._forward()
                return
            path = self.path.partition("?")[0].lstrip("/")
            if path == "app-config.js":
                self._answer(200, configuration, "text/javascript")
                return
            file = dist / path
            if not path or not file.is_file():  # a page of the viewer: its own router reads the address
                file = dist / "index.html"
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file.name)[0]
            self._answer(200, file.read_bytes(), kind or "application/octet-stream")

        def _forward(self) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            connection.request("GET", self.path, headers={**headers, "Authorization": login})
            answer = connection.getresponse()
            body = answer.read()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in {*HOP_BY_HOP, "content-type"}}
            self._answer(answer.status, body, answer.getheader("Content-Type", ""), kept)
            connection.close()

        def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler
