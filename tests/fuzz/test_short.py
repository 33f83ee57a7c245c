"""A short form of the fuzzing, the same inputs each time; `make fuzz` goes on for as long as it is told."""

from __future__ import annotations

import pytest

from tests.fuzz.mutate import inputs
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

COUNTS = {"conversion": 40, "configuration": 150, "pixels": 500}
COUNT = 800


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_escapes(target: str) -> None:
    for data in inputs(seeds(target), COUNTS.get(target, COUNT), 20261125):
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_are_good(target: str) -> None:
    """A fuzzer that starts from nonsense finds nothing."""
    for data in seeds(target):
        TARGETS[target](data)


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("orthanc", b'{"series": {}, "instances": {"0": {"0028,77107755097812022432150": "1"}}}'),
        ("orthanc", b'{"series": {}, "instances": {"0": {"-028,0010": "1"}}}'),
    ],
)
def test_what_was_found_once(target: str, data: bytes) -> None:
    """A tag of Orthanc's that is none raised OverflowError."""
    TARGETS[target](data)
