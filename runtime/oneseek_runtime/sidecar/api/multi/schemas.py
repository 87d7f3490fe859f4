"""The bodies of `/api/oqt/multi-model-query`. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from oneseek_runtime.sidecar.api.oqt.schemas import QueryAsked
from oneseek_runtime.sidecar.api.schemas import Answer, T
from oneseek_runtime.sidecar.api.training.schemas import CompanionStages, Counted, WindowRun

__all__ = ["MultiAnswer", "MultiAsked"]

ConsensusLevel = Literal["high", "medium", "low", "complete"]
BiasLevel = Literal["low", "medium", "high", "none"]
FairnessLevel = Literal["excellent", "good", "fair", "poor"]


class MultiAsked(QueryAsked):
    """A question to several models."""

    includeExternal: Any = Field(
        default=False, description="true: also the models of spec.serving.externalModels.", examples=[False]
    )
    enableTraining: Any = Field(
        default=True,
        description="false: `training` is null, as it is where micro-training is disabled. true: the answers are given to the"
        " model to learn, if the caller may `train` the model (docs/reference/auth.md); else `training` says why not.",
        examples=[False],
    )


class Agreement(Answer):
    """The parts of the consensus. Agreement is the share of the most common label."""

    sentimentAgreement: float = Field(ge=0, le=1)
    toneAgreement: float = Field(ge=0, le=1)
    biasVariance: float = Field(ge=0)


class Consensus(Answer):
    """Agreement in wording, not in content: 0.4·sentiment + 0.3·tone + 0.3·(1 - min(bias variance / 10, 1))."""

    score: float = Field(ge=0, le=1)
    level: ConsensusLevel
    metrics: Agreement | None = Field(default=None, description="Left out where one model answered.")


class Bias(Answer):
    """Words that overstate, load or generalise; 10 is ten per hundred words, or more."""

    aggregatedScore: float = Field(ge=0, le=10)
    level: BiasLevel
    types: list[Literal["overstatement", "loaded", "generalisation"]] = Field(
        default=[], description="Left out where no answer has a word."
    )


class Fairness(Answer):
    """How even-handed the wording is: the mean of 1 - 0.5·bias/10 - 0.5·|sentiment|."""

    score: float = Field(ge=0, le=1)
    level: FairnessLevel


class Perspective(Answer):
    """What was measured of one answer; `length` in characters."""

    model: str
    length: int
    sentiment: Literal["positive", "neutral", "negative"]
    tone: Literal["assertive", "cautious", "personal", "neutral"]
    biasScore: float


class Summary(Answer):
    """All of it in one place."""

    totalModels: int
    consensusLevel: ConsensusLevel
    consensusScore: float
    biasLevel: BiasLevel
    avgBiasScore: float
    fairnessLevel: FairnessLevel
    fairnessScore: float
    keyThemes: list[str] = Field(max_length=10, description="The most frequent words of more than four letters.")
    modelPerspectives: list[Perspective]
    recommendation: str = Field(description="Swedish.")


class Compared(Answer):
    """What the answers have in common."""

    consensus: Consensus
    bias: Bias
    fairness: Fairness
    metaSummary: Summary


class Made(Answer):
    """How one answer was made. null: not measured, as a model elsewhere may not say."""

    temperature: float
    maxTokens: int
    latency_ms: int
    tokens: int | None
    simulated: Literal[False]
    role: Literal["current", "previous", "base", "external"]
    confidence: float | None = Field(description="Geometric mean of the tokens' probabilities.")
    error: str = Field(default="", description="Why it did not answer; it counts in no number then.")


class ModelResponse(Answer):
    """One model's answer, or why there is none."""

    model: str
    responsePreview: str
    metadata: Made


class NotTrained(Answer):
    """Why nothing was trained."""

    success: Literal[False]
    error: str


class TrainedBeside(CompanionStages):
    """The answers are recorded to be learned, as micro-train's are; the run that trains them has a name already."""

    success: Literal[True]
    language: Literal["sv", "en"]
    model: str
    fallback: Literal[False]
    state: Counted
    run: WindowRun | None


class Whole(Answer):
    """The query as a whole."""

    totalModels: int
    processingTime_ms: int
    pipelineVersion: Literal["2.0"]


class MultiAnswer(Answer):
    """`response` is the serving model's answer between two Swedish lines; `version` names its model."""

    success: Literal[True]
    queryId: str
    model: Literal["OQT-1.0"]
    version: str
    language: Literal["sv", "en"]
    response: str
    confidence: float = Field(ge=0, le=0.95, description="min(0.95, 0.6·consensus + 0.4·fairness).")
    analysis: Compared
    modelResponses: list[ModelResponse]
    training: TrainedBeside | NotTrained | None
    metadata: Whole
    timestamp: T
