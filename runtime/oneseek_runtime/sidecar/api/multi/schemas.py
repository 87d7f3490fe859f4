"""The bodies of `/api/oqt/multi-model-query`: their shapes and how they are built. Pure; names are the contract's.

`response` is the served model's answer between two Swedish lines on how similar the answers are in wording, as in the old
service. A model without an answer is listed with `error` in its metadata and counts in no number.
"""

# ruff: noqa: N815

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field

from oneseek_runtime.sidecar.api.multi.comparison import (
    BiasLevel,
    Comparison,
    ConsensusLevel,
    FairnessLevel,
    recommendation,
)
from oneseek_runtime.sidecar.api.multi.fan_out import Reply, Role
from oneseek_runtime.sidecar.api.multi.sentiment import Sentiment
from oneseek_runtime.sidecar.api.multi.text_metrics import BiasKind, Tone
from oneseek_runtime.sidecar.api.oqt.schemas import PRODUCT, QueryAsked
from oneseek_runtime.sidecar.api.schemas import Answer, T, left_out
from oneseek_runtime.sidecar.api.training.schemas import NotTrained, TrainedBeside
from oneseek_runtime.sidecar.engine.completion import Question
from oneseek_runtime.sidecar.language import language_of

__all__ = ["MultiAnswer", "MultiAsked", "compared", "multi_answer"]

_PREVIEW = 200
_AGREEMENT = {
    "complete": "En modell svarade",
    "high": "Svaren liknar varandra i ton och hållning",
    "medium": "Svaren liknar delvis varandra i ton och hållning",
    "low": "Svaren skiljer sig åt i ton och hållning",
}
_FAIRNESS = {"excellent": "utmärkt", "good": "god", "fair": "godtagbar", "poor": "låg"}


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

    sentimentAgreement: Annotated[float, Field(ge=0, le=1)]
    toneAgreement: Annotated[float, Field(ge=0, le=1)]
    biasVariance: Annotated[float, Field(ge=0)]


class Consensus(Answer):
    """Agreement in wording, not in content: 0.4·sentiment + 0.3·tone + 0.3·(1 - min(bias variance / 10, 1))."""

    score: Annotated[float, Field(ge=0, le=1)]
    level: ConsensusLevel
    metrics: NotRequired[
        Annotated[Agreement | None, left_out(None), Field(description="Left out where one model answered.")]
    ]


class Bias(Answer):
    """Words that overstate, load or generalise; 10 is ten per hundred words, or more."""

    aggregatedScore: Annotated[float, Field(ge=0, le=10)]
    level: BiasLevel
    types: NotRequired[
        Annotated[list[BiasKind], left_out([]), Field(description="Left out where no answer has a word.")]
    ]


class Fairness(Answer):
    """How even-handed the wording is: the mean of 1 - 0.5·bias/10 - 0.5·|sentiment|."""

    score: Annotated[float, Field(ge=0, le=1)]
    level: FairnessLevel


class Perspective(Answer):
    """What was measured of one answer; `length` in characters."""

    model: str
    length: int
    sentiment: Sentiment
    tone: Tone
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
    keyThemes: Annotated[
        list[str], Field(max_length=10, description="The most frequent words of more than four letters.")
    ]
    modelPerspectives: list[Perspective]
    recommendation: Annotated[str, Field(description="Swedish.")]


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
    role: Role
    confidence: Annotated[float | None, Field(description="Geometric mean of the tokens' probabilities.")]
    error: NotRequired[
        Annotated[str, left_out(""), Field(description="Why it did not answer; it counts in no number then.")]
    ]


class ModelResponse(Answer):
    """One model's answer, or why there is none."""

    model: str
    responsePreview: str
    metadata: Made


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
    confidence: Annotated[float, Field(ge=0, le=0.95, description="min(0.95, 0.6·consensus + 0.4·fairness).")]
    analysis: Compared
    modelResponses: list[ModelResponse]
    training: TrainedBeside | NotTrained | None
    metadata: Whole
    timestamp: T


def multi_answer(
    *,
    query_id: str,
    question: Question,
    replies: Sequence[Reply],
    comparison: Comparison,
    training: TrainedBeside | NotTrained | None,
    seconds: float,
    now: str,
) -> MultiAnswer:
    """The 200 body; `version` names the model of the first reply without an error."""
    chosen = next(reply for reply in replies if reply.error is None)
    return {
        "success": True,
        "queryId": query_id,
        "model": PRODUCT,
        "version": chosen.model,
        "language": language_of(question.text),
        "response": _wrapped(chosen.text or "", comparison),
        "confidence": comparison.confidence,
        "analysis": compared(comparison),
        "modelResponses": [_model_response(reply, question) for reply in replies],
        "training": training,
        "metadata": {
            "totalModels": len(comparison.readings),
            "processingTime_ms": round(seconds * 1000),
            "pipelineVersion": "2.0",
        },
        "timestamp": now,
    }


def _model_response(reply: Reply, question: Question) -> ModelResponse:
    text = reply.text or ""
    metadata: Made = {
        "temperature": question.temperature,
        "maxTokens": question.max_tokens,
        "latency_ms": round(reply.seconds * 1000),
        "tokens": 0 if reply.error is not None else reply.tokens,
        "simulated": False,
        "role": reply.role,
        "confidence": reply.confidence,
    }
    if reply.error is not None:
        metadata["error"] = reply.error
    preview = text if len(text) <= _PREVIEW else text[:_PREVIEW] + "..."
    return {"model": reply.model, "responsePreview": preview, "metadata": metadata}


def _wrapped(text: str, comparison: Comparison) -> str:
    count = len(comparison.readings)
    models = "1 modell" if count == 1 else f"{count} modeller"
    head = f"{_AGREEMENT[comparison.consensus_level]} ({models})."
    foot = (
        f"Underlag: {models}, samstämmighet {comparison.consensus * 100:.0f} %,"
        f" rättvisa: {_FAIRNESS[comparison.fairness_level]}."
    )
    return f"{head}\n\n{text}\n\n{foot}"


def compared(comparison: Comparison) -> Compared:
    """The answer's `analysis`."""
    consensus: Consensus = {"score": comparison.consensus, "level": comparison.consensus_level}
    if comparison.metrics is not None:
        consensus["metrics"] = cast("Agreement", comparison.metrics)
    bias: Bias = {"aggregatedScore": comparison.bias, "level": comparison.bias_level}
    if comparison.bias_types is not None:
        bias["types"] = list(comparison.bias_types)
    return {
        "consensus": consensus,
        "bias": bias,
        "fairness": {"score": comparison.fairness, "level": comparison.fairness_level},
        "metaSummary": {
            "totalModels": len(comparison.readings),
            "consensusLevel": comparison.consensus_level,
            "consensusScore": comparison.consensus,
            "biasLevel": comparison.bias_level,
            "avgBiasScore": comparison.bias,
            "fairnessLevel": comparison.fairness_level,
            "fairnessScore": comparison.fairness,
            "keyThemes": list(comparison.themes),
            "modelPerspectives": [
                {
                    "model": one.model,
                    "length": one.length,
                    "sentiment": one.sentiment,
                    "tone": one.tone,
                    "biasScore": one.bias,
                }
                for one in comparison.readings
            ],
            "recommendation": recommendation(comparison),
        },
    }
