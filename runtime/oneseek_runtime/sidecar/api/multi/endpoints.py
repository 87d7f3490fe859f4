"""POST /api/oqt/multi-model-query: ask all models, compare the answers, record them for training and answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.multi import schemas
from oneseek_runtime.sidecar.api.multi.comparison import Comparison, compare
from oneseek_runtime.sidecar.api.multi.fan_out import Reply, ask_all
from oneseek_runtime.sidecar.api.multi.schemas import MultiAnswer, compared, multi_answer
from oneseek_runtime.sidecar.api.multi.text_metrics import read
from oneseek_runtime.sidecar.api.operation import post
from oneseek_runtime.sidecar.api.schemas import Failure
from oneseek_runtime.sidecar.api.training.endpoints import train_from_query
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.engine.completion import Question, QuestionError
from oneseek_runtime.sidecar.errors import UpstreamError
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import engine_failure, failure, json_response, read_object, timestamp
from oneseek_runtime.sidecar.language import language_of
from oneseek_runtime.sidecar.training.examples import TrainingExample

__all__ = ["OPERATIONS"]


_RECORDED_AS = "OQT-1.0-MultiModel"


@dataclass(frozen=True, slots=True)
class Options:
    """The client's options."""

    external: bool = False
    training: bool = True

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Options:
        """Parses the options; values of other types are true or false as in JavaScript."""
        return cls(_flag(body, "includeExternal", default=False), _flag(body, "enableTraining", default=True))


def _flag(body: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = body.get(key, default)
    return value not in ("false", "0") if isinstance(value, str) and value else bool(value)


async def multi_model_query(request: Request) -> Response:
    """Answers one question by every loaded model, with a comparison of the answers."""
    deps = deps_of(request)
    started = deps.monotonic()
    body = await read_object(request, deps.bodies)
    try:
        question = Question.parse(body)
    except QuestionError as error:
        return failure(str(error), status=400)
    options = Options.parse(body)
    try:
        replies = await while_connected(request, ask_all(deps, question, external=options.external))
    except UpstreamError as error:
        return engine_failure("Failed to process multi-model query", error)
    comparison = await asyncio.to_thread(_compare, question.text, replies)  # CPU-bound
    training = (
        await train_from_query(request, _training_example(question.text, replies, comparison))
        if options.training
        else None
    )
    answer = multi_answer(
        query_id=str(uuid.uuid4()),
        question=question,
        replies=replies,
        comparison=comparison,
        training=training,
        seconds=deps.monotonic() - started,
        now=timestamp(deps.now()),
    )
    if deps.recorder:
        deps.recorder.record_document(_document(question.text, answer, comparison))
    spoke = next(reply for reply in replies if reply.error is None)
    by_version = spoke.role in ("current", "previous")
    return json_response(answer, dna=spoke.model if by_version else None)


def _training_example(question: str, replies: Sequence[Reply], comparison: Comparison) -> TrainingExample:
    """The training example of a query: all answers and their comparison."""
    raw = [{"model": one.model, "response": one.text} for one in replies if one.text]
    numbers = {
        "consensus": comparison.consensus,
        "bias": comparison.bias,
        "fairness": comparison.fairness,
        "metaSummary": compared(comparison)["metaSummary"],
    }
    return TrainingExample(question, tuple(raw), numbers if raw else None)


def _document(question: str, answer: MultiAnswer, comparison: Comparison) -> dict[str, Any]:
    """The `oqt_queries` document of an answer; there is no provenance document (contract)."""
    readings = comparison.readings
    at = answer["timestamp"]
    return {
        "queryId": answer["queryId"],
        "question": question,
        "response": answer["response"],
        "confidence": answer["confidence"],
        "metadata": {
            "modelsUsed": [one.model for one in readings],
            "consensus": {
                "score": comparison.consensus,
                "level": comparison.consensus_level,
                "metrics": comparison.metrics,
                "details": {
                    "sentiments": [one.sentiment for one in readings],
                    "tones": [one.tone for one in readings],
                    "biasScores": [one.bias for one in readings],
                },
            },
            "bias": {
                "aggregatedScore": comparison.bias,
                "level": comparison.bias_level,
                "biasTypes": list(comparison.bias_types or ()),
                "modelBiases": [
                    {"model": one.model, "biasScore": one.bias, "detectedBiases": list(one.biases)} for one in readings
                ],
                "variance": comparison.bias_variance,
            },
            "fairness": {
                "score": comparison.fairness,
                "level": comparison.fairness_level,
                "modelScores": [one.fairness for one in readings],
                "variance": comparison.fairness_variance,
            },
            "processingTime_ms": answer["metadata"]["processingTime_ms"],
        },
        "model": _RECORDED_AS,
        "version": answer["version"],
        "language": answer["language"],
        "createdAt": at,
        "updatedAt": at,
    }


def _compare(question: str, replies: Sequence[Reply]) -> Comparison:
    question_language = language_of(question)
    return compare([read(reply.model, reply.text or "", question_language) for reply in replies if reply.error is None])


OPERATIONS = (
    post(
        "/api/oqt/multi-model-query",
        "Ask one question of every loaded model, and compare the answers",
        multi_model_query,
        {200: schemas.MultiAnswer, 400: Failure, 500: Failure, 503: Failure},
        body=schemas.MultiAsked,
    ),
)
