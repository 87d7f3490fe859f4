"""The types of the route table, from which the app, the OpenAPI document and docs/reference/routes.md are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from oneseek_runtime.sidecar.deps import Deps

__all__ = ["WAIT", "Endpoint", "Media", "Operation", "Parameter", "Shape", "Socket", "get", "post"]

Endpoint = Callable[[Request], Awaitable[Response]]
Direct = Callable[[Deps], ASGIApp]


@dataclass(frozen=True, slots=True)
class Media:
    """A body that is no JSON of ours."""

    type: str
    description: str


Shape = type[Any] | Media | None
"""A body: a pydantic model (requests), a typed dict (answers), or no JSON of ours."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, header or path segment. `schema` is JSON Schema."""

    name: str
    description: str
    place: Literal["query", "header", "path"] = "query"
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


WAIT = Parameter(
    "Prefer", "`wait=N`: answer once the run has ended, after N seconds (at most 600) at the latest", "header"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, answered by either `endpoint` or `direct`.

    `direct` makes an ASGI app that is called without a router, where microseconds count. `answers` are the bodies by status, besides those
    that every route may give (see `openapi`).
    """

    method: Literal["GET", "POST"]
    path: str
    summary: str
    endpoint: Endpoint | None
    answers: Mapping[int, Shape]
    _: KW_ONLY
    direct: Direct | None = None
    body: Shape = None
    parameters: tuple[Parameter, ...] = ()
    streams: Media | None = None
    private: bool = False  # holds other clients' questions or names: pages of other origins may not read it


get = partial(Operation, "GET")
post = partial(Operation, "POST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A WebSocket, which OpenAPI cannot describe; docs/reference/routes.md lists it."""

    path: str
    summary: str
    endpoint: Callable[..., Awaitable[None]]
