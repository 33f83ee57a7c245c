"""The plugin in real Orthancs of all three versions: loaded, asked, killed."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.builders import Grid, study, to_bytes
from tests.plugin_orthanc import ENTRY, SUITES, PluginOrthanc, alive, end, until

PROGRAM = Path(sys.executable).parent / "mask2seg"
Make = Callable[..., PluginOrthanc]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes Orthancs that do not outlive the test."""
    made: list[PluginOrthanc] = []

    def one(suite: str = "trixie", **options: Any) -> PluginOrthanc:
        made.append(PluginOrthanc(tmp_path / f"{suite}{len(made)}", suite, **options))
        return made[-1]

    yield one
    for server in made:
        server.kill()


def send_study(server: PluginOrthanc, **options: Any) -> None:
    made = study(**options)
    server.send(*(to_bytes(data) for data in (*made.image, *made.mask)))


@pytest.mark.parametrize("suite", SUITES)
def test_enable_is_all_that_it_takes(make: Make, suite: str) -> None:
    """People have passwords, the service has none: what arrives is converted, and a button converts and explains."""
    server = make(suite).ready()
    send_study(server)
    [segmentation] = until(server.segs, "the SEG, made by itself")
    [mask], [images] = server.series(description="mask", modality="CT"), server.series(description="thorax")

    asked = server.ask("POST", f"/series/{mask}/convert")
    assert asked.status_code == 202
    job = server.ended(asked.json()["id"])
    assert job["result"]["outcome"] == "converted"
    assert job["links"] == {
        "mask": mask,
        "source": images,
        "outputs": [segmentation],
        "made": [{"kind": "SEG", "series": segmentation, "file": None}],
    }
    assert server.ask("POST", f"/series/{mask}/convert").json() == asked.json()

    refused = server.ended(server.ask("POST", f"/series/{images}/convert").json()["id"])
    assert (refused["result"]["outcome"], refused["result"]["reason"]) == ("refused", "not_discrete")
    assert refused["result"]["hint"]

    whole = server.ask("POST", f"/studies/{server.get(f'/series/{mask}').json()['ParentStudy']}/convert")
    assert whole.status_code == 202
    assert [one["series"] for one in whole.json()["jobs"]] == [mask]

    made = server.ask("GET", f"/series/{segmentation}").json()
    assert made["made_from"] == {"masks": [mask], "source": images, "job": job["id"]}
    of_seg = server.ask("POST", f"/series/{segmentation}/convert")
    assert (of_seg.status_code, of_seg.json()["reason"]) == (409, "not_a_mask")
    assert server.segs() == [segmentation]

    check_marks(server, mask, images, segmentation)
    check_pages(server, mask)
    check_who_is_let_in(server, mask)
    check_secrets(server)

    [service] = server.service_pids()
    server.stop()
    assert not alive(service)


def check_marks(server: PluginOrthanc, mask: str, images: str, segmentation: str) -> None:
    """Labels where Orthanc has them; with the SEG, everywhere, where it comes from."""
    if server.suite != "bookworm":
        assert server.get(f"/series/{mask}/labels").json() == ["mask2seg-converted", "mask2seg-mask"]
        assert server.get(f"/series/{images}/labels").json() == ["mask2seg-refused"]
        found = server.post("/tools/find", b'{"Level":"Series","Query":{},"Labels":["mask2seg-converted"]}').json()
        assert found == [mask]
    text = server.get(f"/series/{segmentation}/metadata/4321").json()
    uid = server.get(f"/series/{mask}").json()["MainDicomTags"]["SeriesInstanceUID"]
    assert [(m["series_uid"], m["orthanc_id"]) for m in text["masks"]] == [(uid, mask)]
    assert text["evidence"]


def check_pages(server: PluginOrthanc, mask: str) -> None:
    """A form without any JavaScript leads to a page that links to the SEG."""
    form = {"Accept": "text/html,*/*;q=0.8", "Origin": server.url, "Content-Type": "application/x-www-form-urlencoded"}
    sent = server.ask("POST", f"/series/{mask}/convert", headers=form, data="")
    assert sent.status_code == 303
    place = requests.compat.urljoin(f"{server.url}/mask2seg/series/{mask}/convert", sent.headers["Location"])
    page = requests.get(place, auth=server.auth, timeout=30)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert f"#series?uuid={server.segs()[0]}" in page.text
    status = server.ask("GET", "/")
    assert "converted" in status.text
    assert 'href="style.css"' in status.text
    assert "script-src 'self'" in status.headers["Content-Security-Policy"]
    assert server.ask("GET", "/style.css").headers["Content-Type"].startswith("text/css")
    assert server.ask("GET", "/live.js").headers["Content-Type"].startswith("text/javascript")
    assert "reachable" in server.ask("GET", "/health").text
    assert server.ask("GET", "/readyz").json()["ready"]
    assert "mask2seg_archive_reachable 1.0" in server.ask("GET", "/metrics").text
    assert len(server.ask("GET", "/jobs?limit=1").json()["jobs"]) == 1


def check_who_is_let_in(server: PluginOrthanc, mask: str) -> None:
    """Orthanc's login comes first, other sites' pages never, strange identifiers nowhere."""
    path = f"/series/{mask}/convert"
    for address in ("/", "/jobs", "/healthz", f"/series/{mask}"):
        assert server.ask("GET", address, auth=None).status_code == 401
    assert server.ask("POST", path, auth=None).status_code == 401
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert server.ask("POST", path, headers=headers).status_code == 403, headers
        form = {**headers, "Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
        assert server.ask("POST", path, headers=form, data="a=b").status_code == 403, headers
    for good in ({"Origin": server.url, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert server.ask("POST", path, headers=good).status_code == 202
    for strange in ("x", "..%2f..%2fsystem", mask.upper(), f"{mask}x", f"{mask}%0a", mask.replace("-", "")):
        assert server.ask("POST", f"/series/{strange}/convert").status_code in {403, 404}, strange
    nowhere = "-".join(["00000000"] * 5)
    gone = server.ask("POST", f"/series/{nowhere}/convert")
    assert (gone.status_code, gone.json()["error"]) == (404, "the PACS does not hold this")
    assert server.ask("GET", path).status_code == 405
    assert server.ask("POST", path, data=b"x" * 100_000).status_code == 413
    direct = requests.post(f"http://127.0.0.1:{server.status_port}{path}", timeout=30)
    assert direct.status_code == 403, "without the token that the plugin and the service share"


def check_secrets(server: PluginOrthanc) -> None:
    """Neither password nor token on a command line or in a log; the state is for nobody else."""
    pids = [server.pid, *server.service_pids()]
    words = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    environment = Path(f"/proc/{pids[1]}/environ").read_bytes()
    files = [file for file in server.state.rglob("*") if file.is_file()]
    assert files
    held = b"".join(file.read_bytes() for file in files) + server.log.encode()
    for secret in (server.password.encode(), b"Bearer "):
        assert secret not in words
        assert secret not in environment
        assert secret not in held
    assert b"AUTHORIZATION" not in environment
    assert stat.S_IMODE(server.state.stat().st_mode) == 0o700
    assert {oct(stat.S_IMODE(file.stat().st_mode)) for file in files} == {"0o600"}


def test_a_service_that_is_killed_comes_back(make: Make) -> None:
    server = make().ready()
    [first] = server.service_pids()
    end(first, signal.SIGKILL)
    until(lambda: server.service_pids() not in ([], [first]) and server.is_ready(), "another service")
    assert server.get("/system").ok
    assert "the service ended (-9) and is started again" in server.log
    send_study(server)
    until(server.segs, "the SEG")


@pytest.mark.parametrize("suite", SUITES)
def test_orthanc_is_killed_while_converting(make: Make, suite: str) -> None:
    """After a restart the service is back, and the job is done once."""
    server = make(suite).ready()
    grid = Grid(rows=320, columns=320, planes=60)
    send_study(server, grid=grid)
    until(lambda: server.ask("GET", "/jobs?state=running").json()["jobs"], "a running job")
    [service] = server.service_pids()
    server.kill()
    until(lambda: not alive(service), "the end of the service that lost its Orthanc", 15)
    server.ready()
    until(server.segs, "the SEG")
    until(lambda: [j["state"] for j in server.ask("GET", "/jobs").json()["jobs"]] == ["done"], "one job, done")
    time.sleep(4)  # a scan
    assert len(server.segs()) == 1
    assert len(server.get(f"/series/{server.segs()[0]}").json()["Instances"]) == 1
    assert len(server.ask("GET", "/jobs").json()["jobs"]) == 1


def test_orthanc_that_is_restarted_at_once_waits_for_the_service_before(make: Make) -> None:
    """The state folder has one owner: the new service takes it when the old one has ended."""
    server = make().ready()
    [first] = server.service_pids()
    server.kill()
    server.ready()
    assert server.service_pids() != [first]
    until(lambda: not alive(first), "the end of the old service, which has given the folder back")


def test_an_exception_in_a_callback_stays_there(make: Make, tmp_path: Path) -> None:
    copy = tmp_path / "plugin"
    shutil.copytree(ENTRY.parent, copy)
    with (copy / "routes.py").open("a") as routes:
        routes.write('\n\ndef handle(*_words):\n    raise RuntimeError("what nobody should read")\n')
    server = make(entry=copy / "entry.py", Command=str(PROGRAM)).start()
    for _ in range(3):
        answer = server.ask("GET", "/jobs")  # type: ignore[attr-defined]
        assert (answer.status_code, b"mask2seg" in answer.content) == (500, True)
    assert server.get("/system").ok
    assert "mask2seg: a request failed (RuntimeError)" in server.log
    assert "what nobody should read" not in server.log


def test_a_broken_plugin_does_not_stop_orthanc(make: Make, tmp_path: Path) -> None:
    copy = tmp_path / "plugin"
    shutil.copytree(ENTRY.parent, copy)
    (copy / "setup.py").write_text("nonsense(")
    server = make(entry=copy / "entry.py").start()
    assert server.get("/system").ok
    assert "mask2seg: the plugin cannot start (SyntaxError)" in server.log


def test_a_mistake_in_the_settings_is_said_in_orthancs_log(make: Make) -> None:
    server = make(Wokers=3).start()
    until(lambda: "did you mean Workers" in server.log, "a word about the mistake")
    assert server.ask("GET", "/healthz").status_code == 503  # type: ignore[attr-defined]


def test_not_enabled_it_does_nothing(make: Make) -> None:
    server = make(Enable=False).start()
    assert server.log.count("mask2seg: the plugin does nothing") == 1
    assert server.ask("GET", "/healthz").status_code == 404  # type: ignore[attr-defined]
    assert server.service_pids() == []  # type: ignore[attr-defined]


def test_a_port_that_is_taken_is_no_obstacle(make: Make) -> None:
    server = make()
    with socket.create_server(("127.0.0.1", server.status_port)):
        server.ready()


def test_a_service_elsewhere(make: Make, tmp_path: Path) -> None:
    """The plugin starts none; it and the service share a token from a file."""
    (tmp_path / "token").write_text("what both know\n")
    server = make(Service="http://127.0.0.1:1", ServiceTokenFile=str(tmp_path / "token"), StatusPort=8043)
    address = f"http://127.0.0.1:{server.status_port}"
    document = json.loads(server.configuration.read_text())
    document["Mask2Seg"]["Service"] = address
    server.configuration.write_text(json.dumps(document))
    server.start()
    down = server.ask("GET", "/healthz")
    assert (down.status_code, "does not answer" in down.json()["error"]) == (503, True)
    assert server.service_pids() == []
    configuration = tmp_path / "service.json"
    section = {
        "OrthancUrl": server.url, "OrthancUsername": server.username, "OrthancPassword": server.password,
        "State": "state", "StatusPort": server.status_port, "ServiceTokenFile": "token", "SettleSeconds": 0.5,
    }  # fmt: skip
    configuration.write_text(json.dumps({"Mask2Seg": section}))
    with subprocess.Popen([PROGRAM, "serve", "-c", configuration]) as service:
        try:
            until(server.is_ready, "the service")
            send_study(server)
            [mask] = server.series(description="mask", modality="CT")
            asked = server.ask("POST", f"/series/{mask}/convert")
            assert asked.status_code == 202
            assert server.ended(asked.json()["id"])["result"]["outcome"] == "converted"
        finally:
            service.terminate()
