"""TLS towards Orthanc's REST API: its certificate is checked, ours is shown, and what is wrong is said."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from orthanc_server import OrthancServer

from orthanc_mask2seg.addresses import TlsFiles
from orthanc_mask2seg.errors import ArchiveUnreachable, ConfigurationError
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from tests.builders import study, to_bytes
from tests.integration.test_dicomweb import PROGRAM, Proxy, running


class Certificates(NamedTuple):
    """Files in PEM: of an authority, a server, a client (with key), and of an authority that nobody knows."""

    authority: str
    server: str
    client: str
    client_key: str
    stranger: str
    strange_client: str


class TlsOrthanc(Proxy):
    """A real Orthanc behind TLS (see `Proxy`), which asks for a client's certificate where `mutual`."""

    def __init__(self, behind: OrthancServer, files: Certificates, *, mutual: bool) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.authority)
        context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
        context.load_cert_chain(files.server)
        super().__init__(behind, tls=context)
        self.mutual = mutual

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder, ours, other = tmp_path_factory.mktemp("tls"), trustme.CA(), trustme.CA()

    def written(name: str, *blobs: trustme.Blob) -> str:
        (folder / name).write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(folder / name)

    server, client, strange = ours.issue_cert("127.0.0.1"), ours.issue_cert("client.example"), other.issue_cert("x")
    return Certificates(
        written("ca.pem", ours.cert_pem),
        written("server.pem", server.private_key_and_cert_chain_pem),
        written("client.pem", *client.cert_chain_pems),
        written("client.key", client.private_key_pem),
        written("other.pem", other.cert_pem),
        written("strange.pem", strange.private_key_and_cert_chain_pem),
    )


@pytest.fixture(params=[False, True], ids=["tls", "mutual"])
def server(request: pytest.FixtureRequest, shared_orthanc: OrthancServer, files: Certificates) -> Iterator[TlsOrthanc]:
    with running(TlsOrthanc(shared_orthanc, files, mutual=request.param)) as made:
        yield made  # type: ignore[misc]


def opened(server: TlsOrthanc, tls: TlsFiles) -> OrthancArchive:
    return OrthancArchive(server.url, *server.behind.auth, 10, tls=tls)


def test_both_clients_read_and_store(server: TlsOrthanc, files: Certificates) -> None:
    """The index (httpx) and the bytes (requests) go over TLS."""
    tls = TlsFiles(ca_file=files.authority, certificate_file=files.client, key_file=files.client_key)
    content = to_bytes(study(seed=7).mask[0])
    with opened(server, tls) as archive:
        receipt = archive.store(content)
        assert archive.content(receipt.key) == content
        assert receipt.key in {key for s in archive.all_series() for key in s.instance_keys}


@pytest.mark.parametrize("pinned", ["stranger", "nobody"])
def test_who_is_not_trusted_gets_nothing(server: TlsOrthanc, files: Certificates, pinned: str) -> None:
    """Neither request nor password is sent to a server whose certificate another authority signed."""
    ca_file = files.stranger if pinned == "stranger" else ""
    own = {"certificate_file": files.client, "key_file": files.client_key}
    with opened(server, TlsFiles(ca_file=ca_file, **own)) as archive:
        with pytest.raises(ArchiveUnreachable, match="TLS") as about_index:
            list(archive.all_series())
        with pytest.raises(ArchiveUnreachable, match="TLS"):
            archive.store(to_bytes(study(seed=8).mask[0]))
    assert "OrthancCaFile" in about_index.value.hint
    assert server.behind.password not in str(about_index.value)


def test_the_name_is_checked(server: TlsOrthanc, files: Certificates) -> None:
    own = {"certificate_file": files.client, "key_file": files.client_key, "ca_file": files.authority}
    url = f"https://localhost:{server.server_port}"
    with (
        OrthancArchive(url, *server.behind.auth, 10, tls=TlsFiles(**own)) as archive,
        pytest.raises(ArchiveUnreachable),
    ):
        list(archive.all_series())


@pytest.mark.parametrize("shown", ["none", "strange_client"])
def test_a_client_that_orthanc_does_not_know(server: TlsOrthanc, files: Certificates, shown: str) -> None:
    certificate = files.strange_client if shown == "strange_client" else ""
    with opened(server, TlsFiles(ca_file=files.authority, certificate_file=certificate)) as archive:
        if not server.mutual:
            assert list(archive.all_series()) is not None
            return
        with pytest.raises(ArchiveUnreachable):
            list(archive.all_series())


def test_files_that_are_none(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for tls in (TlsFiles(ca_file=str(tmp_path / "missing")), TlsFiles(certificate_file=str(nonsense))):
        with pytest.raises(ConfigurationError, match="OrthancCaFile"):
            OrthancArchive("https://127.0.0.1:1", tls=tls)
    with pytest.raises(ValueError, match="KeyFile needs"):
        TlsFiles(key_file="x")


def test_the_service_by_its_settings(server: TlsOrthanc, files: Certificates, tmp_path: Path) -> None:
    """`mask2seg convert` with the settings of orthanc.json and a password in a file."""
    made = study(seed=9)
    for data in (*made.image, *made.mask):
        server.behind.post("/instances", to_bytes(data))
    secret = tmp_path / "password"
    secret.write_text(server.behind.password + "\n")
    section = {
        "OrthancUrl": server.url, "OrthancUsername": server.behind.username, "OrthancPasswordFile": "password",
        "OrthancCaFile": files.authority, "OrthancCertificateFile": files.client, "OrthancKeyFile": files.client_key,
        "State": "state",
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps({"Mask2Seg": section}))
    uid = str(made.mask[0].SeriesInstanceUID)
    done = subprocess.run(
        [PROGRAM, "convert", uid, "-c", tmp_path / "orthanc.json", "--json"],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["outcome"] == "converted"
    assert server.behind.password not in done.stdout + done.stderr
