"""The real PostgreSQL that the tests of many hosts stand on, and Orthanc on it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest
from integration.test_orthanc_server import ct_slice
from orthanc_server import OrthancServer
from postgres_server import PostgresServer

HERE = Path(__file__).resolve().parent


def test_asks_for_the_password(shared_postgres: PostgresServer) -> None:
    url = shared_postgres.create_database()
    assert psycopg.connect(url).execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace("tester:", "tester:x"))


def test_keeps_what_was_committed_over_kill_and_restart(postgres: PostgresServer) -> None:
    postgres.execute("CREATE TABLE kept(n int)")
    busy = psycopg.connect(postgres.url())
    busy.execute("INSERT INTO kept VALUES (1)")
    busy.commit()
    busy.execute("INSERT INTO kept VALUES (2)")
    postgres.kill()
    assert not postgres.running
    with pytest.raises(psycopg.OperationalError):
        postgres.execute("SELECT 1")
    postgres.start()
    assert postgres.execute("SELECT n FROM kept") == [(1,)]
    postgres.restart()
    assert postgres.execute("SELECT n FROM kept") == [(1,)]


def test_orthanc_keeps_its_index_there(shared_postgres: PostgresServer, tmp_path: Path) -> None:
    url = shared_postgres.create_database()
    server = OrthancServer(tmp_path / "one", index=url).start()
    beside = OrthancServer(tmp_path / "two", index=url, storage=server.storage)
    try:
        assert server.get("/system").json()["DatabaseBackendPlugin"]
        sent = ct_slice()
        key = server.post("/instances", sent).json()["ID"]
        assert not list(tmp_path.rglob("index*"))
        server.kill()
        server.start()
        assert server.get(f"/instances/{key}/file").content == sent
        assert beside.start().get(f"/instances/{key}/file").content == sent
    finally:
        server.kill()
        beside.kill()


def test_dies_with_the_test_runner(tmp_path: Path) -> None:
    """However the test runner ends, no PostgreSQL stays behind: here it is killed."""
    script = f"""
        import sys, time
        sys.path[:0] = {[str(HERE.parent), str(HERE.parent.parent / "scripts")]}
        from pathlib import Path
        from postgres_server import PostgresServer
        print(PostgresServer(Path({str(tmp_path)!r})).start().url(), flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        url = runner.stdout.readline().strip()
        psycopg.connect(url).close()
        runner.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.1)
    pytest.fail("PostgreSQL outlived the test runner")
