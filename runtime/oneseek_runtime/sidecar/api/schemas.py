"""Base types of the shapes of bodies.

Requests are pydantic models, validated where an endpoint does so; answers are typed dicts, which cost nothing at run time.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

T = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-08-23T10:11:12.345Z"])]
"""The contract's time: UTC, milliseconds, Z."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, also if written as 45.0."""


class Answer(TypedDict):
    """An answer holds these keys and no others."""


class OpenAnswer(TypedDict):
    """An answer holds these keys, and may hold others."""


# Where pydantic looks for the configuration of a typed dict; in the class bodies mypy would take it for a key.
Answer.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
OpenAnswer.__pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[attr-defined]


def left_out(default: object) -> Any:
    """Marks a key that may be missing; clients may assume `default`."""
    return Field(json_schema_extra={"default": default})  # type: ignore[dict-item]  # any JSON value


class RequestBody(BaseModel):
    """A request; keys that are not named are ignored."""

    model_config = ConfigDict(extra="allow")


class Error(Answer):
    """What went wrong, in one sentence."""

    error: str


class Refusal(Answer):
    """A body that cannot be used, a request too many, or a defect of ours."""

    error: str
    message: str


class Failure(Answer):
    """How the old service's `/api/oqt/*` handlers say that something failed."""

    success: Literal[False]
    error: str
    message: NotRequired[Annotated[str | None, left_out(None)]]


class Unauthorized(Answer):
    """What is missing of the right to do this."""

    success: Literal[False]
    error: str


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
