"""The settle timer against a plain restatement of its rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.service.settle import Settle

KEY = ArchiveKey("series")
SETTLE, REST = 2.0, 30.0
steps = st.tuples(st.floats(0.0, 20.0), st.sampled_from("abc"), st.booleans())


def quiet_for(history: list[tuple[float, str]]) -> float:
    """Time between the first and the last of the latest observations that are all alike."""
    last, version = history[-1]
    since = last
    for moment, seen in reversed(history):
        if seen != version:
            break
        since = moment
    return last - since


@given(st.lists(steps, min_size=1, max_size=30))
def test_due_exactly_when_seen_unchanged_for_long_enough(observations):
    settle, now, history = Settle(SETTLE, REST), 0.0, []
    for delay, version, complete in observations:
        now += delay
        history.append((now, version))
        settle.observe(KEY, version, now, complete=complete)
        quiet = quiet_for(history)
        expected = quiet >= (SETTLE if complete else REST)
        due = settle.due()
        assert bool(due) == expected
        if due:
            assert due[0].version == version
            assert due[0].rested == (quiet >= REST)


@given(st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=20))
def test_a_series_that_changes_at_every_look_is_never_due(delays):
    settle, now = Settle(SETTLE, REST), 0.0
    for number, delay in enumerate(delays):
        now += delay
        settle.observe(KEY, str(number), now, complete=True)
        assert settle.due() == ()


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.booleans(), min_size=1))
def test_series_do_not_disturb_each_other(complete):
    settle = Settle(SETTLE, REST)
    for moment in (0.0, SETTLE):
        for key, whole in complete.items():
            settle.observe(ArchiveKey(key), "v", moment, complete=whole)
    assert {due.key for due in settle.due()} == {key for key, whole in complete.items() if whole}


def test_time_in_which_nobody_looked_proves_nothing():
    settle = Settle(SETTLE, REST)
    settle.observe(KEY, "v", 0.0, complete=True)
    assert settle.due() == ()
    settle.observe(KEY, "w", 1000.0, complete=True)
    assert settle.due() == ()


def test_a_clock_that_went_backwards_starts_the_wait_again():
    settle = Settle(SETTLE, REST)
    settle.observe(KEY, "v", 100.0, complete=True)
    assert settle.observe(KEY, "v", 50.0, complete=True) == 0.0


def test_forgotten_series_are_not_due():
    settle = Settle(0.0, 0.0)
    settle.observe(KEY, "v", 0.0)
    assert len(settle) == 1
    settle.forget(KEY)
    assert settle.due() == ()
    assert settle.ripe(KEY) is None
    assert KEY not in settle


def test_an_answer_that_was_long_under_way_proves_nothing():
    """The archive may have looked when it was asked, and the mask have been changed while the answer came."""
    settle = Settle(settle_seconds=2.0, rest_seconds=4.0)
    settle.observe(KEY, "a", 1.0, asked=0.9, complete=True)
    assert settle.observe(KEY, "a", 6.0, asked=1.3, complete=True) == pytest.approx(0.3)
    assert settle.ripe(KEY) is None
    assert settle.quiet(KEY, "a") == pytest.approx(0.3)
    settle.observe(KEY, "a", 6.4, asked=6.3, complete=True)
    assert settle.ripe(KEY) is not None


def test_a_first_answer_that_was_long_under_way_counts_from_its_end():
    settle = Settle(settle_seconds=2.0, rest_seconds=4.0)
    assert settle.observe(KEY, "a", 6.0, asked=1.0, complete=True) == 0
    settle.observe(KEY, "a", 6.5, asked=6.4, complete=True)
    assert settle.ripe(KEY) is None
