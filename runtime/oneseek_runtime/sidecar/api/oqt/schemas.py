"""The bodies of `/api/oqt/query` and `/api/oqt/status`: their shapes and how they are built. Pure; names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, RequestBody, T
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.http.responses import timestamp

__all__ = [
    "PRODUCT",
    "QueryAnswer",
    "QueryAsked",
    "ServiceState",
    "StageTimes",
    "StatusAnswer",
    "query_answer",
    "status_answer",
]

PRODUCT: Final = "OQT-1.0"  # the model's name for old clients; the real one is `version`


class Options(RequestBody):
    """How the answer is drawn; values out of range are moved into it, others are ignored."""

    temperature: float | None = Field(default=None, description="Left out: greedy. 0 means 0.7, as it always did.")
    max_tokens: int | None = Field(default=None, alias="maxTokens")
    top_p: float | None = None
    model_size: str | None = Field(default=None, alias="modelSize", description="Ignored.")


class QueryAsked(RequestBody):
    """A question."""

    question: str = Field(min_length=1)
    context: Any = Field(default=None, description="Ignored.")
    options: Options | None = None


class Drawn(Answer):
    """How the answer was made."""

    tokens: int
    latency_ms: int
    temperature: float


class Step(Answer):
    """A stage, and when it was reached."""

    step: Literal["tokenization", "inference", "post-processing"]
    timestamp: T


class Provenance(Answer):
    """What was asked, by its SHA-256, of which version, when."""

    queryId: str
    timestamp: T
    model: Literal["OQT-1.0"]
    version: str
    inputHash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    processingSteps: list[Step]


class QueryAnswer(Answer):
    """An answer. `version` is the DNA that made it, or the base model's name."""

    success: Literal[True]
    queryId: str
    model: Literal["OQT-1.0"]
    version: str
    response: str
    confidence: Annotated[float, Field(gt=0, le=1, description="Geometric mean of the tokens' probabilities.")]
    metadata: Drawn
    provenance: Provenance
    timestamp: T


class ServedModel(Answer):
    """The model that answers at this moment."""

    name: Literal["OQT-1.0"]
    version: str
    status: Literal["ready", "active"]
    lastTraining: str | None
    architecture: str
    trainingMethod: str
    dna: str | None
    directoryName: str | None
    language: str
    isCertified: bool


class AvailableModel(Answer):
    """A certified version on the claim."""

    language: str
    dna: str
    directoryName: str | None
    isCurrent: bool
    isCertified: bool
    status: Literal["ready", "not found"]


class Operational(Answer):
    """What this request measured."""

    operational: bool
    modelsAvailable: int
    responseTime_ms: int
    uptime: float


class StatusAnswer(Answer):
    """The state of the service."""

    success: Literal[True]
    status: Literal["up"]
    model: ServedModel
    availableModels: list[AvailableModel]
    health: Operational
    timestamp: T


@dataclass(frozen=True, slots=True)
class StageTimes:
    """When the stages of a query ended (UTC), and its duration on the monotonic clock.

    `tokenization`: the question was sent to the engine, which tokenises it first; `inference`: its last token arrived;
    `post_processing`: the answer was built.
    """

    tokenization: datetime
    inference: datetime
    post_processing: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Measurements of a status request; `version` and `dna` as reported by the engine, None if it does not answer."""

    version: str | None
    dna: str | None
    operational: bool
    response_seconds: float
    uptime_seconds: float
    now: datetime


def query_answer(
    *, query_id: str, question: Question, completion: Completion, version: str, at: StageTimes
) -> QueryAnswer:
    """The 200 body of a query. `version`: the DNA or the base model that generated the text."""
    done = timestamp(at.post_processing)
    steps: list[Step] = [
        {"step": "tokenization", "timestamp": timestamp(at.tokenization)},
        {"step": "inference", "timestamp": timestamp(at.inference)},
        {"step": "post-processing", "timestamp": done},
    ]
    return {
        "success": True,
        "queryId": query_id,
        "model": PRODUCT,
        "version": version,
        "response": completion.text,
        "confidence": completion.confidence,
        "metadata": {
            "tokens": completion.tokens,
            "latency_ms": round(at.seconds * 1000),
            "temperature": question.temperature,
        },
        "provenance": {
            "queryId": query_id,
            "timestamp": done,
            "model": PRODUCT,
            "version": version,
            "inputHash": hashlib.sha256(question.text.encode("utf-8", "surrogatepass")).hexdigest(),
            "processingSteps": steps,
        },
        "timestamp": done,
    }


def status_answer(state: ServiceState, folders: Sequence[CertifiedFolder]) -> StatusAnswer:
    """The 200 body of a status request."""
    listed = [folder for folder in folders if folder.readable and not folder.merged]
    current = next((folder for folder in listed if state.dna in (folder.name, folder.dna)), None)
    return {
        "success": True,
        "status": "up",
        "model": {
            "name": PRODUCT,
            "version": state.version or "unavailable",
            "status": "ready" if state.operational else "active",
            "lastTraining": current.created_at if current else None,
            "architecture": "Transformer",
            "trainingMethod": "DNA v2 + Adaptive Weighting",
            "dna": state.dna,
            "directoryName": current.name if current else None,
            "language": current.language if current else "unknown",
            "isCertified": state.dna is not None,
        },
        "availableModels": [
            {
                "language": folder.language,
                "dna": folder.dna,
                "directoryName": folder.name,
                "isCurrent": folder is current,
                "isCertified": True,
                "status": "ready",
            }
            for folder in listed
        ],
        "health": {
            "operational": state.operational,
            "modelsAvailable": len(listed),
            "responseTime_ms": round(state.response_seconds * 1000),
            "uptime": round(state.uptime_seconds, 3),
        },
        "timestamp": timestamp(state.now),
    }
