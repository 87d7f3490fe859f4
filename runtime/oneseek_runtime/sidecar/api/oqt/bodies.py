"""The legacy bodies of `/api/oqt/*`: what clients send, parsed; what they get, as plain data. Pure.

Two decisions about `options.temperature`. A missing one means greedy decoding (0.0 in the answer's metadata): a trained
identity must not depend on luck, and the same question then gets the same answer. An explicit 0 means 0.7, as the old
service read it. Values out of range are moved into it, because the old service refused none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oneseek_runtime.sidecar.certified_folders import CertifiedFolder
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.http.responses import timestamp

__all__ = [
    "METRICS_FAILED",
    "PRODUCT",
    "QUERY_FAILED",
    "STATUS_FAILED",
    "Answered",
    "Health",
    "query_answer",
    "status_answer",
]

PRODUCT = "OQT-1.0"  # what old clients print as the model's name; the real name stands in `version`
QUERY_FAILED = "Failed to process query"
STATUS_FAILED = "Failed to get status"
METRICS_FAILED = "Failed to get metrics"


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
