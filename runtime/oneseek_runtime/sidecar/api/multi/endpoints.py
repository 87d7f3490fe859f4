"""POST /api/oqt/multi-model-query: ask, measure, compare, have it learned where that is asked for, answer, record."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.multi import schemas
from oneseek_runtime.sidecar.api.multi.analysis import Analysis, analyse
from oneseek_runtime.sidecar.api.multi.bodies import FAILED, Wishes, lesson, multi_answer, multi_document
from oneseek_runtime.sidecar.api.multi.fan_out import Reply, ask_all
from oneseek_runtime.sidecar.api.multi.text_metrics import read
from oneseek_runtime.sidecar.api.operation import post
from oneseek_runtime.sidecar.api.schemas import Failure
from oneseek_runtime.sidecar.api.training.endpoints import trained_beside
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.engine.completion import Question, QuestionError
from oneseek_runtime.sidecar.errors import EngineBusyError, UpstreamError
from oneseek_runtime.sidecar.http.middleware import DNA_HEADER
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import json_response, read_object, timestamp
from oneseek_runtime.sidecar.language import language_of

__all__ = ["OPERATIONS"]


async def multi_model_query(request: Request) -> Response:
    """One question, answered by every loaded model side by side, and what the answers have in common."""
    deps = deps_of(request)
    started = deps.monotonic()
    body = await read_object(request, deps.bodies)
    try:
        question = Question.parse(body)
    except QuestionError as error:
        return json_response({"success": False, "error": str(error)}, status=400)
    wishes = Wishes.parse(body)
    try:
        replies = await while_connected(request, ask_all(deps, question, external=wishes.external))
    except UpstreamError as error:
        return _failed(error)
    analysis = await asyncio.to_thread(_analysis, question.text, replies)  # counting takes a moment that others need
    training = await trained_beside(request, lesson(question.text, replies, analysis)) if wishes.training else None
    answer = multi_answer(
        query_id=str(uuid.uuid4()),
        question=question,
        replies=replies,
        analysis=analysis,
        training=training,
        seconds=deps.monotonic() - started,
        now=timestamp(deps.now()),
    )
    if deps.recorder:
        deps.recorder.keep_document(multi_document(question.text, answer, analysis))
    spoke = next(reply for reply in replies if reply.error is None)
    by_version = spoke.role in ("current", "previous")
    return json_response(answer, headers={DNA_HEADER: spoke.model} if by_version else None)


def _analysis(question: str, replies: Sequence[Reply]) -> Analysis:
    asked_in = language_of(question)
    return analyse([read(reply.model, reply.text or "", asked_in) for reply in replies if reply.error is None])


def _failed(error: UpstreamError) -> Response:
    body = {"success": False, "error": FAILED, "message": str(error)}
    if isinstance(error, EngineBusyError):
        return json_response(body, status=503, headers={"Retry-After": "1"})
    return json_response(body, status=500)


OPERATIONS = (
    post(
        "/api/oqt/multi-model-query",
        "Ask one question of every loaded model, and compare the answers",
        multi_model_query,
        {200: schemas.MultiAnswer, 400: Failure, 500: Failure, 503: Failure},
        body=schemas.MultiAsked,
    ),
)
