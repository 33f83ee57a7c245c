"""A wrong answer is never given quietly: whatever happens to a valid pair, the result is right or a refusal.

Ten thousand of them: ``python -m tests.mutations --count 10000 --seed 1``.
"""

from __future__ import annotations

import pytest

from tests.mutations import WRONG, judge, one, pairs

SEEDS = 500
PER_TEST = 25


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)
def test_the_pairs_are_valid(pair) -> None:
    """Each pair converts as it is, named as a mask or not."""
    for named in (True, False):
        verdict = judge(pair, named=named)
        assert verdict.kind == ("resampled" if pair.name == "another grid" else "exact"), verdict


@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_mutations_are_exact_or_refused(first: int) -> None:
    """Never a voxel elsewhere, never an exception without a reason."""
    wrong = []
    for seed in range(first, first + PER_TEST):
        pair, told, named, verdict = one(seed)
        if verdict.kind == WRONG:
            wrong.append((seed, pair.name, told, named, verdict.detail))
    assert not wrong
