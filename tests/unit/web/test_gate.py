"""Who may come in: by token, by session, from which page, under which name, how often and with how many bytes."""

from __future__ import annotations

import dataclasses
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme
from starlette.testclient import TestClient

from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.web import gate, page, sessions
from orthanc_mask2seg.web.sessions import Sessions
from tests.unit.web.test_page import HOSTILE, REFUSED, job, service

TOKEN = "a token of the site"
HOST = "https://pacs.example"
OURS = {"origin": HOST, "sec-fetch-site": "same-origin"}
CONVERT = "/series/nowhere/convert"


@pytest.fixture
def browser() -> TestClient:
    """A browser before a service that others can reach, by TLS."""
    state = dataclasses.replace(service(REFUSED, token=TOKEN), certificate_file="there.pem")
    app = page.create_app(state, loopback=False, names=["pacs.example"])
    return TestClient(app, base_url=HOST, follow_redirects=False)


def log_in(browser: TestClient, token: str = TOKEN, **headers: str) -> httpx.Response:
    return browser.post("/login", data={"token": token}, headers={**OURS, **headers})


def test_a_browser_logs_in_and_out(browser: TestClient) -> None:
    first = browser.get("/", headers={"accept": "text/html"})
    assert (first.status_code, first.headers["location"]) == (303, "/login")
    form = browser.get("/login")
    assert '<form class="empty" method="post" action="login">' in form.text
    assert "form-action 'self'" in form.headers["content-security-policy"]
    answer = log_in(browser)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-mask2seg=")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert browser.get("/").status_code == 200
    assert browser.get("/jobs").status_code == 200
    kept = dict(browser.cookies)
    assert browser.post("/logout", headers=OURS).status_code == 303
    assert browser.get("/jobs").status_code == 403
    browser.cookies.update(kept)
    assert browser.get("/jobs").status_code == 403, "the cookie that was logged out is worth nothing"


def test_a_session_changes_nothing_for_pages_of_others(browser: TestClient) -> None:
    log_in(browser)
    assert browser.post(CONVERT, headers=OURS).status_code == 404
    for foreign in (
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://pacs.example"},
        {**OURS, "sec-fetch-site": "cross-site"},
        {**OURS, "sec-fetch-site": "same-site"},
    ):
        assert browser.post(CONVERT, headers=foreign).status_code == 403, foreign
        assert browser.post("/logout", headers=foreign).status_code == 403, foreign
        assert browser.post("/login", data={"token": TOKEN}, headers=foreign).status_code == 403, foreign


@pytest.mark.parametrize("forged", ["", "x", "a.b.c", "../", "\u00e9", "AAAA.BBBB.CCCC"])
def test_a_cookie_that_we_did_not_give(browser: TestClient, forged: str) -> None:
    headers = {"cookie": f"__Host-mask2seg={forged}".encode("latin-1")}
    assert browser.get("/jobs", headers=headers).status_code == 403


def test_a_session_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sessions(TOKEN, secure=True)
    value = made.begin()
    assert made.lives(value)
    assert not Sessions(TOKEN, secure=True).lives(value), "not after a restart"
    monkeypatch.setattr(sessions, "SESSION_SECONDS", -1)
    assert not made.lives(value)


@pytest.mark.parametrize("way", ["form", "bearer"])
def test_guessing_is_held_off(browser: TestClient, way: str) -> None:
    def guess(token: str) -> int:
        if way == "form":
            return log_in(browser, token).status_code
        return browser.get("/jobs", headers={"authorization": f"Bearer {token}"}).status_code

    assert [guess("wrong") for _ in range(sessions.MOST_FAILURES)] == [403] * sessions.MOST_FAILURES
    assert guess("wrong") == 429
    assert guess(TOKEN) in {200, 303}, "who has the right one is not locked out by others behind the same proxy"
    assert guess("wrong") == 429


def test_failures_are_forgotten_and_bounded() -> None:
    now = [0.0]
    made = Sessions(TOKEN, secure=False, clock=lambda: now[0])
    for _ in range(sessions.MOST_FAILURES):
        assert not made.knows("wrong", "1.2.3.4")
    assert made.held_off("1.2.3.4")
    assert not made.held_off("1.2.3.5")
    now[0] = sessions.FAILURE_SECONDS + 1
    assert not made.held_off("1.2.3.4")
    for number in range(sessions.MOST_ADDRESSES + 10):
        made.knows("wrong", str(number))
    assert len(made._failures) == sessions.MOST_ADDRESSES
    assert not Sessions("", secure=False).knows("", "1.2.3.4"), "no token lets nobody in"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("pacs.example", 200), ("PACS.example:8043", 200), ("192.0.2.7:8043", 200), ("[2001:db8::1]:8043", 200),
        ("localhost", 200), ("evil.example", 400), ("pacs.example.evil.example", 400), ("", 400), ("[", 400),
        ("pacs.example@evil.example", 400), ("127.0.0.1.evil.example", 400),
    ],
)  # fmt: skip
def test_names(browser: TestClient, host: str, status: int) -> None:
    assert browser.get("/healthz", headers={"host": host}).status_code == status


def test_large_requests(browser: TestClient) -> None:
    large = b"token=" + b"x" * gate.LARGEST_BODY
    assert browser.post("/login", content=large, headers=OURS).status_code == 413
    assert browser.post("/login", content=iter([large]), headers=OURS).status_code == 413
    assert browser.post("/login", headers={**OURS, "content-length": "-1"}).status_code == 413
    assert browser.post("/login", content=b"&".join([b"token=x"] * 500), headers=OURS).status_code in {400, 403}


def test_behind_a_proxy_reading_needs_a_login() -> None:
    """StatusNames says that others see the page, though it listens on this machine alone."""
    state = dataclasses.replace(service(REFUSED, token=TOKEN), names=("pacs.example",))
    app = TestClient(page.create_app(state), base_url="http://pacs.example")
    assert app.get("/jobs").status_code == 403
    assert app.get("/jobs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_no_script_no_style_no_frame(browser: TestClient) -> None:
    log_in(browser)
    for path in ("/", "/login", "/jobs", "/style.css", "/live.js", "/healthz", "/nothing", CONVERT):
        answer = browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"]
        text = answer.text.replace('<script src="live.js" defer></script>', "")
        assert not re.search(r"<script|\son\w+=|style=|<style|javascript:", text)


def test_json_is_ascii(browser: TestClient) -> None:
    log_in(browser)
    body = browser.get("/jobs").content
    assert body.isascii()
    assert not {0x1B, 0x9B, 0x0A, 0x0D} & set(body)
    assert browser.get("/jobs").json()["jobs"][0]["result"]["detail"] == HOSTILE


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str, ssl.SSLContext]:
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return str(tmp_path / "own.pem"), str(tmp_path / "own.key"), trusting


def test_served_by_tls(certificate: tuple[str, str, ssl.SSLContext]) -> None:
    own, key, trusting = certificate
    state = dataclasses.replace(service(job(1), token=TOKEN), certificate_file=own, key_file=key)
    running = page.start(state, "0.0.0.0", 0)
    url = f"https://127.0.0.1:{running.port}"
    try:
        with httpx.Client(verify=trusting) as client:
            assert client.get(f"{url}/healthz").status_code == 200
            assert client.get(f"{url}/jobs").status_code == 403
            assert client.get(f"{url}/jobs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https", "http") + "/healthz")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{url}/healthz", verify=old)
    finally:
        running.stop()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: dataclasses.replace(state, token=""),
        lambda state: dataclasses.replace(state, certificate_file="", key_file=""),
        lambda state: dataclasses.replace(state, certificate_file="/nowhere/own.pem"),
        lambda state: dataclasses.replace(state, key_file=__file__),
    ],
    ids=["no token", "no certificate", "missing certificate", "wrong key"],
)
def test_others_are_let_near_only_with_tls_and_a_token(
    certificate: tuple[str, str, ssl.SSLContext], spoil: Callable[[object], object]
) -> None:
    own, key, _ = certificate
    state = dataclasses.replace(service(token=TOKEN), certificate_file=own, key_file=key)
    with pytest.raises(ConfigurationError) as fault:
        page.start(spoil(state), "0.0.0.0", 0)
    assert TOKEN not in str(fault.value) + fault.value.hint
