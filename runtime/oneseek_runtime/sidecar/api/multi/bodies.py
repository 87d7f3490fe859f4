"""The bodies and the record of a multi-model query. Pure; key names are the contract's.

`response` is the answer of the model that serves, with a Swedish line before and after it that says how far the others
are alike in wording, as the old service wrapped it. A model that did not answer is listed with `error` in its metadata and counts in no
number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.api.multi.analysis import Analysis
from oneseek_runtime.sidecar.api.multi.fan_out import Reply
from oneseek_runtime.sidecar.api.oqt.bodies import PRODUCT
from oneseek_runtime.sidecar.engine.completion import Question
from oneseek_runtime.sidecar.language import language_of
from oneseek_runtime.sidecar.training.examples import Lesson

__all__ = ["FAILED", "Wishes", "lesson", "multi_answer", "multi_document"]

FAILED = "Failed to process multi-model query"
RECORDED_AS = "OQT-1.0-MultiModel"
_PIPELINE = "2.0"
_PREVIEW = 200
_AGREEMENT = {
    "complete": "En modell svarade",
    "high": "Svaren liknar varandra i ton och hållning",
    "medium": "Svaren liknar delvis varandra i ton och hållning",
    "low": "Svaren skiljer sig åt i ton och hållning",
}
_FAIRNESS = {"excellent": "utmärkt", "good": "god", "fair": "godtagbar", "poor": "låg"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client may turn on and off."""

    external: bool = False
    training: bool = True

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Wishes:
        """Read them; what is missing has its default, and anything else is true or false as the old service took it."""
        return cls(_flag(body, "includeExternal", default=False), _flag(body, "enableTraining", default=True))


def _flag(body: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = body.get(key, default)
    return value not in ("false", "0") if isinstance(value, str) and value else bool(value)


def multi_answer(
    *,
    query_id: str,
    question: Question,
    replies: Sequence[Reply],
    analysis: Analysis,
    training: Mapping[str, Any] | None,
    seconds: float,
    now: str,
) -> dict[str, Any]:
    """The 200 body. The first reply that is an answer speaks for all; `version` names its model."""
    chosen = next(reply for reply in replies if reply.error is None)
    return {
        "success": True,
        "queryId": query_id,
        "model": PRODUCT,
        "version": chosen.model,
        "language": language_of(question.text),
        "response": _wrapped(chosen.text or "", analysis),
        "confidence": analysis.confidence,
        "analysis": analysis.body(),
        "modelResponses": [_entry(reply, question) for reply in replies],
        "training": training,
        "metadata": {
            "totalModels": len(analysis.readings),
            "processingTime_ms": round(seconds * 1000),
            "pipelineVersion": _PIPELINE,
        },
        "timestamp": now,
    }


def _entry(reply: Reply, question: Question) -> dict[str, Any]:
    text = reply.text or ""
    metadata: dict[str, Any] = {
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


def _wrapped(text: str, analysis: Analysis) -> str:
    count = len(analysis.readings)
    models = "1 modell" if count == 1 else f"{count} modeller"
    head = f"{_AGREEMENT[analysis.consensus_level]} ({models})."
    foot = (
        f"Underlag: {models}, samstämmighet {analysis.consensus * 100:.0f} %,"
        f" rättvisa: {_FAIRNESS[analysis.fairness_level]}."
    )
    return f"{head}\n\n{text}\n\n{foot}"


def lesson(question: str, replies: Sequence[Reply], analysis: Analysis) -> Lesson:
    """What the model is to learn from: every answer, and what they have in common."""
    raw = [{"model": one.model, "response": one.text} for one in replies if one.text]
    body = analysis.body()
    numbers = {
        "consensus": analysis.consensus,
        "bias": analysis.bias,
        "fairness": analysis.fairness,
        "metaSummary": body["metaSummary"],
    }
    return Lesson(question, tuple(raw), numbers if raw else None)


def multi_document(question: str, answer: Mapping[str, Any], analysis: Analysis) -> dict[str, Any]:
    """The `oqt_queries` document of an answer; there is no provenance document (contract)."""
    readings = analysis.readings
    at = answer["timestamp"]
    return {
        "queryId": answer["queryId"],
        "question": question,
        "response": answer["response"],
        "confidence": answer["confidence"],
        "metadata": {
            "modelsUsed": [one.model for one in readings],
            "consensus": {
                "score": analysis.consensus,
                "level": analysis.consensus_level,
                "metrics": analysis.metrics,
                "details": {
                    "sentiments": [one.sentiment for one in readings],
                    "tones": [one.tone for one in readings],
                    "biasScores": [one.bias for one in readings],
                },
            },
            "bias": {
                "aggregatedScore": analysis.bias,
                "level": analysis.bias_level,
                "biasTypes": list(analysis.bias_types or ()),
                "modelBiases": [
                    {"model": one.model, "biasScore": one.bias, "detectedBiases": list(one.biases)} for one in readings
                ],
                "variance": analysis.bias_variance,
            },
            "fairness": {
                "score": analysis.fairness,
                "level": analysis.fairness_level,
                "modelScores": [one.fairness for one in readings],
                "variance": analysis.fairness_variance,
            },
            "processingTime_ms": answer["metadata"]["processingTime_ms"],
        },
        "model": RECORDED_AS,
        "version": answer["version"],
        "language": answer["language"],
        "createdAt": at,
        "updatedAt": at,
    }
