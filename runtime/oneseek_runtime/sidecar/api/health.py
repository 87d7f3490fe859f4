"""Health, and the OpenAPI document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Media, get
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.http.responses import json_response, timestamp

__all__ = ["OPERATIONS", "health"]


async def health(request: Request) -> Response:
    """GET /health: whether this process answers; /api/health says whether the engine does."""
    serving = deps_of(request).settings.serving
    return json_response(
        shapes.HealthAnswer(status="ok", message=f"OneSeek sidecar of {serving.namespace}/{serving.model}")
    )


async def api_health(request: Request) -> Response:
    """GET /api/health: whether questions are answered."""
    deps = deps_of(request)
    loaded = await deps.loaded()
    oqt: shapes.ServiceHealth = {
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
    body: shapes.ApiHealthAnswer = {
        "status": "ok" if loaded.ready else "degraded",
        "services": {"oqt": oqt},
        "timestamp": timestamp(deps.now()),
    }
    return json_response(body)


async def description(request: Request) -> Response:
    """GET /openapi.json: the OpenAPI document."""
    return json_response(request.app.state.document())


OPERATIONS = (
    get("/health", "Whether the sidecar answers", health, {200: shapes.HealthAnswer}),
    get("/api/health", "Whether the service answers questions", api_health, {200: shapes.ApiHealthAnswer}),
    get(
        "/openapi.json", "This API, described", description, {200: Media("application/json", "An OpenAPI 3.1 document")}
    ),
)
