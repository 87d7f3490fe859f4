"""The body of `GET /api/oqt/metrics`. Pure.

`accuracy` is the share of held-out questions whose answer held every fact (`exact`). Fairness, bias and consensus of a version are not
measured: null.
"""

# ruff: noqa: N815

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Counters
from oneseek_runtime.sidecar.api.schemas import Answer, T
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder

__all__ = ["MetricsAnswer", "metrics_answer"]

_SCORES = ("questions", "factsContained", "exact", "loss")


class FairnessMetrics(Answer):
    """Nothing measures these."""

    demographicParity: float | None
    equalOpportunity: float | None
    disparateImpact: float | None


class HeldOut(Answer):
    """What the version scored on its held-out questions, as certified."""

    questions: float | None
    factsContained: float | None
    exact: float | None
    loss: float | None


class Measured(Answer):
    """null: not measured. `accuracy` is the share of held-out answers that held every fact."""

    accuracy: float | None
    fairness: float | None
    bias: float | None
    consensus: float | None
    fairnessMetrics: FairnessMetrics
    heldOut: HeldOut | None


class TrainedSoFar(Answer):
    """What was trained so far."""

    totalSamples: int
    weeklyBatches: int
    microBatches: int
    lastTraining: str | None


class MetricsAnswer(Answer):
    """What was measured of the version that answers."""

    success: Literal[True]
    version: str
    metrics: Measured
    training: TrainedSoFar
    timestamp: T


def metrics_answer(
    *, version: str | None, folders: Sequence[CertifiedFolder], model: OneSeekModel | None, now: str
) -> MetricsAnswer:
    """The 200 body. Without the model's counters the certified folders are counted."""
    listed = [folder for folder in folders if folder.readable and not folder.merged]
    current = next((folder for folder in listed if version in (folder.name, folder.dna)), None)
    scores = _scores(current)
    counters = _counters(listed)
    if model and "counters" in model.status.model_fields_set:
        counters = model.status.counters
    return {
        "success": True,
        "version": version or "unavailable",
        "metrics": {
            "accuracy": scores["exact"] if scores else None,
            "fairness": None,
            "bias": None,
            "consensus": None,
            "fairnessMetrics": {"demographicParity": None, "equalOpportunity": None, "disparateImpact": None},
            "heldOut": scores,
        },
        "training": {
            "totalSamples": sum(_whole(folder.metadata.get("samplesProcessed")) for folder in listed),
            "weeklyBatches": counters.major,
            "microBatches": counters.micro,
            "lastTraining": max((folder.created_at for folder in listed if folder.created_at), default=None),
        },
        "timestamp": now,
    }


def _scores(folder: CertifiedFolder | None) -> HeldOut | None:
    found = folder.metadata.get("scores") if folder else None
    if not isinstance(found, Mapping) or not _is_number(found.get("exact")):
        return None
    return cast("HeldOut", {key: found.get(key) if _is_number(found.get(key)) else None for key in _SCORES})


def _counters(folders: Sequence[CertifiedFolder]) -> Counters:
    major, micro = max(((folder.major, folder.minor) for folder in folders), default=(0, 0))
    return Counters(major=major, micro=micro)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
