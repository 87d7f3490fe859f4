"""All public routes by group."""

from __future__ import annotations

from collections.abc import Mapping

from oneseek_runtime.sidecar.api import health
from oneseek_runtime.sidecar.api.dashboard import routes
from oneseek_runtime.sidecar.api.legacy import admin, characters, inference
from oneseek_runtime.sidecar.api.models import not_offered
from oneseek_runtime.sidecar.api.models import routes as models
from oneseek_runtime.sidecar.api.multi import endpoints as multi
from oneseek_runtime.sidecar.api.openai import routes as openai
from oneseek_runtime.sidecar.api.operation import Operation, Socket
from oneseek_runtime.sidecar.api.oqt import routes as oqt
from oneseek_runtime.sidecar.api.training import routes as training
from oneseek_runtime.sidecar.api.training import websocket

__all__ = ["GROUPS", "SOCKETS", "operations"]

GROUPS: Mapping[str, tuple[Operation, ...]] = {
    "Questions": (*oqt.QUERY, *multi.OPERATIONS, *training.LEARNING, *oqt.REPORTS),
    "OpenAI": openai.OPERATIONS,
    "Versions": models.OPERATIONS,
    "Merging": not_offered.OPERATIONS,
    "Training": training.OPERATIONS,
    "Inference": inference.OPERATIONS,  # before `/models/{path}`
    "Administration": admin.OPERATIONS,
    "Characters": characters.OPERATIONS,
    "Dashboard": routes.OPERATIONS,
    "Service": health.OPERATIONS,
}

SOCKETS: tuple[Socket, ...] = websocket.SOCKETS


def operations() -> tuple[Operation, ...]:
    """All routes in the order of the groups."""
    return tuple(operation for group in GROUPS.values() for operation in group)
