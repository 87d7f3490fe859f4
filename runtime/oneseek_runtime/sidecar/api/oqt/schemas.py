"""The bodies of `/api/oqt/query` and `/api/oqt/status`: their shapes and how they are built. Pure; names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, Asked, T
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.http.responses import timestamp

__all__ = [
    "PRODUCT",
    "Answered",
    "Health",
    "QueryAnswer",
    "QueryAsked",
    "StatusAnswer",
    "query_answer",
    "status_answer",
]

PRODUCT: Final = "OQT-1.0"  # what old clients print as the model's name; the real name stands in `version`


class Options(Asked):
    """How the answer is drawn; values out of range are moved into it, others are ignored."""

    temperature: float | None = Field(default=None, description="Left out: greedy. 0 means 0.7, as it always did.")
    max_tokens: int | None = Field(default=None, alias="maxTokens")
    top_p: float | None = None
    model_size: str | None = Field(default=None, alias="modelSize", description="Ignored.")


class QueryAsked(Asked):
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
class Answered:
    """When the stages of one query were reached (UTC), and its length on the monotonic clock in seconds.

    `tokenization` is the moment the question was handed to the engine, which tokenises it first; `inference` the
    moment its last token was there; `post_processing` the moment the answer was put together.
    """

    tokenization: datetime
    inference: datetime
    post_processing: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """What a status request measured; `version` and `dna` are what the engine reports, None where it does not answer."""

    version: str | None
    dna: str | None
    operational: bool
    response_seconds: float
    uptime_seconds: float
    now: datetime


def query_answer(
    *, query_id: str, question: Question, completion: Completion, version: str, at: Answered
) -> QueryAnswer:
    """The 200 body of a query. `version` names what generated the text: a DNA, or the base model."""
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


def status_answer(health: Health, folders: Sequence[CertifiedFolder]) -> StatusAnswer:
    """The 200 body of a status request: the model that answers now, and every certified one that is listed."""
    listed = [folder for folder in folders if folder.readable and not folder.merged]
    current = next((folder for folder in listed if health.dna in (folder.name, folder.dna)), None)
    return {
        "success": True,
        "status": "up",
        "model": {
            "name": PRODUCT,
            "version": health.version or "unavailable",
            "status": "ready" if health.operational else "active",
            "lastTraining": current.created_at if current else None,
            "architecture": "Transformer",
            "trainingMethod": "DNA v2 + Adaptive Weighting",
            "dna": health.dna,
            "directoryName": current.name if current else None,
            "language": current.language if current else "unknown",
            "isCertified": health.dna is not None,
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
            "operational": health.operational,
            "modelsAvailable": len(listed),
            "responseTime_ms": round(health.response_seconds * 1000),
            "uptime": round(health.uptime_seconds, 3),
        },
        "timestamp": timestamp(health.now),
    }
