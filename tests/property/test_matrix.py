"""The matrix of made-up cases, style x geometry x encoding x container: each ends as it has to."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generator.encodings import ENCODINGS
from tests.generator.matrix import WHOLE_PIXELS, Case, all_cases, check, ordinary_case
from tests.generator.scenes import SCENES

CASES = all_cases()


def test_the_matrix_is_large_and_its_names_are_unique() -> None:
    """At least 200 cases."""
    assert len({case.name for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    """Exact in the patient, or refused for the reason that is known; whether a person names the mask or nobody."""
    made = case.make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if made.automatic != "only":
            check(made, named=True)
        check(made, named=False)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    style=st.sampled_from(WHOLE_PIXELS),
    scene=st.sampled_from(sorted(SCENES)),
    encodings=st.lists(st.sampled_from(sorted(ENCODINGS)), min_size=1, max_size=3, unique=True),
    container=st.sampled_from(["single", "single", "enhanced", "enhanced_shuffled", "capture"]),
    modality=st.sampled_from(["CT", "MR", "PT"]),
)
def test_any_combination(style: str, scene: str, encodings: list[str], container: str, modality: str) -> None:
    """What the matrix leaves out of the full product is right as well."""
    if container != "single" and (style == "seed" or scene in {"thickness", "no_slice_tags"}):
        style, scene = "own", "axial"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(ordinary_case(style, scene, "+".join(encodings), container, modality).make(), named=True)
