"""Health, and the description of the API itself."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api import health_schemas as shapes
from oneseek_runtime.sidecar.api.operation import Media, Operation
from oneseek_runtime.sidecar.api.oqt import endpoints
from oneseek_runtime.sidecar.http.responses import json_response

__all__ = ["OPERATIONS"]


async def description(_request: Request) -> Response:
    """GET /openapi.json: this API, described."""
    # Imported late: the description is made of all route tables, this one among them.
    from oneseek_runtime.sidecar.api.openapi import document  # noqa: PLC0415

    return json_response(document())


OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        summary="Whether the sidecar answers",
        endpoint=endpoints.health,
        answers={200: shapes.HealthAnswer},
    ),
    Operation(
        method="GET",
        path="/api/health",
        summary="Whether the service answers questions",
        endpoint=endpoints.api_health,
        answers={200: shapes.ApiHealthAnswer},
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        summary="This API, described",
        endpoint=description,
        answers={200: Media("application/json", "An OpenAPI 3.1 document")},
    ),
)
