"""Every public route, by group. A new route is a row in one of these modules, or a new module here."""

from __future__ import annotations

from collections.abc import Mapping

from oneseek_runtime.sidecar.routes import (
    admin,
    chat,
    dashboard,
    inference,
    live,
    merging,
    models,
    openai,
    oqt,
    service,
    training,
)
from oneseek_runtime.sidecar.routes.table import Operation, Socket

__all__ = ["GROUPS", "SOCKETS", "operations"]

GROUPS: Mapping[str, tuple[Operation, ...]] = {
    "Questions": oqt.OPERATIONS,
    "OpenAI": openai.OPERATIONS,
    "Versions": models.OPERATIONS,
    "Merging": merging.OPERATIONS,
    "Training": training.OPERATIONS,
    "Inference": inference.OPERATIONS,  # before the files below /models/
    "Administration": admin.OPERATIONS,
    "Characters": chat.OPERATIONS,
    "Dashboard": dashboard.OPERATIONS,
    "Service": service.OPERATIONS,
}

SOCKETS: tuple[Socket, ...] = live.SOCKETS


def operations() -> tuple[Operation, ...]:
    """All of them, in the order of the groups."""
    return tuple(operation for group in GROUPS.values() for operation in group)
