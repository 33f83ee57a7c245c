"""The cursor against a journal whose numbers appear late, out of order, or never."""

from hypothesis import given
from hypothesis import strategies as st

from orthanc_mask2seg.model import ArchiveKey, Change
from orthanc_mask2seg.pacs.port import ChangesPage
from orthanc_mask2seg.service.cursor import MOST_AHEAD, PATIENCE_SECONDS, Cursor, expire, read

NEVER = float("inf")
delays = st.one_of(st.just(0.0), st.floats(0.0, PATIENCE_SECONDS - 1.0), st.just(NEVER))


def page(numbers, since, limit=1000, end=None):
    found = sorted(n for n in numbers if n > since)[:limit]
    changes = tuple(Change(sequence=n, kind="NewSeries", key=ArchiveKey(str(n))) for n in found)
    last = found[-1] if found else max(numbers, default=0) if end is None else end
    return ChangesPage(changes=changes, last=last, done=not [n for n in numbers if n > last])


def listen(cursor, there, limit, now):
    """Read as the watcher does: what is new, then every gap."""
    told = []

    def take(since):
        nonlocal cursor
        found = page(there, since, limit, end=max(there, default=since))
        result = read(cursor, since, found, now)
        cursor = result.cursor
        told.extend(change.sequence for change in result.changes)
        return found

    while not take(cursor.frontier).done:
        pass
    since = cursor.next_gap(cursor.position)
    while since is not None:
        found = take(since)
        since = cursor.next_gap(max(found.last, since + 1))
    return expire(cursor, now), told


@given(st.lists(delays, max_size=60), st.floats(0.1, 2.0), st.integers(1, 7))
def test_nothing_that_appears_within_ten_seconds_is_lost_or_told_twice(late, poll, limit):
    """Number n is given out at second n/10 and can be seen from then on, later, or never."""
    visible_at = {n: n / 10 + delay for n, delay in enumerate(late, start=1)}
    cursor, told, now = Cursor.at(0), [], 0.0
    while now < len(late) / 10 + 2 * PATIENCE_SECONDS + poll:
        before = cursor.position
        cursor, news = listen(cursor, [n for n, moment in visible_at.items() if moment <= now], limit, now)
        told += news
        assert cursor.position >= before
        hidden = [n for n, moment in visible_at.items() if now < moment < NEVER and n <= cursor.position]
        assert not hidden, "the cursor has passed a number that was still to come"
        now += poll
    assert sorted(told) == [n for n, moment in visible_at.items() if moment < NEVER]
    assert not cursor.gaps


def test_the_cursor_waits_ten_seconds_before_a_gap_and_no_longer():
    cursor = read(Cursor.at(5), 5, page([6, 8], 5), 100.0).cursor
    assert (cursor.position, cursor.frontier, cursor.next_gap(0)) == (6, 8, 6)
    assert expire(cursor, 109.9).position == 6
    assert expire(cursor, 110.0).position == 8


def test_an_old_gap_behind_a_young_one_is_not_young_again():
    cursor = read(Cursor.at(0), 0, page([2, 4], 0), 0.0).cursor
    cursor = read(cursor, 4, page([2, 4, 6], 4), 5.0).cursor
    cursor = expire(cursor, 10.0)
    assert cursor.position == 4
    assert expire(cursor, 15.0).position == 6


def test_a_late_number_is_told_and_closes_its_gap():
    cursor = read(Cursor.at(5), 5, page([7], 5), 0.0).cursor
    result = read(cursor, cursor.position, page([6, 7], 5), 3.0)
    assert [c.sequence for c in result.changes] == [6]
    assert result.cursor == Cursor.at(7)


def test_a_part_of_a_gap_keeps_its_age():
    cursor = read(Cursor.at(0), 0, page([9], 0), 0.0).cursor
    cursor = read(cursor, 0, page([4, 9], 0), 6.0).cursor
    assert [gap[2] for gap in cursor.gaps] == [0.0, 0.0]
    assert expire(cursor, 10.0).position == 9


def test_another_database_is_noticed():
    result = read(Cursor.at(1000), 1000, page([], 1000, end=12), 0.0)
    assert result.reset
    assert result.cursor == Cursor.at(12)


def test_an_empty_journal_is_no_reset():
    result = read(Cursor.at(0), 0, page([], 0, end=0), 0.0)
    assert not result.reset


def test_the_memory_for_what_is_beyond_a_gap_is_bounded():
    numbers = range(2, 2 * MOST_AHEAD)
    cursor = read(Cursor.at(0), 0, page(numbers, 0, limit=len(numbers)), 0.0).cursor
    assert cursor.position == numbers[-1]
