"""mask2seg against archives that it knows by DICOMweb alone: real Orthancs, over TLS, behind a proxy with tokens."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import trustme
from orthanc_server import OrthancServer

from orthanc_mask2seg.addresses import DicomwebAddress
from orthanc_mask2seg.errors import ArchiveDenied, ArchiveUnreachable
from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.pacs.dicomweb import DicomwebArchive
from tests.builders import study, to_bytes
from tests.integration.test_serve import Pacs, Service, files_of, until
from tests.truth import Case, cases, read_with_highdicom, same

PROGRAM = Path(sys.executable).parent / "mask2seg"
NOWHERE = "http://127.0.0.1:9"
"""In place of Orthanc's REST API: whoever asks there fails."""

WAYS = [("bookworm", "A03"), ("trixie", "A04"), ("sid", "A06")]


def by_dicomweb(server: OrthancServer, **more: object) -> dict[str, object]:
    return {
        "OrthancUrl": NOWHERE, "OrthancUsername": "", "OrthancPassword": "",
        "DicomwebUrl": f"{server.url}/dicom-web",
        "DicomwebUsername": server.username, "DicomwebPassword": server.password, "TimeoutSeconds": 20,
    } | more  # fmt: skip


def by_orthanc(server: OrthancServer) -> dict[str, object]:
    return {"OrthancUrl": server.url, "OrthancUsername": server.username, "OrthancPassword": server.password}


def configuration(folder: Path, section: dict[str, object]) -> Path:
    path = folder / "mask2seg.json"
    path.write_text(json.dumps({"Mask2Seg": section}))
    return path


def run(*words: object, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [PROGRAM, *map(str, words), "--json"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest, tmp_path: Path, set_a: Path) -> Iterator[tuple[OrthancServer, Case]]:
    """An Orthanc of some version that holds a real case."""
    suite, name = request.param
    case = next(case for case in cases(set_a) if case.folder.name.startswith(name))
    server = OrthancServer(tmp_path / "orthanc", suite=suite)
    try:
        yield server.start(), case
    finally:
        server.kill()


def check(server: OrthancServer, case: Case, outputs: list[dict[str, Any]], folder: Path) -> None:
    """The SEGs hold the voxels of the truth, read from the archive by somebody else's program."""
    found = []
    for number, output in enumerate(outputs):
        pacs = Pacs(server)
        series = next(s for s in pacs.segs() if s["MainDicomTags"]["SeriesInstanceUID"] == output["series_uid"])
        path = folder / f"{number}.dcm"
        path.write_bytes(server.get(f"/instances/{series['Instances'][0]}/file").content)
        found += read_with_highdicom(path)
    assert same(found, case.segments())


def test_convert_and_explain(way: tuple[OrthancServer, Case], tmp_path: Path) -> None:
    """Voxels equal to the truth; explain stores nothing; converting twice stores once."""
    server, case = way
    Pacs(server).send(*files_of(case))
    before = Pacs(server).digests()
    conf, outputs = configuration(tmp_path, by_dicomweb(server)), []
    masks = [mask["series_uid"] for mask in case.document["mask_series"]]
    explained = run("explain", masks[0], "-c", conf)
    assert (explained["outcome"], explained["outputs"]) == ("converted", [])
    assert Pacs(server).digests() == before
    for uid in masks:
        document = run("convert", uid, "-c", conf)
        assert document["source_series_uid"] == case.source_series_uid
        outputs += document["outputs"]
    study_uid = outputs[0]["resource"].split("/")[1]
    again = run("convert", f"studies/{study_uid}/series/{masks[0]}", "-c", conf)
    assert again["outputs"] == outputs[:1]
    assert "orthanc_id" not in outputs[0]
    after = Pacs(server).digests()
    assert len(after) - len(before) == len(outputs)
    assert {key: after[key] for key in before} == before
    check(server, case, outputs, tmp_path)
    by_rest = run("convert", masks[0], "-c", configuration(tmp_path, by_orthanc(server)))
    assert by_rest["outputs"][0]["sop_instance_uid"] == outputs[0]["sop_instance_uid"]
    assert Pacs(server).digests() == after, "both ways give the same bytes"


@pytest.mark.parametrize("suite", ["trixie", *(pytest.param(s, marks=pytest.mark.slow) for s in ("bookworm", "sid"))])
def test_serve_converts_what_arrives(suite: str, tmp_path: Path, set_a: Path) -> None:
    """Found by searches alone, converted once, and a restart adds nothing."""
    server = OrthancServer(tmp_path / "orthanc", suite=suite).start()
    service = Service(tmp_path, server, **by_dicomweb(server, ScanSeconds=600.0))
    chosen = [case for case in cases(set_a) if case.folder.name[:3] in {"A03", "A04"}]
    pacs = Pacs(server)
    try:
        made = study(seed=7)
        pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
        service.start()
        until(lambda: len(pacs.segs()) == 1, "what was there at the start")
        for case in chosen:
            pacs.send(*files_of(case))
        wanted = 1 + sum(len(case.mask_folders) for case in chosen)
        until(lambda: len(pacs.segs()) == wanted, f"{wanted} SEGs")
        until(lambda: all(job["state"] == "done" for job in service.jobs()), "all jobs done")
        jobs = service.jobs()
        for case in chosen:
            masks = {mask["series_uid"] for mask in case.document["mask_series"]}
            own = [job["result"] for job in jobs if job["request"]["series_instance_uid"] in masks]
            folder = tmp_path / case.folder.name
            folder.mkdir()
            check(server, case, [output for result in own for output in result["outputs"]], folder)
        assert service.end() == 0
        server.restart()
        service.start()
        until(lambda: service.said().count("Orthanc is there") == 2, "the second look")
        assert len(pacs.segs()) == wanted
        assert len(service.jobs()) == len(jobs)
    finally:
        if service.process is not None and service.process.poll() is None:
            service.process.kill()
            service.process.wait(10)
        server.kill()


# --- behind a reverse proxy


class Proxy(http.server.ThreadingHTTPServer):
    """A reverse proxy before Orthanc: for TLS, as Debian's Orthancs die of TLS outside Debian; and for tokens."""

    daemon_threads = True

    def __init__(self, behind: OrthancServer, *, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.behind, self.token, self.refused = behind, token, 0
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/dicom-web"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were turned away."""


class _Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast("Proxy", self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            server.refused += 1
            self._say(401, b"", "text/plain")
            return
        connection = http.client.HTTPConnection("127.0.0.1", server.behind.port)
        passed = {k: v for k, v in self.headers.items() if k in {"Accept", "Accept-Encoding", "Content-Type"}}
        connection.request(self.command, self.path, body, {**passed, **basic(server.behind)})
        answer = connection.getresponse()
        self._say(answer.status, answer.read(), answer.headers.get("Content-Type", ""))
        connection.close()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _say(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def basic(server: OrthancServer) -> dict[str, str]:
    prepared = requests.Request("GET", server.url, auth=server.auth).prepare()
    return {"Authorization": str(prepared.headers["Authorization"])}


@contextlib.contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture
def tls(shared_orthanc: OrthancServer, tmp_path: Path) -> Iterator[Proxy]:
    """Orthanc behind TLS, for those alone who show a certificate of its authority (`ca.pem`, `client.pem`)."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = authority.issue_cert("client")
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.crt"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(Proxy(shared_orthanc, tls=context)) as proxy:
        yield proxy


def test_mutual_tls(tls: Proxy, shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    """With its authority and our certificate it works, from the configuration on; without either nothing does."""
    made = study(seed=3)
    Pacs(shared_orthanc).send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    uid = str(made.mask[0].SeriesInstanceUID)
    address: dict[str, object] = {"OrthancUrl": NOWHERE, "DicomwebUrl": tls.url}
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    stranger = trustme.CA().issue_cert("client")
    stranger.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "stranger.pem"))
    for wrong in (
        {"DicomwebCaFile": "other.pem", "DicomwebCertificateFile": "client.pem"},
        {"DicomwebCertificateFile": "client.pem"},
        {"DicomwebCaFile": "ca.pem"},
        {"DicomwebCaFile": "ca.pem", "DicomwebCertificateFile": "stranger.pem"},
    ):
        document = run("convert", uid, "-c", configuration(tmp_path, address | wrong), code=4)
        assert document["reason"] == "archive_unreachable"
    right = {"DicomwebCaFile": "ca.pem", "DicomwebCertificateFile": "client.crt", "DicomwebKeyFile": "client.key"}
    assert run("convert", uid, "-c", configuration(tmp_path, address | right))["outcome"] == "converted"


def test_a_wrong_authority_is_named_whatever_the_environment_says(
    tls: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    for authority in (str(tmp_path / "other.pem"), ""):
        address = DicomwebAddress(url=tls.url, ca_file=authority, certificate_file=str(tmp_path / "client.pem"))
        with DicomwebArchive(address, 5) as archive, pytest.raises(ArchiveUnreachable, match="trusted"):
            list(archive.all_series())


def test_a_token_that_changes_while_the_service_runs(shared_orthanc: OrthancServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("morning\n")
    made, pacs = study(seed=17), Pacs(shared_orthanc)
    pacs.send(*(to_bytes(d) for d in (*made.image, *made.mask)))
    uid = str(made.mask[0].SeriesInstanceUID)
    proxy = Proxy(shared_orthanc, token="morning")
    address = DicomwebAddress(url=proxy.url, token_file=str(token))
    conf = configuration(tmp_path, {"OrthancUrl": NOWHERE, "DicomwebUrl": address.url, "DicomwebTokenFile": "token"})
    with running(proxy):
        with DicomwebArchive(address, 20) as archive:
            key = archive.find_series(uid).key
            proxy.token = "evening"
            with pytest.raises(ArchiveDenied):
                archive.series(ArchiveKey(key))
            token.write_text("evening\n")
            assert archive.series(ArchiveKey(key)).key == key
        assert run("convert", uid, "-c", conf)["outcome"] == "converted"
        refused = run("convert", uid, "-c", configuration(tmp_path, {"DicomwebUrl": address.url}), code=4)
        assert refused["reason"] == "archive_denied"
        environment = {**os.environ, "MASK2SEG_DICOMWEB_TOKEN": "evening"}
        done = subprocess.run(
            [PROGRAM, "explain", uid, "-c", tmp_path / "mask2seg.json", "--json"],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert "evening" not in done.stdout
        assert proxy.refused == 2
