"""What every archive promises, asked of DICOMweb on three Orthancs; and what only DICOMweb can do to us."""

from __future__ import annotations

import http.server
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from contract import test_archive as suite
from contract.samples import Sample, changed, sample
from orthanc_server import OrthancServer
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from orthanc_mask2seg.addresses import DicomwebAddress
from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveDenied,
    ArchiveFull,
    ArchiveRejected,
    ArchiveUnreachable,
    ConfigurationError,
    Mask2SegError,
    NotInArchive,
    NotSupported,
    StoreMismatch,
)
from orthanc_mask2seg.model import ArchiveKey, Uid
from orthanc_mask2seg.pacs import dicomweb_index
from orthanc_mask2seg.pacs.dicomweb import DicomwebArchive
from orthanc_mask2seg.pacs.dicomweb_json import headers_from
from orthanc_mask2seg.pacs.multipart import packed, parts_of

DIFFERENT = {
    "test_a_scan_finds_both_series": "a scan counts instances and does not list them",
    "test_headers_are_those_of_the_files_in_the_order_of_the_keys": "DICOMweb 1.7 gives numbers, not their digits",
    "test_what_was_stored_can_be_deleted_and_stored_again": "DICOMweb has no deletion",
    "test_the_journal_tells_of_arrivals_page_by_page": "the journal is made of sweeps and is not numbered by Orthanc",
    "test_a_page_never_jumps_to_the_end_and_shows_a_reset": "so it has no reset either",
    "test_a_deleted_instance_is_not_in_the_series": "DICOMweb has no deletion",
    "test_keys_are_orthancs_own": "keys are paths",
}
"""Tests of the suite that have another form below, and why."""

globals().update({name: one for name, one in vars(suite).items() if name.startswith("test_") and name not in DIFFERENT})

SUITES = ("bookworm", "trixie", "sid")


@pytest.fixture(scope="module", params=SUITES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    made = OrthancServer(tmp_path_factory.mktemp(request.param), suite=request.param)
    try:
        yield made.start()
    finally:
        made.kill()


def address(server: OrthancServer, **more: Any) -> DicomwebAddress:
    values = {"username": server.username, "password": server.password, **more}
    return DicomwebAddress(url=f"{server.url}/dicom-web", **values)


@pytest.fixture
def archive(server: OrthancServer) -> Iterator[DicomwebArchive]:
    with DicomwebArchive(address(server), 30) as made:
        yield made


@pytest.fixture
def fill(server: OrthancServer, archive: DicomwebArchive) -> suite.Fill:
    return lambda given: filled(server, archive, given)


def filled(server: OrthancServer, archive: DicomwebArchive, given: Sample) -> DicomwebArchive:
    for content in given.files:
        server.post("/instances", content)
    return archive


def test_every_difference_is_one_of_the_suite() -> None:
    assert set(DIFFERENT) <= set(vars(suite))


def test_a_scan_finds_both_series_and_counts_their_instances(server: OrthancServer, archive: DicomwebArchive) -> None:
    given = sample()
    found = {series.series_instance_uid: series for series in filled(server, archive, given).all_series()}
    ct, mask = found[Uid(given.ct_uid)], found[Uid(given.mask_uid)]
    assert ct.study_instance_uid == mask.study_instance_uid == given.study_uid
    assert (ct.modality, ct.series_description, ct.series_number) == ("CT", "Thorax ünd Abdomen", "4")
    assert (ct.manufacturer, ct.station_name) == ("Maker", "CT01")
    assert ct.instance_count == mask.instance_count == 5
    read = archive.series(mask.key)
    assert replace(read, instance_keys=()) == mask
    assert read.version == mask.version
    assert len(read.instance_keys) == 5


def test_headers_are_those_of_the_files(server: OrthancServer, archive: DicomwebArchive) -> None:
    given = sample(7)
    filled(server, archive, given)
    for uid, files in ((given.ct_uid, given.ct), (given.mask_uid, given.mask)):
        series = archive.find_series(uid)
        headers, contents = archive.headers(series), list(archive.contents(series.instance_keys))
        assert sorted(contents) == sorted(files)
        for header, content in zip(headers, contents, strict=True):
            truth = dcmread(io.BytesIO(content), stop_before_pixels=True)
            if server.suite == "bookworm":
                assert {k: header[k].value == truth[k].value for k in suite.DECIMALS} == dict.fromkeys(
                    suite.DECIMALS, True
                )
                for keyword in suite.DECIMALS:
                    truth[keyword].value = header[keyword].value
            suite.same(header, truth)


def test_a_deletion_that_is_not_possible_is_said(archive: DicomwebArchive) -> None:
    receipt = archive.store(sample(1).ct[0])
    with pytest.raises(NotSupported):
        archive.delete_instance(receipt.key)
    assert archive.content(receipt.key)
    series = receipt.key.rpartition("/instances/")[0]
    archive.delete_instance(ArchiveKey(f"{series}/instances/1.2.3"))  # nothing to do


def test_sweeps_tell_of_what_arrives(server: OrthancServer, archive: DicomwebArchive) -> None:
    start = archive.last_change() + 57
    until_swept(archive, start)
    given = sample(3)
    filled(server, archive, given)
    mask = archive.find_series(given.mask_uid)
    changes = changes_until(archive, start, lambda found: mask.key in found)
    assert changes[0].sequence > start
    seen = changes[-1].sequence
    time.sleep(1.5)
    while page := archive.changes(seen, 10).changes:
        seen = page[-1].sequence
    server.post("/instances", changed(given.mask[0], SOPInstanceUID="1.2.3.4"))
    (again,) = changes_until(archive, seen, lambda found: mask.key in found)
    assert (again.key, again.sequence) == (mask.key, seen + 1)
    assert archive.changes(again.sequence, 10).changes == ()


def until_swept(archive: DicomwebArchive, since: int) -> None:
    for _ in range(3):
        assert archive.changes(since, 10).changes == ()
    time.sleep(1.5)


def changes_until(archive: DicomwebArchive, since: int, enough: Callable[[set[str]], bool]) -> list[Any]:
    found: dict[int, Any] = {}
    end = time.monotonic() + 30
    while not enough({change.key for change in found.values()}):
        assert time.monotonic() < end
        page = archive.changes(since, 1)
        since = page.last
        found.update({change.sequence: change for change in page.changes})
        time.sleep(0.02)
    return list(found.values())


def test_shared_sop_instance_uids_never_give_the_other_series(server: OrthancServer, archive: DicomwebArchive) -> None:
    """On DICOMweb 1.7 the instances come out of their series, as it finds none by its path."""
    given = sample(4)
    filled(server, archive, given)
    for uid, files in ((given.ct_uid, given.ct), (given.mask_uid, given.mask)):
        key = archive.find_series(uid).instance_keys[2]
        assert archive.content(key) in files


def test_one_series_of_two_patients_is_not_guessed(server: OrthancServer, archive: DicomwebArchive) -> None:
    """Orthanc keeps both; their paths are the same."""
    content = sample(1).ct[0]
    header = dcmread(io.BytesIO(content))
    filled_key = archive.store(content).key.rpartition("/instances/")[0]
    server.post("/instances", changed(content, PatientID="another"))
    for ask in (
        lambda: archive.find_series(header.SeriesInstanceUID),
        lambda: archive.series(ArchiveKey(filled_key)),
        lambda: archive.series_of_study(header.StudyInstanceUID),
    ):
        with pytest.raises(ArchiveRejected, match="twice"):
            ask()


def test_pages_of_any_size_make_no_hole(
    server: OrthancServer, archive: DicomwebArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [sample(1) for _ in range(6)]
    for each in given:
        filled(server, archive, each)
    wanted = {uid for each in given for uid in (each.ct_uid, each.mask_uid)}
    for page in (1, 3, 7):
        monkeypatch.setattr(dicomweb_index, "PAGE", page)
        found = [series.series_instance_uid for series in archive.all_series()]
        assert sorted(uid for uid in found if uid in wanted) == sorted(wanted)  # one of two patients is there twice


def test_wrong_credentials_are_denied(server: OrthancServer, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    given = DicomwebAddress(url=f"{server.url}/dicom-web", username=server.username, password_file=str(secret))
    with DicomwebArchive(given, 30) as archive:
        for ask in (lambda: list(archive.all_series()), lambda: archive.store(sample(1).ct[0])):
            with pytest.raises(ArchiveDenied) as told:
                ask()
            assert "wrong" not in str(told.value)
        secret.write_text(f"{server.password}\n")  # read anew
        list(archive.all_series())
        secret.unlink()
        with pytest.raises(ArchiveDenied):
            list(archive.all_series())


# --- what only a strange archive does


class Pretender(http.server.ThreadingHTTPServer):
    """An archive that is none: a table of answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reply)
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[Reply], None] = lambda reply: reply.say(200, b"[]")

    @property
    def address(self) -> DicomwebAddress:
        return DicomwebAddress(url=f"http://127.0.0.1:{self.server_port}/dw")


class Reply(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast("Pretender", self.server)
        server.asked.append((self.command, self.path))
        server.headers.append(dict(self.headers))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.answer(self)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def tell(self, document: Any, status: int = 200) -> None:
        self.say(status, json.dumps(document).encode(), Content_Type="application/dicom+json")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def pretender() -> Iterator[Pretender]:
    server = Pretender()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def record(**values: Any) -> dict[str, Any]:
    tags = {"study": "0020000D", "series": "0020000E", "sop": "00080018", "count": "00201209"}
    return {tags[name]: {"vr": "UI", "Value": [value]} for name, value in values.items()}


def asks(archive: DicomwebArchive) -> list[Callable[[], Any]]:
    return [
        lambda: list(archive.all_series()),
        lambda: archive.find_series("1.2.3"),
        lambda: archive.series_of_study(Uid("1.2")),
        lambda: archive.content(ArchiveKey("studies/1/series/2/instances/3")),
        lambda: archive.changes(0, 10),
    ]


@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, ArchiveDenied), (403, ArchiveDenied), (404, NotInArchive), (400, ArchiveRejected), (429, ArchiveBusy),
     (500, ArchiveBusy), (503, ArchiveBusy), (301, ArchiveRejected), (307, ArchiveRejected)],
)  # fmt: skip
def test_statuses_become_faults(pretender: Pretender, status: int, fault: type[Mask2SegError]) -> None:
    pretender.answer = lambda reply: reply.say(status, b"secret", Location="http://127.0.0.1:9/dw/series")
    with DicomwebArchive(pretender.address, 5) as archive:
        for ask in asks(archive):
            with pytest.raises(fault) as told:
                ask()
            assert "secret" not in str(told.value)


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"[[]]", b'"x"', b"[" * 100_000, b'[{"0020000E": 1}]'])
def test_strange_answers_are_rejected(pretender: Pretender, body: bytes) -> None:
    pretender.answer = lambda reply: reply.say(200, body, Content_Type="application/dicom+json")
    with DicomwebArchive(pretender.address, 5) as archive:
        for ask in asks(archive):
            try:
                assert ask() in ([], ())
            except (ArchiveRejected, NotInArchive):
                continue


def test_nothing_is_taken_from_the_surroundings(
    pretender: Pretender, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with DicomwebArchive(pretender.address, 5) as archive:
        assert list(archive.all_series()) == []
    (headers,) = pretender.headers
    assert "Authorization" not in headers
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == f"127.0.0.1:{pretender.server_port}"


def test_a_token_is_sent_and_read_anew(pretender: Pretender, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    given = DicomwebAddress(url=pretender.address.url, token_file=str(token))
    with DicomwebArchive(given, 5) as archive:
        list(archive.all_series())
        token.write_text("second")
        list(archive.all_series())
        token.write_text("two\r\nX-Evil: lines")
        with pytest.raises(ArchiveDenied):
            list(archive.all_series())
    assert [headers["Authorization"] for headers in pretender.headers] == ["Bearer first", "Bearer second"]


def test_an_archive_that_ignores_limit_and_offset_is_read_once(pretender: Pretender) -> None:
    series = [record(study="1.2", series=f"1.2.{n}", count=3) for n in range(500)]
    pretender.answer = lambda reply: reply.tell(series)
    with DicomwebArchive(pretender.address, 5) as archive:
        assert len(list(archive.all_series())) == 500
    assert len(pretender.asked) == 2


def asked_page(reply: Reply) -> tuple[int, int]:
    query = parse_qs(urlsplit(reply.path).query)
    return int(query["limit"][0]), int(query.get("offset", ["0"])[0])


@pytest.mark.parametrize("cap", [1, 7, 150])
def test_an_archive_that_caps_the_limit_is_read_to_its_end(pretender: Pretender, cap: int) -> None:
    series = [record(study="1.2", series=f"1.2.{n}", count=3) for n in range(20 * cap + 1)]

    def answer(reply: Reply) -> None:
        limit, offset = asked_page(reply)
        reply.tell(series[offset : offset + min(limit, cap)])

    pretender.answer = answer
    with DicomwebArchive(pretender.address, 5) as archive:
        assert len(list(archive.all_series())) == len(series)


def test_a_list_that_cannot_be_read_on_is_said(pretender: Pretender, caplog: pytest.LogCaptureFixture) -> None:
    """The archive gives as many as it is asked for, and the same ones for every offset."""
    series = [record(study="1.2", series=f"1.2.{n}", count=3) for n in range(500)]
    pretender.answer = lambda reply: reply.tell(series[: asked_page(reply)[0]])
    with DicomwebArchive(pretender.address, 5) as archive:
        assert len(list(archive.all_series())) == dicomweb_index.PAGE
    assert "ignores 'offset'" in caplog.text


def test_a_deletion_in_the_middle_of_a_scan_makes_no_hole(pretender: Pretender) -> None:
    series = [record(study="1.2", series=f"1.2.{n}", count=3) for n in range(600)]

    def answer(reply: Reply) -> None:
        limit, offset = asked_page(reply)
        reply.tell(series[offset : offset + limit])
        del series[:5]

    pretender.answer = answer
    with DicomwebArchive(pretender.address, 5) as archive:
        found = {scanned.series_instance_uid for scanned in archive.all_series()}
    assert {f"1.2.{n}" for n in range(30, 600)} <= found


def test_a_capped_list_of_instances_is_no_series(pretender: Pretender) -> None:
    """The archive counts 30 instances, gives 10, and ignores the offset."""
    instances = [record(study="1.2", series="1.2.3", sop=f"1.2.3.{n}") for n in range(10)]
    pretender.answer = lambda reply: reply.tell(
        instances if "/instances" in reply.path else [record(study="1.2", series="1.2.3", count=30)]
    )
    with DicomwebArchive(pretender.address, 5) as archive, pytest.raises(ArchiveBusy, match="another number"):
        archive.find_series("1.2.3")


def test_filters_that_are_ignored_find_nothing_else(pretender: Pretender) -> None:
    pretender.answer = lambda reply: reply.tell([record(study="1.2", series="1.2.9", count=1)])
    with DicomwebArchive(pretender.address, 5) as archive, pytest.raises(NotInArchive):
        archive.find_series("1.2.3")


def test_addresses_from_the_archive_are_not_followed(pretender: Pretender) -> None:
    header = {
        **record(study="1.2", series="1.2.3", sop="1.2.3.4", count=1),
        "00081190": {"vr": "UR", "Value": ["http://127.0.0.1:9/elsewhere"]},
        "00880200": {"vr": "SQ", "BulkDataURI": "http://127.0.0.1:9/elsewhere"},
        "00281201": {"vr": "OW", "BulkDataURI": f"{pretender.address.url}/bulk"},
        "00280010": {"vr": "US", "Value": [7]},
    }
    pretender.answer = lambda reply: reply.tell([header])
    with DicomwebArchive(pretender.address, 5) as archive:
        (read,) = archive.headers(archive.find_series("1.2.3"))
    assert read.Rows == 7
    assert "RedPaletteColorLookupTableData" not in read
    assert all(path.startswith("/dw/") and "bulk" not in path for _, path in pretender.asked)


def file_answer(content: bytes) -> tuple[bytes, str]:
    return packed(content)


def key_of(content: bytes) -> ArchiveKey:
    header = dcmread(io.BytesIO(content), stop_before_pixels=True)
    return ArchiveKey(
        f"studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}/instances/{header.SOPInstanceUID}"
    )


@pytest.mark.parametrize("cut", [1, 30, 200, 1000])
def test_damaged_answers_are_faults_that_pass(pretender: Pretender, cut: int) -> None:
    content = sample(1).ct[0]
    body, media_type = file_answer(content)
    pretender.answer = lambda reply: reply.say(200, body[:-cut], Content_Type=media_type)
    with DicomwebArchive(pretender.address, 5) as archive:
        if cut == 1:  # the end of line after the last delimiter
            assert archive.content(key_of(content)) == content
        else:
            with pytest.raises(ArchiveUnreachable, match="damaged"):
                archive.content(key_of(content))


def test_another_instance_than_asked_for_is_refused(pretender: Pretender) -> None:
    content, other = sample(1).ct[0], sample(1).ct[0]
    body, media_type = file_answer(other)
    pretender.answer = lambda reply: reply.say(200, body, Content_Type=media_type)
    with DicomwebArchive(pretender.address, 5) as archive, pytest.raises(ArchiveRejected, match="another instance"):
        archive.content(key_of(content))


def test_an_answer_that_trickles_or_is_too_large_is_given_up(pretender: Pretender) -> None:
    def trickle(reply: Reply) -> None:
        reply.send_response(200)
        reply.send_header("Content-Length", "1000000")
        reply.end_headers()
        while True:
            reply.wfile.write(b" ")
            time.sleep(0.05)

    pretender.answer = trickle
    started = time.monotonic()
    with DicomwebArchive(pretender.address, 0.2) as archive, pytest.raises(ArchiveUnreachable):
        list(archive.all_series())
    assert time.monotonic() - started < 5
    pretender.answer = lambda reply: reply.say(200, bytes(200_000), Content_Type="application/dicom")
    with (
        DicomwebArchive(pretender.address, 5, max_bytes=1000) as archive,
        pytest.raises(ArchiveRejected, match="large"),
    ):
        archive.content(ArchiveKey("studies/1/series/2/instances/3"))


class Stow:
    """An archive that answers to a store as it is told and then holds what it is told."""

    def __init__(self, reply_status: int, reply: Any, held: bytes | None) -> None:
        self.reply_status, self.reply, self.held = reply_status, reply, held
        self.posted = False

    def __call__(self, reply: Reply) -> None:
        if reply.command == "POST":
            self.posted = True
            reply.tell(self.reply, self.reply_status) if self.reply is not None else reply.say(self.reply_status)
        elif "/instances/" in reply.path and self.posted and self.held is not None:
            body, media_type = file_answer(self.held)
            reply.say(200, body, Content_Type=media_type)
        else:
            reply.say(404) if "/instances/" in reply.path else reply.tell([])


def stow_reply(uid: str, *, failed: int | None = None, warning: int | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if failed is not None:
        item["00081197"] = {"vr": "US", "Value": [failed]}
        return {"00081198": {"vr": "SQ", "Value": [item]}}
    if warning is not None:
        item["00081196"] = {"vr": "US", "Value": [warning]}
    return {"00081199": {"vr": "SQ", "Value": [item]}}


@pytest.mark.parametrize(
    ("status", "kind", "held", "fault"),
    [
        (200, "stored", "same", None),
        (200, "stored", "implicit", None),
        (202, "warning", "same", None),
        (202, "warning", "coerced", StoreMismatch),
        (200, "stored", "coerced", StoreMismatch),
        (200, "stored", "pixels", StoreMismatch),
        (200, "stored", "nothing", StoreMismatch),
        (200, "empty", "nothing", ArchiveBusy),
        (200, "other", "nothing", ArchiveBusy),
        (409, "failed A700", "nothing", ArchiveFull),
        (409, "failed 0110", "nothing", ArchiveBusy),
        (409, "failed 0122", "nothing", ArchiveRejected),
        (409, "failed 0124", "nothing", ArchiveDenied),
        (200, "failed C000", "nothing", ArchiveRejected),
        (507, "empty", "nothing", ArchiveFull),
        (413, "empty", "nothing", ArchiveRejected),
        (401, "empty", "nothing", ArchiveDenied),
    ],
)
def test_a_reply_to_a_store_is_no_proof(
    pretender: Pretender, status: int, kind: str, held: str, fault: type[Mask2SegError] | None
) -> None:
    content = sample(1).ct[0]
    uid = str(dcmread(io.BytesIO(content)).SOPInstanceUID)
    replies = {
        "stored": stow_reply(uid), "warning": stow_reply(uid, warning=0xB000), "empty": None, "other": stow_reply("1.2")
    }  # fmt: skip
    reply = stow_reply(uid, failed=int(kind[-4:], 16)) if kind.startswith("failed") else replies[kind]
    pretender.answer = Stow(status, reply, variant(content, held))
    with DicomwebArchive(pretender.address, 5) as archive:
        if fault is None:
            assert archive.store(content).created
            return
        with pytest.raises(fault) as told:
            archive.store(content)
        assert type(told.value) is fault
        assert uid not in str(told.value)


def variant(content: bytes, how: str) -> bytes | None:
    if how in {"same", "nothing"}:
        return content if how == "same" else None
    if how == "coerced":
        return changed(content, PatientID="other")
    data = dcmread(io.BytesIO(content))
    if how == "pixels":
        return changed(content, PixelData=data.PixelData[:-1] + b"\1")
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data.file_meta.SourceApplicationEntityTitle = "ARCHIVE"
    buffer = io.BytesIO()
    data.save_as(buffer, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def test_a_lost_reply_is_not_a_lost_instance(pretender: Pretender) -> None:
    content = sample(1).ct[0]
    uid = str(dcmread(io.BytesIO(content)).SOPInstanceUID)
    stow = Stow(200, stow_reply(uid), content)

    def answer(reply: Reply) -> None:
        if reply.command == "POST" and not stow.posted:
            stow.posted = True
            reply.connection.shutdown(socket.SHUT_RDWR)
        else:
            stow(reply)

    pretender.answer = answer
    with DicomwebArchive(pretender.address, 5) as archive:
        archive.store(content)
    assert [command for command, _ in pretender.asked].count("POST") == 1


def test_nobody_there_is_unreachable() -> None:
    with DicomwebArchive(DicomwebAddress(url="http://127.0.0.1:9/dw"), 5) as archive:
        for ask in asks(archive):
            with pytest.raises(ArchiveUnreachable):
                ask()


def test_addresses_are_checked(tmp_path: Path) -> None:
    for wrong in ("", "ftp://x", "http://a:b@x/", "http://x/?a=b"):
        with pytest.raises(ValueError, match="Url"):
            DicomwebAddress(url=wrong)
    with pytest.raises(ValueError, match="either"):
        DicomwebAddress(url="https://x", username="a", token="b")
    given = DicomwebAddress(url="https://x", username="a", password="SECRET", ca_file=str(tmp_path / "none"))
    assert "SECRET" not in repr(given)
    with pytest.raises(ConfigurationError):
        DicomwebArchive(given)


@pytest.mark.parametrize("key", ["studies/../series/..", "studies/1/series/2/../..", "studies/1/series/a", "1/2"])
def test_no_strange_key_gets_into_an_address(pretender: Pretender, key: str) -> None:
    with DicomwebArchive(pretender.address, 5) as archive:
        for ask in (archive.series, archive.find_series, archive.content, archive.delete_instance):
            with pytest.raises(NotInArchive):
                ask(ArchiveKey(key))
    assert pretender.asked == []


def test_parts_are_those_that_were_sent() -> None:
    body = b"--b\r\nA: b\r\n\r\none\r\n--b\r\nContent-Length: 9\r\n\r\ntw\r\n--b\r\no\r\n--b--\r\n"
    with pytest.raises(ArchiveUnreachable):
        parts_of(body, "multipart/related; boundary=b")
    body = b"pre\r\n--b\r\nA: b\r\n\r\none\r\n--b\r\nContent-Length: 10\r\n\r\ntw\r\n--b\r\no\r\n--b--\r\n"
    assert parts_of(body, 'Multipart/Related; boundary="b"') == [b"one", b"tw\r\n--b\r\no"]
    assert parts_of(b"whole", "application/dicom") == [b"whole"]
    for wrong in ("text/html", "", "multipart/related"):
        with pytest.raises(ArchiveRejected):
            parts_of(body, wrong)


def test_odd_elements_are_left_out_and_not_fatal() -> None:
    deep: Any = []
    for _ in range(40):
        deep = [{"00081140": {"vr": "SQ", "Value": deep}}]
    (header,) = headers_from(
        [
            {
                "00280010": {"vr": "US", "Value": ["abc"]},
                "00280011": {"vr": "US", "Value": [512]},
                "00200032": {"vr": "DS", "Value": [-1.2345678901234567, 7, "3.0"]},
                "00201041": {"vr": "DS", "Value": ["x"]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Phonetic": "C"}]},
                "0029xx10": {"vr": "LO", "Value": ["private"]},
                "00291010": {"vr": "LO", "Value": ["private"]},
                "00204000": {"vr": "LT", "Value": [None]},
                "00181063": {"vr": "DS"},
                "00280009": {"vr": "AT", "Value": ["00181063"]},
                "00189345": {"vr": "FD", "Value": [0.1]},
                "7FE00010": {"vr": "OW", "InlineBinary": "AAAA"},
                "00081140": {"vr": "SQ", "Value": deep},
                "00080060": {"Value": ["CT"]},
                "00080070": "text",
            }
        ]
    )
    assert "Rows" not in header
    assert "PixelData" not in header
    assert "SliceLocation" not in header
    assert header.Columns == 512
    assert [str(v) for v in header.ImagePositionPatient] == ["-1.2345678901235", "7", "3.0"]
    assert str(header.PatientName) == "A^B==C"
    assert header.FrameIncrementPointer == 0x00181063
    assert header.CTDIvol == 0.1
    assert header.Modality == "CT"
    assert "ReferencedImageSequence" in header
