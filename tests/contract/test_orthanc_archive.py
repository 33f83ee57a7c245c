"""What only an Orthanc can do to us: refuse, drop, redirect, break off, close idle connections."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from contract.samples import changed, encoded, sample, written
from orthanc_server import OrthancServer
from pydicom import DataElement, dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveDamaged,
    ArchiveDenied,
    ArchiveError,
    ArchiveForbidden,
    ArchiveFull,
    ArchiveGarbled,
    ArchiveRejected,
    ArchiveUnreachable,
    ConfigurationError,
    Mask2SegError,
    NotInArchive,
    NotSupported,
    StoreMismatch,
)
from orthanc_mask2seg.model import ArchiveKey, Uid
from orthanc_mask2seg.pacs import orthanc_http, orthanc_rest, transfer
from orthanc_mask2seg.pacs.orthanc_json import MAX_DEPTH, headers_from
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive

UUID_LENGTH = 36
KEY = ArchiveKey("01234567-01234567-01234567-01234567-01234567")


@pytest.fixture
def archive(shared_orthanc: OrthancServer) -> Iterator[OrthancArchive]:
    with connected(shared_orthanc) as archive:
        yield archive


def connected(server: OrthancServer, **more: Any) -> OrthancArchive:
    return OrthancArchive(server.url, server.username, server.password, 20, **more)


@contextlib.contextmanager
def orthanc_with(folder: Path, **settings: Any) -> Iterator[OrthancServer]:
    server = OrthancServer(folder, settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


class Reply(http.server.BaseHTTPRequestHandler):
    """Answers every request by calling the server's `answer`."""

    protocol_version = "HTTP/1.1"
    server: Pretender

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.answer(self)

    do_POST = do_DELETE = do_GET  # noqa: N815 - http.server finds them by these names

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Pretender(http.server.ThreadingHTTPServer):
    """A server that is no Orthanc."""

    daemon_threads = True
    answer: Callable[[Reply], None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reply)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def pretender() -> Iterator[Pretender]:
    server = Pretender()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def every_way(archive: OrthancArchive) -> list[Callable[[], Any]]:
    return [
        archive.system,
        lambda: list(archive.all_series()),
        lambda: archive.find_series("1.2.3"),
        lambda: archive.content(KEY),
        lambda: list(archive.contents((KEY,))),
        lambda: archive.store(sample(1).ct[0]),
        lambda: archive.delete_instance(KEY),
        lambda: archive.changes(0, 10),
        archive.last_change,
        lambda: archive.qido_finds(Uid("1.2.3")),
    ]


def test_a_wrong_password_is_denied(shared_orthanc: OrthancServer) -> None:
    for name, password in (("tester", "geheim"), ("", ""), ("nobody", "ü€")):
        with OrthancArchive(shared_orthanc.url, name, password, 20) as archive:
            for ask in every_way(archive):
                with pytest.raises(ArchiveDenied) as told:
                    ask()
                assert "geheim" not in f"{told.value!r} {told.value.hint}"


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with OrthancArchive(url, "name", "secret", 5) as archive:
        for ask in every_way(archive):
            with pytest.raises(ArchiveUnreachable) as told:
                ask()
            assert told.value.retryable
            assert url in str(told.value)
            assert told.value.__cause__ is None


@pytest.mark.parametrize("url", ["ftp://here", "here:8042", "http://u:p@here", "http://here/?a=b", "", "http://"])
def test_an_odd_address_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        OrthancArchive(url)


def test_says_its_version_and_finds_by_qido(archive: OrthancArchive) -> None:
    given = sample(1)
    assert archive.system()["Version"].count(".") == 2
    assert not archive.qido_finds(Uid(given.ct_uid))
    archive.store(given.ct[0])
    assert archive.qido_finds(Uid(given.ct_uid))


def test_proxies_and_netrc_are_not_asked(
    shared_orthanc: OrthancServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {shared_orthanc.username} password {shared_orthanc.password}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    content = sample(1).ct[0]
    with connected(shared_orthanc) as archive:
        assert archive.content(archive.store(content).key) == content
    with OrthancArchive(shared_orthanc.url) as nobody, pytest.raises(ArchiveDenied):
        nobody.system()
    with OrthancArchive(shared_orthanc.url) as nobody, pytest.raises(ArchiveDenied):
        nobody.content(KEY)


def test_a_filter_that_drops_is_a_mismatch(tmp_path: Path) -> None:
    script = tmp_path / "filter.lua"
    script.write_text("function ReceivedInstanceFilter(dicom, origin, info) return false end\n")
    with orthanc_with(tmp_path / "orthanc", LuaScripts=[str(script)]) as server, connected(server) as archive:
        with pytest.raises(StoreMismatch, match="FilteredOut"):
            archive.store(sample(1).ct[0])
        assert list(archive.all_series()) == []


def test_a_script_that_changes_what_arrives_is_a_mismatch(pretender: Pretender) -> None:
    content = sample(1).ct[0]

    def answer(reply: Reply) -> None:
        if reply.command == "POST":
            reply.say(200, b'{"ID": "%s", "Status": "Success"}' % KEY.encode())
        elif KEY in reply.path and reply.path.endswith("/md5"):
            reply.say(200, b"0" * 32)
        else:
            reply.say(404)

    pretender.answer = answer
    with OrthancArchive(pretender.url) as archive, pytest.raises(StoreMismatch, match="other bytes"):
        archive.store(content)


def test_yes_without_storing_is_a_mismatch(pretender: Pretender) -> None:
    body = b'{"ID": "%s", "Status": "Success"}' % KEY.encode()
    pretender.answer = lambda reply: reply.say(200, body) if reply.command == "POST" else reply.say(404)
    with OrthancArchive(pretender.url) as archive:
        with pytest.raises(StoreMismatch, match="does not hold") as told:
            archive.store(sample(1).ct[0])
        assert told.value.retryable


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_bytes_in_the_archive_stay(tmp_path: Path, overwrite: bool) -> None:
    content = sample(1).ct[0]
    other = changed(content, SeriesDescription="something else")
    with orthanc_with(tmp_path, OverwriteInstances=overwrite) as server, connected(server) as archive:
        server.post("/instances", other)
        with pytest.raises(StoreMismatch, match="other bytes"):
            archive.store(content)
        assert archive.content(archive.find_series(dcm(content).SeriesInstanceUID).instance_keys[0]) == other


def dcm(content: bytes) -> Any:
    return dcmread(io.BytesIO(content))


@pytest.mark.parametrize("settings", [{"StorageCompression": True}, {"StoreMD5ForAttachments": False}])
def test_compressed_storage_and_no_digests_are_proven_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    given = sample(2)
    with orthanc_with(tmp_path, **settings) as server, connected(server) as archive:
        receipts = [archive.store(content) for content in given.ct]
        assert all(receipt.created for receipt in receipts)
        assert not archive.store(given.ct[0]).created
        assert [archive.content(receipt.key) for receipt in receipts] == list(given.ct)
        with pytest.raises(StoreMismatch):
            archive.store(changed(given.ct[0], SeriesDescription="something else"))


def files_of(server: OrthancServer) -> list[Path]:
    """The files of Orthanc's storage."""
    return [path for path in server.storage.rglob("*") if path.is_file() and len(path.name) == UUID_LENGTH]


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": content[:100], "another": content[:-1] + b"\x55"}[how])


@pytest.mark.parametrize("how", ["empty", "cut", "another", "gone"])
@pytest.mark.parametrize(
    ("suite", "settings"),
    [("bookworm", {}), ("trixie", {}), ("trixie", {"StorageCompression": True}),
     ("trixie", {"StoreMD5ForAttachments": False})],
)  # fmt: skip
def test_what_a_full_disk_left_damaged_is_told_and_sent_again(
    tmp_path: Path, suite: str, settings: dict[str, Any], how: str
) -> None:
    """Orthanc acknowledges what it writes on a full disk, and keeps the digest of what it received."""
    content = sample(1).ct[0]
    server = OrthancServer(
        tmp_path, suite=suite, settings={"OverwriteInstances": False, "MaximumStorageCacheSize": 0, **settings}
    )
    try:
        with connected(server.start()) as archive:
            receipt = archive.store(content)
            for path in files_of(server):  # a compressed storage keeps the header once more
                damage(path, how)
            if settings.get("StoreMD5ForAttachments", True):
                with pytest.raises(ArchiveBusy):
                    archive.content(receipt.key)
                assert archive.store(content).created
                assert archive.content(receipt.key) == content
                assert not archive.store(content).created
            elif how != "gone":  # without a digest nobody can tell whose fault it is
                with pytest.raises((StoreMismatch, ArchiveGarbled)):
                    archive.store(content)
    finally:
        server.stop()


def test_headers_that_orthanc_cannot_read_are_told_as_damage(tmp_path: Path) -> None:
    content = sample(1).ct[0]
    with orthanc_with(tmp_path, MaximumStorageCacheSize=0) as server, connected(server) as archive:
        archive.store(content)
        (path,) = files_of(server)
        damage(path, "empty")
        series = archive.find_series(dcm(content).SeriesInstanceUID)
        with pytest.raises(ArchiveDamaged) as told:
            archive.headers(series)
    assert told.value.retryable


@pytest.mark.parametrize("headers", [b"", b'ETag: "0-', b"Content-Type: text/plain\r\n", b"Transfer-Encoding: chu"])
def test_an_answer_that_breaks_off_amid_its_headers_is_no_answer(pretender: Pretender, headers: bytes) -> None:
    """Python's HTTP takes it for one without a body."""

    def answer(reply: Reply) -> None:
        reply.wfile.write(b"HTTP/1.1 200 OK\r\n" + headers)
        reply.close_connection = True

    pretender.answer = answer
    with OrthancArchive(pretender.url) as archive:
        for ask in (archive.system, lambda: archive.content(KEY), lambda: archive.store(sample(1).ct[0])):
            with pytest.raises(ArchiveUnreachable):
                ask()


def test_a_page_in_place_of_an_instance_is_no_instance(pretender: Pretender) -> None:
    """A proxy answers in place of Orthanc, that neither holds the instance nor keeps a digest of it."""
    page = b"<html>Please log in</html>"
    pretender.answer = lambda reply: reply.say(404) if reply.path.endswith("/md5") else reply.say(200, page)
    with OrthancArchive(pretender.url) as archive:
        for ask in (lambda: archive.content(KEY), lambda: archive.store(sample(1).ct[0])):
            with pytest.raises(ArchiveGarbled):
                ask()


def test_another_instance_than_was_asked_for_is_no_proof(pretender: Pretender) -> None:
    one, other = sample(2).ct[:2]
    pretender.answer = lambda reply: reply.say(404) if reply.path.endswith("/md5") else reply.say(200, other)
    with OrthancArchive(pretender.url) as archive, pytest.raises(ArchiveGarbled, match="Another"):
        archive.store(one)


def test_other_bytes_than_the_etag_tells_are_not_taken(pretender: Pretender) -> None:
    """Also where nothing is answered about the digest."""
    tag = f'"0-{"5" * 32}"'
    pretender.answer = lambda reply: reply.say(404) if reply.path.endswith("/md5") else reply.say(200, b"x", ETag=tag)
    with OrthancArchive(pretender.url) as archive, pytest.raises(ArchiveUnreachable):
        archive.content(KEY)


def test_an_idle_connection_is_no_trouble(archive: OrthancArchive) -> None:
    given = sample(6)
    keys = tuple(archive.store(content).key for content in given.files)
    for pause in (0.95, 1.0, 1.05, 1.3):
        assert list(archive.contents(keys)) == list(given.files)
        assert archive.last_change() > 0
        time.sleep(pause)


def test_a_dropped_connection_is_tried_once_more(pretender: Pretender) -> None:
    content = sample(1).ct[0]

    def answer(reply: Reply) -> None:
        if len(pretender.asked) % 2:
            reply.close_connection = True
        elif reply.path == "/system":
            reply.say(200, b'{"Version": "1"}')
        else:
            reply.say(200, content)

    pretender.answer = answer
    with OrthancArchive(pretender.url, verify_downloads=False) as archive:
        assert archive.system() == {"Version": "1"}
        assert archive.content(KEY) == content
    assert len(pretender.asked) == 4


def test_a_body_that_breaks_off_is_tried_once_more_and_then_unreachable(pretender: Pretender) -> None:
    def answer(reply: Reply) -> None:
        reply.say(200, b"half", Content_Length="8")
        reply.close_connection = True

    pretender.answer = answer
    with OrthancArchive(pretender.url) as archive:
        for ask in (archive.system, lambda: archive.content(KEY)):
            with pytest.raises(ArchiveUnreachable):
                ask()
    assert len(pretender.asked) == 4


@pytest.mark.parametrize("stored", [False, True])
def test_a_lost_reply_is_looked_up_before_posting_again(
    pretender: Pretender, shared_orthanc: OrthancServer, stored: bool
) -> None:
    """The pretender stands before a real Orthanc and loses the first reply, before or after Orthanc stored."""
    content = sample(1).ct[0]
    posts = []

    def answer(reply: Reply) -> None:
        url = shared_orthanc.url + reply.path
        if reply.command == "GET":
            real = requests.get(url, auth=shared_orthanc.auth, timeout=20)
        else:
            is_store = reply.path == "/instances"
            posts.extend([reply.path] * is_store)
            if is_store and len(posts) == 1 and not stored:
                reply.close_connection = True
                return
            body = content if is_store else b""
            real = requests.post(url, body, auth=shared_orthanc.auth, timeout=20)
            if is_store and len(posts) == 1:
                reply.close_connection = True
                return
        reply.say(real.status_code, real.content)

    pretender.answer = answer
    with OrthancArchive(pretender.url) as archive:
        receipt = archive.store(content)
    assert receipt.created
    assert len(posts) == (1 if stored else 2)
    with connected(shared_orthanc) as archive:
        assert archive.content(receipt.key) == content


def test_redirects_are_refused(pretender: Pretender) -> None:
    pretender.answer = lambda reply: reply.say(302, b"", Location="http://127.0.0.1:9/elsewhere")
    with OrthancArchive(pretender.url) as archive:
        for ask in every_way(archive):
            with pytest.raises(ArchiveGarbled, match="302") as told:
                ask()
            assert told.value.retryable  # a portal, or a proxy, that is not there for ever
    assert not any("elsewhere" in asked for asked in pretender.asked)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ArchiveRejected), (403, ArchiveDenied), (413, ArchiveRejected), (429, ArchiveBusy), (500, ArchiveFull),
     (503, ArchiveBusy), (507, ArchiveFull),
     (407, ArchiveGarbled), (425, ArchiveGarbled), (308, ArchiveGarbled), (501, NotSupported), (505, NotSupported)],
)  # fmt: skip
def test_status_codes_become_our_faults(pretender: Pretender, status: int, kind: type[Mask2SegError]) -> None:
    body = b'{"OrthancStatus": 14, "Details": "SECRET PATIENT", "Message": "SECRET"}'

    def answer(reply: Reply) -> None:
        reply.say(404) if reply.command == "GET" and "instances" in reply.path else reply.say(status, body)

    pretender.answer = answer
    with OrthancArchive(pretender.url) as archive:
        for ask in (archive.system, lambda: archive.store(sample(1).ct[0])):
            with pytest.raises(kind) as told:
                ask()
            assert f"{status}" in str(told.value)
            assert "OrthancStatus 14" in str(told.value)
            assert "SECRET" not in str(told.value)


def test_what_alone_is_forbidden_is_no_wrong_password(pretender: Pretender) -> None:
    """A user may read some series and not others, and may lack the right to delete; but no user stores nothing."""
    pretender.answer = lambda reply: reply.say(200, b"{}") if reply.path == "/system" else reply.say(403)
    with OrthancArchive(pretender.url) as archive:
        for ask in (lambda: archive.series(KEY), lambda: archive.content(KEY), lambda: archive.delete_instance(KEY)):
            with pytest.raises(ArchiveForbidden) as told:
                ask()
            assert told.value.retryable
        with pytest.raises(ArchiveDenied):
            archive.http.post("a store", "/instances", b"x")


def test_an_answer_that_trickles_ends_before_its_job_has_to() -> None:
    assert transfer.answer_seconds(3.0) == 30.0
    default = Settings()
    assert 2 * transfer.answer_seconds(default.timeout_seconds) < default.deadline_seconds
    guard = transfer.Guard(1 << 40, 0.0)
    guard.passed(100 << 20)  # what has flowed well has time for more
    time.sleep(0.01)
    guard.passed(0)


@pytest.mark.parametrize("declared", [True, False])
def test_too_large_an_answer_is_cut_short(
    pretender: Pretender, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    monkeypatch.setattr(orthanc_http, "MAX_INDEX_BYTES", 3 << 20)

    def answer(reply: Reply) -> None:
        reply.send_response(200)
        reply.send_header(*(("Content-Length", str(1 << 40)) if declared else ("Transfer-Encoding", "chunked")))
        reply.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                reply.wfile.write(bytes(1 << 20) if declared else b"100000\r\n" + bytes(1 << 20) + b"\r\n")
        reply.close_connection = True

    pretender.answer = answer
    with OrthancArchive(pretender.url, max_bytes=3 << 20) as archive:
        for ask in (archive.system, lambda: archive.content(KEY)):
            with pytest.raises(ArchiveRejected, match="larger"):
                ask()


def test_compressed_answers_are_refused(pretender: Pretender) -> None:
    bomb = gzip.compress(bytes(1 << 20))
    pretender.answer = lambda reply: reply.say(200, bomb, Content_Encoding="gzip")
    with OrthancArchive(pretender.url) as archive:
        for ask in (archive.system, lambda: archive.content(KEY)) * 6:  # more than there are connections
            with pytest.raises(ArchiveGarbled, match="compressed"):
                ask()


def test_silence_and_trickling_are_unreachable(pretender: Pretender, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [True]

    def answer(reply: Reply) -> None:
        if silent[0]:
            time.sleep(0.8)
        reply.send_response(200)
        reply.send_header("Content-Length", "100")
        reply.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(100):
                reply.wfile.write(b" ")
                time.sleep(0.05)
        reply.close_connection = True

    pretender.answer = answer
    monkeypatch.setattr(transfer, "DEADLINE_TIMEOUTS", 3)
    with OrthancArchive(pretender.url, timeout=0.2) as archive:
        for _ in range(2):
            for ask in (archive.system, lambda: archive.content(KEY)):
                start = time.monotonic()
                with pytest.raises(ArchiveUnreachable):
                    ask()
                assert time.monotonic() - start < 2
            silent[0] = False


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"{}", b"null", b"[1]", b'[{"ID": 3}]', b"[" * 100_000])
def test_strange_answers_are_rejected(pretender: Pretender, body: bytes) -> None:
    pretender.answer = lambda reply: reply.say(200, body)
    series = sample_series()
    with OrthancArchive(pretender.url) as archive:
        asks = [
            lambda: list(archive.all_series()),
            lambda: archive.series(KEY),
            lambda: archive.series_of_study(Uid("1.2")),
            lambda: archive.headers(series),
            lambda: archive.changes(0, 5),
            archive.last_change,
            archive.system,
        ]
        for ask in asks:
            with contextlib.suppress(ArchiveRejected, NotInArchive):
                assert ask() in ([], (), {})


def test_a_page_of_somebody_between_is_no_answer_and_is_asked_again_later(pretender: Pretender) -> None:
    pretender.answer = lambda reply: reply.say(200, b"<html>Down for maintenance</html>", Content_Type="text/html")
    with OrthancArchive(pretender.url) as archive:
        for ask in every_way(archive):
            with pytest.raises(ArchiveError) as told:
                ask()
            assert told.value.retryable, ask


def sample_series() -> Any:
    return orthanc_rest.Series(
        key=KEY, series_instance_uid=Uid("1"), study_instance_uid=Uid("2"), instance_keys=(ArchiveKey(KEY),)
    )


def test_a_download_that_is_not_what_arrived_is_refused(pretender: Pretender) -> None:
    pretender.answer = lambda reply: reply.say(200, b"0" * 32 if reply.path.endswith("md5") else b"other")
    with OrthancArchive(pretender.url) as archive, pytest.raises(ArchiveUnreachable, match="other bytes"):
        archive.content(KEY)
    with OrthancArchive(pretender.url, verify_downloads=False) as archive:
        assert archive.content(KEY) == b"other"


def test_a_killed_orthanc_is_unreachable_and_holds_what_it_acknowledged(orthanc: OrthancServer) -> None:
    files = [encoded(header, np.full((256, 256), 7, np.uint16)) for header in map(dcm, sample(200).ct)]
    told: list[Mask2SegError] = []
    with connected(orthanc) as archive, ThreadPoolExecutor(1) as pool:
        stored = []

        def send() -> None:
            try:
                for content in files:
                    stored.append((archive.store(content).key, content))
            except Mask2SegError as error:
                told.append(error)

        sending = pool.submit(send)
        while len(stored) < 20:
            time.sleep(0.005)
        orthanc.kill()
        sending.result()
        assert isinstance(told[0], ArchiveUnreachable)
        assert told[0].retryable
        with pytest.raises(ArchiveUnreachable):
            list(archive.contents(tuple(key for key, _ in stored)))
        orthanc.start()
        assert list(archive.contents(tuple(key for key, _ in stored))) == [content for _, content in stored]
        for content in files:
            archive.store(content)
        (series,) = archive.all_series()
        assert len(series.instance_keys) == len(files)


def test_a_scan_makes_no_hole_when_series_vanish(orthanc: OrthancServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthanc_rest, "PAGE", 8)
    monkeypatch.setattr(orthanc_rest, "OVERLAP", 4)
    with connected(orthanc) as archive:
        studies = [sample(1) for _ in range(15)]
        first = [archive.store(content).key for content in studies[0].files + studies[1].files]
        for study in studies[2:]:
            for content in study.files:
                archive.store(content)
        scan = archive.all_series()
        seen = [next(scan).series_instance_uid for _ in range(6)]
        for key in first:
            archive.delete_instance(key)
        seen += [series.series_instance_uid for series in scan]
        assert len(seen) == len(set(seen))
        assert {uid for study in studies[2:] for uid in (study.ct_uid, study.mask_uid)} <= set(seen)


def test_one_series_uid_with_two_patients_is_not_guessed(archive: OrthancArchive) -> None:
    content = sample(1).ct[0]
    archive.store(content)
    archive.store(changed(content, PatientID="another"))
    with pytest.raises(ArchiveRejected, match="several"):
        archive.find_series(dcm(content).SeriesInstanceUID)
    assert len(archive.series_of_study(dcm(content).StudyInstanceUID)) == 2


def test_logs_hold_no_urls(archive: OrthancArchive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    given = sample(2)
    for content in given.ct:
        archive.content(archive.store(content).key)
    archive.find_series(given.ct_uid)
    assert "instances" not in caplog.text
    assert given.ct_uid not in caplog.text


def test_it_works_from_many_threads(archive: OrthancArchive) -> None:
    studies = [sample(3) for _ in range(16)]

    def one(given: Any) -> list[bytes]:
        keys = tuple(archive.store(content).key for content in given.ct)
        return list(archive.contents(keys))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, studies)) == [list(given.ct) for given in studies]


def test_odd_tags_are_left_out_and_not_fatal() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH + 5):
        deep = [{"0008,1140": deep}]
    tags = {
        "0028,0010": "abc",
        "0028,0011": "512",
        "0020,0032": "1\\x\\3",
        "0020,0013": "1.5e",
        "0028,0120": "-2000",
        "0028,0106": "65535",
        "0028,0009": "0018,1063",
        "0018,605a": "nan\\1",
        "0029,1010": "private",
        "7fe0,0010": None,
        "0020,4000": None,
        "9999,9998": "unknown",
        "0008,0000": "4",
        "0010,0010": "A^B",
        "0008,1140": deep,
    }
    (header,) = headers_from([tags])
    assert "Rows" not in header
    assert "ImagePositionPatient" not in header
    assert "InstanceNumber" not in header
    assert "PixelData" not in header
    assert header.Columns == 512
    assert (header["PixelPaddingValue"].VR, header.PixelPaddingValue) == ("SS", -2000)
    assert header["SmallestImagePixelValue"].VR == "US"
    assert header.FrameIncrementPointer == 0x00181063
    assert header.ImageComments == ""
    assert header.SpecificCharacterSet == "ISO_IR 192"
    depth = 0
    item = header
    while "ReferencedImageSequence" in item and item.ReferencedImageSequence:
        item, depth = item.ReferencedImageSequence[0], depth + 1
    assert depth == MAX_DEPTH


def test_the_real_signed_padding_value_survives(archive: OrthancArchive) -> None:
    dataset = dcm(sample(1).ct[0])
    dataset.PixelRepresentation = 1
    dataset["PixelPaddingValue"] = DataElement(0x00280120, "SS", -2000)
    archive.store(written(dataset))
    (header,) = archive.headers(archive.find_series(dataset.SeriesInstanceUID))
    assert (header.PixelPaddingValue, header["PixelPaddingValue"].VR) == (-2000, "SS")


def test_no_file_is_left_open(shared_orthanc: OrthancServer) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with connected(shared_orthanc) as archive:
            archive.content(archive.store(sample(1).ct[0]).key)
            archive.system()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
