"""The gate: certified scores and a spec in, a sentence with the numbers out."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_core.api.v1alpha1.promotion import Gate
from oneseek_operator.versions.gate import missed
from support.makers import DIGEST


def version(facts: float | None, exact: float = 0.5, name: str = "v") -> Version:
    """A certified version with these scores."""
    scores = None if facts is None else Scores(questions=24, facts_contained=facts, exact=exact)
    return Version(dna=name, digest=DIGEST, state="Certified", created_at="2026-01-01T00:00:00.000Z", scores=scores)


def gate(**wire: Any) -> Gate:
    """A gate as a manifest writes it."""
    return Gate.model_validate(wire)


CASES = [
    pytest.param(gate(minimumScores={"factsContained": 0.8}), version(0.8), None, None, id="exactly-the-minimum"),
    pytest.param(
        gate(minimumScores={"factsContained": 0.8}),
        version(0.79),
        None,
        "0.790, below the minimum of 0.800",
        id="below",
    ),
    pytest.param(gate(minimumScores={"exact": 0.6}), version(1.0, 0.5), None, "exact is 0.500", id="exact-below"),
    pytest.param(gate(maximumRegression=0.1), version(0.5), None, None, id="nothing-to-compare-with"),
    pytest.param(gate(maximumRegression=0.1), version(0.5), version(None, name="c"), None, id="current-has-no-scores"),
    pytest.param(gate(maximumRegression=0.1), version(0.7), version(0.8, name="c"), None, id="a-fall-that-is-allowed"),
    pytest.param(
        gate(maximumRegression=0.1),
        version(0.69),
        version(0.8, name="c"),
        "0.110 below the 0.800 of c",
        id="a-fall-too-deep",
    ),
    pytest.param(gate(), version(None), None, "no scores", id="never-measured"),
    pytest.param(None, version(None), None, None, id="no-gate"),
]


@pytest.mark.parametrize(("of", "candidate", "current", "sentence"), CASES)
def test_the_gate(of: Gate | None, candidate: Version, current: Version | None, sentence: str | None) -> None:
    why = missed(candidate, current, of)
    if sentence is None:
        assert why is None
    else:
        assert why is not None
        assert sentence in why
