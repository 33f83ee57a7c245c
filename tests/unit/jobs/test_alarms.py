"""The alarms of the hosts that share a database."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from orthanc_mask2seg.jobs import alarms
from orthanc_mask2seg.jobs.alarms import Alarm, Alarms
from orthanc_mask2seg.jobs.database import is_passing

FULL, DENIED = Alarm("archive_full", "d", "h", 20.0), Alarm("archive_denied", "d", "h", 10.0)


def test_each_host_has_an_alarm_and_the_oldest_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    one, two = Alarms(engine, "one"), Alarms(engine, "two")
    assert one.oldest() is None
    one.tell(FULL)
    one.tell(FULL)
    two.tell(DENIED)
    assert one.oldest() == two.oldest() == DENIED
    two.tell(None)
    assert two.oldest() == FULL
    monkeypatch.setattr(alarms, "VALID_SECONDS", -1.0)
    assert two.oldest() is None, "its host is dead"


def test_nothing_depends_on_them(tmp_path: Path) -> None:
    away = Alarms(sa.create_engine(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder'}"), "one")
    away.tell(FULL)
    assert away.oldest() is None


@pytest.mark.parametrize(
    ("sqlstate", "passes"), [("25006", True), ("57P03", True), ("53100", True), ("25P02", False), ("23505", False)]
)
def test_a_standby_and_an_operator_pass_and_our_own_mistakes_do_not(sqlstate: str, passes: bool) -> None:
    class Original(Exception):
        pass

    original = Original()
    original.sqlstate = sqlstate  # type: ignore[attr-defined]
    assert is_passing(sa.exc.InternalError("SELECT", {}, original)) is passes
