"""The list of versions that may not answer, and its bound. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core.api.v1alpha1.model_status import Quarantined, Version
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.pod_failures import Problem

__all__ = ["QUARANTINE_LIMIT", "with_version"]

QUARANTINE_LIMIT = 64


def with_version(
    quarantine: list[Quarantined], dna: str, problem: Problem, now: datetime, versions: Sequence[Version]
) -> list[Quarantined]:
    """The quarantine with one more version; unchanged if it is in it, or if the list is full.

    In a full list the oldest entry whose version is no longer listed (`versions`), so that nothing can choose it, is
    replaced.
    """
    if dna in {item.dna for item in quarantine}:
        return quarantine
    kept, listed = list(quarantine), {item.dna for item in versions}
    if len(kept) >= QUARANTINE_LIMIT:
        unlisted = next((item for item in kept if item.dna not in listed), None)
        if unlisted is None:
            return kept
        kept.remove(unlisted)
    return [*kept, Quarantined(dna=dna, reason=problem.reason, message=problem.message[:256], since=timestamp(now))]
