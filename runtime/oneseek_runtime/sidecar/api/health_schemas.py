"""The bodies of the health routes."""

from __future__ import annotations

from typing import Literal

from oneseek_runtime.sidecar.api.schemas import Answer, T

__all__ = ["ApiHealthAnswer", "HealthAnswer"]


class HealthAnswer(Answer):
    """This process answers."""

    status: Literal["ok"]
    message: str


class ServiceHealth(Answer):
    """One part of the service."""

    status: Literal["up", "down"]
    description: str
    endpoints: list[str]


class ApiHealthAnswer(Answer):
    """The sidecar and what stands behind it."""

    status: Literal["ok", "degraded"]
    services: dict[str, ServiceHealth]
    timestamp: T
