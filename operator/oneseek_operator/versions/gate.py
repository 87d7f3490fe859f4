"""The promotion gate: whether a certified version scored well enough to serve. Pure."""

from __future__ import annotations

from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_core.api.v1alpha1.promotion import Gate, Promotion

__all__ = ["measures", "missed"]

_SLACK = 1e-9  # scores are means of shares: 0.8 must not miss 0.8


def measures(promotion: Promotion) -> bool:
    """Whether a version must show anything before it may serve: a score, or an answer to a probe."""
    gate = promotion.gate
    scored = gate is not None and (
        gate.maximum_regression is not None
        or gate.minimum_scores.facts_contained is not None
        or gate.minimum_scores.exact is not None
    )
    return scored or any(probe.must_contain for probe in promotion.probes)


def missed(version: Version, current: Version | None, gate: Gate | None) -> str | None:
    """Why `version` may not replace `current`, with the numbers; None: it may.

    A version without scores misses every gate.
    """
    if gate is None:
        return None
    if version.scores is None:
        return "it has no scores: it was certified before the gate was set; train it again"
    minimum = gate.minimum_scores
    for name, wanted, got in (
        ("factsContained", minimum.facts_contained, version.scores.facts_contained),
        ("exact", minimum.exact, version.scores.exact),
    ):
        if wanted is not None and got < wanted - _SLACK:
            return f"{name} is {got:.3f}, below the minimum of {wanted:.3f}"
    return _regression(version.scores, current, gate)


def _regression(scores: Scores, current: Version | None, gate: Gate) -> str | None:
    if gate.maximum_regression is None or current is None or current.scores is None:
        return None
    fall = current.scores.facts_contained - scores.facts_contained
    if fall > gate.maximum_regression + _SLACK:
        return (
            f"factsContained is {scores.facts_contained:.3f}, {fall:.3f} below the {current.scores.facts_contained:.3f} "
            f"of {current.dna}; at most {gate.maximum_regression:.3f} is allowed"
        )
    return None
