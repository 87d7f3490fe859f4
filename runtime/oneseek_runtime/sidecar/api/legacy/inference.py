"""The routes of the old ML service and its proxies, answered by the served model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.legacy import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Shape, get, post
from oneseek_runtime.sidecar.certified_folders import base_path
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.engine.completion import Question
from oneseek_runtime.sidecar.errors import UpstreamError
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import DNA_HEADER, json_response, read_object

__all__ = ["OPERATIONS"]

_ENDPOINTS = ("/infer", "/inference/oneseek", "/models/status", "/api/oqt/query", "/v1/chat/completions")
_GONE = "This route is gone; use /infer"


async def root(request: Request) -> Response:
    """GET /: the service's status and the path of the model that answers; null while none does."""
    deps = deps_of(request)
    loaded, serving = await deps.loaded(), deps.settings.serving
    path = None
    if loaded.ready:
        path = f"{serving.certified_path}/{loaded.dna}" if loaded.dna else base_path(serving)
    body: shapes.ServiceRoot = {"status": "running", "active_model_path": path, "endpoints": list(_ENDPOINTS)}
    return json_response(body, dna=loaded.dna)


async def infer(request: Request) -> Response:
    """POST /infer, /inference/oneseek: 422 lists invalid fields, 500 says what failed."""
    status, body, headers = await _answer(request)
    return json_response(body, status=status, headers=headers)


async def proxied(request: Request) -> Response:
    """POST /api/inference/infer: the same, with 503 if no model answers."""
    status, body, headers = await _answer(request)
    if status == 500:
        return json_response({"error": "ML service unavailable", **body}, status=503, headers={"Retry-After": "1"})
    return json_response(body, status=status, headers=headers)


async def _answer(request: Request) -> tuple[int, Mapping[str, Any], Mapping[str, str]]:
    deps = deps_of(request)
    started = deps.monotonic()
    try:
        asked = shapes.InferenceAsked.model_validate(dict(await read_object(request, deps.bodies)), strict=True)
    except ValidationError as error:
        wrong = [{"loc": ["body", *row["loc"]], "msg": row["msg"], "type": row["type"]} for row in error.errors()]
        return 422, {"detail": wrong}, {}
    question = Question(
        asked.text,
        temperature=asked.temperature,
        max_tokens=asked.max_length,
        top_p=max(asked.top_p, 0.01),  # 0 would exclude every token
    )
    try:
        completion = await while_connected(request, deps.ask(question))
    except UpstreamError as error:
        return 500, {"detail": str(error)}, {}
    body: shapes.Inference = {
        "response": completion.text,
        "model": completion.model,
        "tokens": completion.tokens,
        "latency_ms": round((deps.monotonic() - started) * 1000, 3),
    }
    dna = deps.dna_of(completion.model)
    return 200, body, {DNA_HEADER: dna} if dna else {}


async def gone(_request: Request) -> Response:
    """POST /infer-legacy and the routes named after other models."""
    return json_response(shapes.Gone(detail=_GONE), status=410)


async def status(request: Request) -> Response:
    """GET /api/inference/status: whether a model answers."""
    loaded = await deps_of(request).loaded()
    body: shapes.InferenceStatus = {
        "status": "available" if loaded.ready else "unavailable",
        "model": loaded.version,
        "message": loaded.message,
    }
    return json_response(body)


async def models_status(request: Request) -> Response:
    """GET /models/status: the engine's loaded models."""
    models = await _loaded(deps_of(request))
    return json_response(shapes.ModelsStatus(device=None, cuda_available=None, models=models))


async def _loaded(deps: Deps) -> dict[str, dict[str, Any]]:
    try:
        models = await deps.engine.models(within=None)
        return {name: {"loaded": True, "active": name == deps.target} for name in models}
    except UpstreamError:
        return {}


_ANSWERS: dict[int, Shape] = {200: shapes.Inference, 422: shapes.InvalidInference, 500: shapes.Gone}

OPERATIONS = (
    get("/", "What is served, and where it lies", root, {200: shapes.ServiceRoot}),
    *(
        post(path, "Answer a text", infer, _ANSWERS, body=shapes.InferenceAsked)
        for path in ("/infer", "/inference/oneseek")
    ),
    post(
        "/api/inference/infer",
        "Answer a text",
        proxied,
        {200: shapes.Inference, 422: shapes.InvalidInference, 503: shapes.Gone},
        body=shapes.InferenceAsked,
    ),
    *(
        post(path, "Gone", gone, {410: shapes.Gone})
        for path in ("/infer-legacy", "/inference/llama", "/inference/mistral")
    ),
    get("/api/inference/status", "Whether a model answers", status, {200: shapes.InferenceStatus}),
    get("/models/status", "What the engine has loaded", models_status, {200: shapes.ModelsStatus}),
)
