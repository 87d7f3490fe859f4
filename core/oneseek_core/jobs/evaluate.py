"""What a run's evaluate Job is told, the file of scores it leaves for the certify Job, and its report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DigestText
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.jobs.common import Ref


class EvaluateRequest(ApiModel):
    """Answer the held-out questions with the adapter and write `<output_path>/scores.json`."""

    run: Ref
    base_path: str = "/models/base"
    base_digest: DigestText | None = Field(
        default=None, description="Of the base model's manifest, as it was imported."
    )
    adapter_path: str = "/staging/adapter"
    heldout_path: str = Field(default="/staging/evaluation", description="Folder with heldout.jsonl.")
    output_path: str = "/staging/scores"
    heldout_digest: DigestText
    maximum_new_tokens: int = 64
    maximum_length: int = 512
    precision: Literal["auto", "bf16", "fp32"] = "auto"


class HeldoutAnswer(ApiModel):
    """What the version answered, and which of the facts it was to name the answer holds."""

    question: str
    language: Literal["sv", "en"]
    answer: str
    facts: list[str]
    found: list[str]


class EvaluatedWith(ApiModel):
    """What was measured, on what: a score means nothing without it."""

    heldout_digest: DigestText
    weights_digest: DigestText = Field(description="SHA-256 of the adapter_model.safetensors that was measured.")
    maximum_new_tokens: int
    maximum_length: int
    precision: str
    device: str


class ScoresFile(Scores):
    """scores.json: the scores, and the answers they come from (the first ones, where all would be too many)."""

    evaluated_with: EvaluatedWith
    answers: list[HeldoutAnswer] = []


class EvaluateReport(ApiModel):
    """What the version scored; the answers themselves stay in scores.json."""

    scores: Scores
    digest: DigestText = Field(description="SHA-256 of scores.json.")
