"""The public routes: parse, ask, answer. What bodies look like is `wire`'s business."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.oqt import bodies
from oneseek_runtime.sidecar.api.oqt.metrics import metrics_answer
from oneseek_runtime.sidecar.certified_folders import certified_folders, current_pointer
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.errors import ClientGoneError, EngineBusyError, UpstreamError
from oneseek_runtime.sidecar.http.middleware import DNA_HEADER
from oneseek_runtime.sidecar.http.responses import json_response, read_object

__all__ = ["api_health", "certified", "current", "health", "metrics", "query", "status", "while_connected"]

T = TypeVar("T")


async def query(request: Request) -> Response:
    """POST /api/oqt/query: one question, answered by the model that is served."""
    deps = deps_of(request)
    started = deps.monotonic()
    try:
        question = bodies.Question.parse(await read_object(request, deps.bodies))
    except bodies.QuestionError as error:
        return json_response({"success": False, "error": str(error)}, status=400)
    asked_at = deps.now()
    try:
        completion = await while_connected(request, deps.ask(question))
    except UpstreamError as error:
        return _query_failed(error)
    answered_at = deps.now()
    dna = deps.dna_of(completion.model)
    at = bodies.Answered(asked_at, answered_at, deps.now(), deps.monotonic() - started)
    body = bodies.query_answer(
        query_id=str(uuid.uuid4()), question=question, completion=completion, version=completion.model, at=at
    )
    if deps.recorder:
        deps.recorder.keep_query(question.text, body)
    return json_response(body, headers={DNA_HEADER: dna} if dna else None)


def _query_failed(error: UpstreamError) -> Response:
    body = {"success": False, "error": bodies.QUERY_FAILED, "message": str(error)}
    if isinstance(error, EngineBusyError):
        return json_response(body, status=503, headers={"Retry-After": "1"})
    return json_response(body, status=500)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, but give it up when the client goes away: nobody would read the answer.

    Raises:
        ClientGoneError: the client closed its connection first.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError("the client left before the answer")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def status(request: Request) -> Response:
    """GET /api/oqt/status: what the engine serves at this moment, and what lies certified on the claim."""
    deps = deps_of(request)
    started = deps.monotonic()
    serving = deps.settings.serving
    loaded = await deps.loaded()
    try:
        folders = await asyncio.to_thread(certified_folders, Path(serving.certified_path), serving.family)
    except OSError:
        return json_response({"success": False, "error": bodies.STATUS_FAILED}, status=500)
    now = deps.monotonic()
    health = bodies.Health(
        version=loaded.version,
        dna=loaded.dna,
        operational=loaded.ready,
        response_seconds=now - started,
        uptime_seconds=now - deps.started,
        now=deps.now(),
    )
    return json_response(
        bodies.status_answer(health, folders), headers={DNA_HEADER: loaded.dna} if loaded.dna else None
    )


async def metrics(request: Request) -> Response:
    """GET /api/oqt/metrics: what the evaluation of the version that answers measured."""
    deps = deps_of(request)
    serving = deps.settings.serving
    loaded = await deps.loaded()
    try:
        folders = await asyncio.to_thread(certified_folders, Path(serving.certified_path), serving.family)
    except OSError:
        return json_response({"success": False, "error": bodies.METRICS_FAILED}, status=500)
    model = deps.cluster.mirror.model
    counters = model.get("status", {}).get("counters") if model else None
    body = metrics_answer(version=loaded.version, folders=folders, counters=counters, now=bodies.timestamp(deps.now()))
    return json_response(body, headers={DNA_HEADER: loaded.dna} if loaded.dna else None)


async def certified(request: Request) -> Response:
    """GET /api/models/certified: every certified folder, newest version first."""
    deps = deps_of(request)
    serving = deps.settings.serving
    try:
        folders = await asyncio.to_thread(certified_folders, Path(serving.certified_path), serving.family)
    except OSError as error:
        body = {"success": False, "error": "Failed to fetch certified models", "message": str(error.strerror)}
        return json_response(body, status=500)
    now = bodies.timestamp(deps.now())
    return json_response({"success": True, "models": [f.entry(now) for f in folders], "count": len(folders)})


async def current(request: Request) -> Response:
    """GET /api/models/current: where CURRENT points. It may lag behind what is served; `/api/oqt/status` does not."""
    serving = deps_of(request).settings.serving
    pointer = await asyncio.to_thread(current_pointer, Path(serving.certified_path), serving.family)
    if pointer is None:
        return json_response({"success": True, "currentModel": None, "message": "No current model set"})
    source = "marker file" if pointer.from_marker else "symbolic link"
    return json_response(
        {
            "success": True,
            "currentModel": pointer.name,
            "symlinkPath": str(pointer.link),
            "target": pointer.target,
            "note": f"Read from the {source}",
        }
    )


async def health(request: Request) -> Response:
    """GET /health: this process answers. Whether the engine does is said by /api/health."""
    serving = deps_of(request).settings.serving
    return json_response({"status": "ok", "message": f"OneSeek sidecar of {serving.namespace}/{serving.model}"})


async def api_health(request: Request) -> Response:
    """GET /api/health: the sidecar and what stands behind it."""
    deps = deps_of(request)
    loaded = await deps.loaded()
    oqt = {
        "status": "up" if loaded.ready else "down",
        "description": loaded.message,
        "endpoints": [
            "/api/oqt/query",
            "/api/oqt/multi-model-query",
            "/api/oqt/status",
            "/api/oqt/metrics",
            "/v1/chat/completions",
        ],
    }
    overall = "ok" if loaded.ready else "degraded"
    return json_response({"status": overall, "services": {"oqt": oqt}, "timestamp": bodies.timestamp(deps.now())})
