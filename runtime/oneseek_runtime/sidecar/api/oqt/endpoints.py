"""The endpoints of `/api/oqt/query`, `/status` and `/metrics`."""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.oqt.metrics import metrics_answer
from oneseek_runtime.sidecar.api.oqt.schemas import ServiceState, StageTimes, query_answer, status_answer
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.engine.completion import Question, QuestionError
from oneseek_runtime.sidecar.errors import UpstreamError
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import engine_failure, failure, json_response, read_object, timestamp

__all__ = ["metrics", "query", "status"]


async def query(request: Request) -> Response:
    """POST /api/oqt/query: one question, answered by the served model."""
    deps = deps_of(request)
    started = deps.monotonic()
    try:
        question = Question.parse(await read_object(request, deps.bodies))
    except QuestionError as error:
        return failure(str(error), status=400)
    asked_at = deps.now()
    try:
        completion = await while_connected(request, deps.ask(question))
    except UpstreamError as error:
        return engine_failure("Failed to process query", error)
    answered_at = deps.now()
    dna = deps.dna_of(completion.model)
    at = StageTimes(asked_at, answered_at, deps.now(), deps.monotonic() - started)
    body = query_answer(
        query_id=str(uuid.uuid4()), question=question, completion=completion, version=completion.model, at=at
    )
    if deps.recorder:
        deps.recorder.record_query(question.text, body)
    return json_response(body, dna=dna)


async def status(request: Request) -> Response:
    """GET /api/oqt/status: the engine's model now, and the certified versions."""
    deps = deps_of(request)
    started = deps.monotonic()
    loaded = await deps.loaded()
    try:
        folders = await deps.folders()
    except OSError:
        return failure("Failed to get status", status=500)
    now = deps.monotonic()
    state = ServiceState(
        version=loaded.version,
        dna=loaded.dna,
        operational=loaded.ready,
        response_seconds=now - started,
        uptime_seconds=now - deps.started,
        now=deps.now(),
    )
    return json_response(status_answer(state, folders), dna=loaded.dna)


async def metrics(request: Request) -> Response:
    """GET /api/oqt/metrics: the scores of the version that answers."""
    deps = deps_of(request)
    loaded = await deps.loaded()
    try:
        folders = await deps.folders()
    except OSError:
        return failure("Failed to get metrics", status=500)
    model = deps.cluster.informer.model
    body = metrics_answer(version=loaded.version, folders=folders, model=model, now=timestamp(deps.now()))
    return json_response(body, dna=loaded.dna)
