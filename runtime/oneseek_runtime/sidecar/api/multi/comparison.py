"""Compares the answers of several models, by the old service's formulas. Pure.

Consensus is agreement in wording (sentiment, tone, bias) as the contract defines it, not in content.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from oneseek_runtime.sidecar.api.multi.text_metrics import BiasKind, TextMetrics

__all__ = [
    "BiasLevel",
    "Comparison",
    "ConsensusLevel",
    "FairnessLevel",
    "compare",
    "levels",
    "recommendation",
    "share_of_most_common",
]

ConsensusLevel = Literal["high", "medium", "low", "complete"]

BiasLevel = Literal["low", "medium", "high", "none"]

FairnessLevel = Literal["excellent", "good", "fair", "poor"]
Level = TypeVar("Level", bound=str)

_THEMES = 10
_THEME_LETTERS = 4  # themes are longer
_CONSENSUS: Sequence[tuple[float, ConsensusLevel]] = ((0.8, "high"), (0.6, "medium"))
_BIAS: Sequence[tuple[float, BiasLevel]] = ((6.0, "high"), (3.0, "medium"))
_FAIRNESS: Sequence[tuple[float, FairnessLevel]] = ((0.8, "excellent"), (0.7, "good"), (0.6, "fair"))


def levels(score: float, steps: Sequence[tuple[float, Level]], lowest: Level) -> Level:
    """Returns the name of the highest bound that a score reaches."""
    return next((word for bound, word in steps if score >= bound), lowest)


def share_of_most_common(labels: Sequence[str]) -> float:
    """Share of the most common label, 0 to 1."""
    return Counter(labels).most_common(1)[0][1] / len(labels)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The numbers over all answers; `metrics` only with two or more answers."""

    readings: tuple[TextMetrics, ...]
    consensus: float
    consensus_level: ConsensusLevel
    metrics: dict[str, float] | None
    bias: float
    bias_level: BiasLevel
    bias_types: tuple[BiasKind, ...] | None
    fairness: float
    fairness_level: FairnessLevel
    themes: tuple[str, ...]

    @property
    def confidence(self) -> float:
        """The contract's: min(0.95, 0.6·consensus + 0.4·fairness)."""
        return round(min(0.95, 0.6 * self.consensus + 0.4 * self.fairness), 4)

    @property
    def bias_variance(self) -> float:
        """Population variance of the bias scores."""
        return _variance([one.bias for one in self.readings])

    @property
    def fairness_variance(self) -> float:
        """Population variance of the fairness scores."""
        return _variance([one.fairness for one in self.readings])


def compare(readings: Sequence[TextMetrics]) -> Comparison:
    """Compares one answer or more.

    Answers without words are left out of bias and fairness. If no answer has words both are 0, because the format requires
    numbers, and the level of bias is `none`.
    """
    consensus, level, metrics = _consensus(readings)
    spoken = [one for one in readings if one.words]
    bias = round(statistics.fmean(one.bias for one in spoken), 4) if spoken else 0.0
    fairness = round(statistics.fmean(one.fairness for one in spoken), 4) if spoken else 0.0
    kinds = tuple(dict.fromkeys(kind for one in readings for kind in one.biases))
    counts = Counter(word for one in readings for word in one.words if len(word) > _THEME_LETTERS)
    return Comparison(
        readings=tuple(readings),
        consensus=consensus,
        consensus_level=level,
        metrics=metrics,
        bias=bias,
        bias_level=levels(bias, _BIAS, "low") if spoken else "none",
        bias_types=kinds if spoken else None,
        fairness=fairness,
        fairness_level=levels(fairness, _FAIRNESS, "poor"),
        themes=tuple(word for word, _ in counts.most_common(_THEMES)),  # on ties the first in the text
    )


def _consensus(readings: Sequence[TextMetrics]) -> tuple[float, ConsensusLevel, dict[str, float] | None]:
    if len(readings) == 1:
        return 1.0, "complete", None
    sentiment = share_of_most_common([one.sentiment for one in readings])
    tone = share_of_most_common([one.tone for one in readings])
    variance = _variance([one.bias for one in readings])
    score = round(0.4 * sentiment + 0.3 * tone + 0.3 * (1 - min(variance / 10, 1.0)), 4)
    metrics = {"sentimentAgreement": round(sentiment, 4), "toneAgreement": round(tone, 4), "biasVariance": variance}
    return score, levels(score, _CONSENSUS, "low"), metrics


def _variance(values: Sequence[float]) -> float:
    return round(statistics.pvariance(values), 4)


def recommendation(comparison: Comparison) -> str:
    """A recommendation in Swedish, as shown by the old service's clients; the most severe finding first."""
    if comparison.bias_level == "high":
        return "Svaren har ett starkt laddat språk. Granska dem kritiskt och jämför med andra källor."
    if comparison.consensus_level == "complete":
        return "Bara en modell svarade, så svaret har inte jämförts med något annat."
    if comparison.consensus_level == "low":
        return "Modellernas svar skiljer sig åt i ton och hållning. Läs dem var för sig innan du drar slutsatser."
    if comparison.fairness_level in ("fair", "poor"):
        return "Svaren tar tydligt ställning. Sök fler perspektiv."
    if comparison.bias_level == "medium" or comparison.consensus_level == "medium":
        return "Svaren liknar delvis varandra i ton. Kontrollera de viktigaste uppgifterna."
    return "Svaren liknar varandra i ton och är balanserat skrivna. Kontrollera ändå viktiga fakta."
