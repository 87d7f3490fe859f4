"""The legacy bodies of `/api/oqt/*`: what clients send, parsed; what they get, as plain data. Pure.

Two decisions about `options.temperature`. A missing one means greedy decoding (0.0 in the answer's metadata): a trained
identity must not depend on luck, and the same question then gets the same answer. An explicit 0 means 0.7, as the old
service read it. Values out of range are moved into it, because the old service refused none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from oneseek_runtime.sidecar.certified_folders import CertifiedFolder
from oneseek_runtime.sidecar.engine.completion import Completion

__all__ = [
    "METRICS_FAILED",
    "PRODUCT",
    "QUERY_FAILED",
    "QUESTION_REQUIRED",
    "STATUS_FAILED",
    "Answered",
    "Health",
    "Question",
    "QuestionError",
    "query_answer",
    "status_answer",
    "timestamp",
]

PRODUCT = "OQT-1.0"  # what old clients print as the model's name; the real name stands in `version`
QUESTION_REQUIRED = "Question is required and must be a string"
QUERY_FAILED = "Failed to process query"
STATUS_FAILED = "Failed to get status"
METRICS_FAILED = "Failed to get metrics"

DEFAULT_TEMPERATURE = 0.7
DEFAULT_MAX_TOKENS = 160
MAXIMUM_MAX_TOKENS = 4096


class QuestionError(ValueError):
    """The body holds no question; the sentence is the contract's."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a client wants to know, and how the answer is to be drawn."""

    text: str
    temperature: float = 0.0
    max_tokens: int = DEFAULT_MAX_TOKENS
    top_p: float = 1.0

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Question:
        """Read a query's body; unknown keys are ignored.

        Raises:
            QuestionError: `question` is missing, empty or no string.
        """
        text = body.get("question")
        if not isinstance(text, str) or not text:
            raise QuestionError(QUESTION_REQUIRED)
        options = body.get("options")
        if not isinstance(options, Mapping):
            return cls(text)
        return cls(
            text,
            temperature=_temperature(options.get("temperature")),
            max_tokens=int(_within(options.get("maxTokens"), 1, MAXIMUM_MAX_TOKENS, DEFAULT_MAX_TOKENS)),
            top_p=_within(options.get("top_p"), 0.01, 1.0, 1.0),
        )

    def body(self, model: str) -> dict[str, Any]:
        """The question as an OpenAI chat completion request to `model`."""
        return {
            "model": model,
            "messages": [{"role": "user", "content": self.text}],
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "logprobs": True,
            "stream": False,
        }


def _temperature(value: object) -> float:
    if value == 0 and not isinstance(value, bool):
        return DEFAULT_TEMPERATURE
    return _within(value, 0.0, 2.0, 0.0)


def _within(value: object, low: float, high: float, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return default
    return min(max(float(value), low), high)


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


def query_answer(
    *, query_id: str, question: Question, completion: Completion, version: str, at: Answered
) -> dict[str, Any]:
    """The 200 body of a query. `version` names what generated the text: a DNA, or the base model."""
    done = timestamp(at.post_processing)
    steps = (
        ("tokenization", at.tokenization),
        ("inference", at.inference),
        ("post-processing", at.post_processing),
    )
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
            "processingSteps": [{"step": step, "timestamp": timestamp(when)} for step, when in steps],
        },
        "timestamp": done,
    }


@dataclass(frozen=True, slots=True)
class Health:
    """What a status request measured; `version` and `dna` are what the engine reports, None where it does not answer."""

    version: str | None
    dna: str | None
    operational: bool
    response_seconds: float
    uptime_seconds: float
    now: datetime


def status_answer(health: Health, folders: Sequence[CertifiedFolder]) -> dict[str, Any]:
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


def timestamp(when: datetime) -> str:
    """ISO 8601, UTC, milliseconds, `Z`: the contract's T."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
