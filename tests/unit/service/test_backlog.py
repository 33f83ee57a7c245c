"""A journal of a million entries, as after a long absence: it drains, in little memory."""

from pathlib import Path

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.model import ArchiveKey, Change, Series, Uid
from orthanc_mask2seg.pacs.port import ChangesPage
from orthanc_mask2seg.service import watcher as module
from orthanc_mask2seg.service.watcher import CURSOR, Watcher
from tests.service_doubles import Queue

SERIES, INSTANCES = 2_500, 399
ENTRIES = SERIES * (INSTANCES + 1)
SETTINGS = Settings(settle_seconds=1.0, scan_seconds=1e9, poll_seconds=0.25)
GROWTH_MB = 40


class Journal:
    """Series of 399 instances each; the journal is made up as it is read, each series' entry after its instances."""

    def series(self, key):
        return Series(
            key=key,
            series_instance_uid=Uid(f"1.{key}"),
            study_instance_uid=Uid(f"2.{key}"),
            modality="CT",
            instance_keys=(ArchiveKey(f"{key}/1"),),
        )

    def series_of_study(self, study):
        return (self.series(ArchiveKey(study.removeprefix("2."))),)

    def all_series(self):
        return iter(())

    def changes(self, since, limit):
        last = min(since + limit, ENTRIES)
        return ChangesPage(changes=tuple(map(entry, range(since + 1, last + 1))), last=last, done=last >= ENTRIES)

    def last_change(self):
        return ENTRIES


def entry(number):
    series, instance = divmod(number - 1, INSTANCES + 1)
    if instance == INSTANCES:
        return Change(sequence=number, kind="NewSeries", key=ArchiveKey(f"s{series}"))
    return Change(sequence=number, kind="NewInstance", key=ArchiveKey(f"s{series}/{instance}"))


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def test_a_million_changes_drain_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_PENDING", 500)
    ledger, now = SqlLedger(tmp_path), 0.0
    ledger.move_cursor(CURSOR, 0)
    watcher = Watcher(Journal(), ledger, Queue(), SETTINGS, lambda _series: "image", lambda: now)
    before, most, most_pending, ticks = resident_mb(), 0.0, 0, 0
    while ledger.cursor(CURSOR) < ENTRIES:
        watcher.tick()
        now += SETTINGS.poll_seconds
        ticks += 1
        assert ticks < 10_000, "it does not drain"
        most_pending = max(most_pending, watcher.status().pending)
        most = max(most, resident_mb() - before)
    assert watcher.status().passed_over == {"image": SERIES}
    assert len(ledger.versions()) == SERIES
    assert most_pending < 500 + module.PAGE
    assert most < GROWTH_MB
    ledger.close()
