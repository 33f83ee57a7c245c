"""The child of the plugin: told its secrets in private, restarted when it dies, gone when we are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict

import pytest

from orthanc_mask2seg.plugin import supervisor
from orthanc_mask2seg.plugin.supervisor import Supervisor, pause_after

SERVES = """
import json, os, sys
document = json.loads(sys.stdin.readline())
print("2026-01-01 00:00:00,000 INFO x: told", sorted(document), file=sys.stderr, flush=True)
print("bare words\\x1b[31m", file=sys.stderr, flush=True)
print(json.dumps({"serving": "http://127.0.0.1:%d" % os.getpid()}), flush=True)
sys.stdin.read()
"""
DEAF = SERVES.replace("import json", "import signal; signal.signal(15, signal.SIG_IGN)\nimport json")


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.1)
    all_made = []

    def make(program):
        said = defaultdict(list)
        log = {level: said[level].append for level in ("info", "warning", "error")}
        words = program if isinstance(program, list) else [sys.executable, "-c", program]
        child = Supervisor(words, lambda: b'{"secret": 1}\n', os.environ, log)
        all_made.append(child)
        child.start()
        return child, said

    yield make
    for child in all_made:
        child.stop()


def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def pid_of(child):
    return int(child.address.rpartition(":")[2])


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_is_told_and_heard(made):
    child, said = made(SERVES)
    until(lambda: child.address)
    until(lambda: said["info"])
    assert said["info"] == ["mask2seg: x: told ['secret']"]
    assert "mask2seg: bare words?[31m" in said["warning"]
    pid = pid_of(child)
    child.stop()
    assert not alive(pid)


def test_killed_it_comes_back(made):
    child, said = made(SERVES)
    until(lambda: child.address)
    first = pid_of(child)
    os.kill(first, signal.SIGKILL)
    until(lambda: child.address and pid_of(child) != first)
    assert any("ended (-9)" in line for line in said["warning"])


def test_a_program_that_is_not_there_is_said(made):
    child, said = made(["/nowhere/mask2seg"])
    until(lambda: len(said["warning"]) > 1)
    assert "ended (FileNotFoundError)" in said["warning"][0]
    assert child.address == ""


def test_one_that_does_not_listen_is_killed(made, monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.3)
    child, _ = made(DEAF)
    until(lambda: child.address)
    pid = pid_of(child)
    child.stop()
    assert not alive(pid)


def test_it_ends_when_its_parent_is_killed():
    """The pipe of its stdin closes with the parent, however that ends."""
    parent = f"""
import sys, time
from orthanc_mask2seg.plugin.supervisor import Supervisor
child = Supervisor([sys.executable, "-c", {SERVES!r}], lambda: b"{{}}\\n", {dict(os.environ)!r},
                   dict.fromkeys(("info", "warning", "error"), lambda _: None))
child.start()
while not child.address: time.sleep(0.01)
print(child.address, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline().rpartition(":")[2])
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))


def test_pauses_grow_and_end():
    assert pause_after(1, 1.0) == 1.0
    assert pause_after(3, 0.0) == 2.0
    assert pause_after(50, 1.0) == 60.0
