"""What a pod asks itself before it may answer clients, and what came of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DnaText, ReasonText
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.digest import canonical_json, digest_bytes

__all__ = ["AnalysisRequest", "AnalysisState"]


class AnalysisRequest(ApiModel):
    """POST /internal/analysis: ask yourself these questions, one after another, and report in /internal/state."""

    dna: DnaText | None = Field(default=None, description="The version that must answer; None: the base model.")
    probes: list[Probe] = []
    repeat_seconds: float | None = Field(
        default=None, gt=0, description="Ask again so long after each round; None: one round is enough."
    )

    @property
    def digest(self) -> str:
        """What tells this request from another one."""
        return digest_bytes(canonical_json(self.to_wire()))


class AnalysisState(ApiModel):
    """How far the newest analysis is. `Failed`: an answer was wrong; generation is greedy, so asking again changes nothing."""

    digest: str = Field(description="Of the request.")
    dna: DnaText | None = Field(default=None, description="The version that was asked.")
    phase: Literal["Running", "Passed", "Failed"]
    reason: ReasonText | None = None
    message: str | None = Field(
        default=None, max_length=1024, description="Which question failed and how, or is asked."
    )
    rounds: int = Field(default=0, ge=0, description="Rounds that passed.")
