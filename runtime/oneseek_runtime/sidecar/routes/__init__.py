"""Every public route, by group. A new route is a row in one of these modules, or a new module here."""

from __future__ import annotations

from collections.abc import Mapping

from oneseek_runtime.sidecar.routes import models, openai, oqt, service
from oneseek_runtime.sidecar.routes.table import Operation

__all__ = ["GROUPS", "operations"]

GROUPS: Mapping[str, tuple[Operation, ...]] = {
    "Questions": oqt.OPERATIONS,
    "OpenAI": openai.OPERATIONS,
    "Versions": models.OPERATIONS,
    "Service": service.OPERATIONS,
}


def operations() -> tuple[Operation, ...]:
    """All of them, in the order of the groups."""
    return tuple(operation for group in GROUPS.values() for operation in group)
