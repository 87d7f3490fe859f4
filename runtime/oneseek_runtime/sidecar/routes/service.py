"""Health, and the description of the API itself."""

from __future__ import annotations

from oneseek_runtime.sidecar import endpoints
from oneseek_runtime.sidecar.routes.table import Operation
from oneseek_runtime.sidecar.shapes import service as shapes

__all__ = ["OPERATIONS"]

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
)
