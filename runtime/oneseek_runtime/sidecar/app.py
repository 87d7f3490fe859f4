"""The two apps of a sidecar, as data: which path is answered by what, inside which layers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from oneseek_core.roles import Role
from oneseek_runtime.sidecar.api import internal
from oneseek_runtime.sidecar.api.health import health
from oneseek_runtime.sidecar.api.internal_auth import OPEN, Guard
from oneseek_runtime.sidecar.api.openapi import document
from oneseek_runtime.sidecar.api.table import SOCKETS, operations
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.engine.previous import ENGINE_PREFIX
from oneseek_runtime.sidecar.errors import BadRequestError, ClientGoneError
from oneseek_runtime.sidecar.handover.forwarding import PassingOn, PeerEntry
from oneseek_runtime.sidecar.http.concurrency_limit import Turns
from oneseek_runtime.sidecar.http.middleware import Envelope
from oneseek_runtime.sidecar.http.paths import LenientPaths
from oneseek_runtime.sidecar.http.rate_limit import RateLimits
from oneseek_runtime.sidecar.http.responses import body_refused, error_object, json_response, no_such_page

__all__ = ["INTERNAL", "create_app", "create_apps", "create_internal_app"]

Endpoint = Callable[[Request], Awaitable[Response]]


async def _no_route(request: Request, error: Exception) -> Response:
    """Unknown paths are a 404 with a page, as the old service had it; known ones with another method a 405."""
    allowed = getattr(error, "headers", None) or {}
    status = 405 if "Allow" in allowed else 404
    if f"{request.url.path}/".startswith("/v1/"):
        message = f"there is no {request.method} {request.url.path}"
        return json_response(error_object(message, code="unknown_url"), status=status, headers=allowed)
    return no_such_page(request, status=status, headers=allowed)


async def _bad_body(_request: Request, error: Exception) -> Response:
    return body_refused(error)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; nginx's number for the access log


async def _defect(_request: Request, _error: Exception) -> Response:
    """A defect of ours: the traceback is in the log, the client gets no inner details."""
    return json_response({"error": "Internal server error", "message": "See the sidecar's log"}, status=500)


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    404: _no_route,
    405: _no_route,
    HTTPException: _no_route,
    BadRequestError: _bad_body,
    ClientGoneError: _gone,
    Exception: _defect,
}


def create_app(deps: Deps) -> ASGIApp:
    """The public app."""
    return create_apps(deps)[0]


def create_internal_app(deps: Deps) -> ASGIApp:
    """The operator's and the kubelet's app, and the way in for what other pods pass on."""
    return create_apps(deps)[1]


def create_apps(deps: Deps) -> tuple[ASGIApp, ASGIApp]:
    """Both, over the same `deps` and limits: what another pod passes on counts as if its client had come here."""
    answering = _answering(deps)
    public = PassingOn(answering, deps.orders, deps.monotonic, deps.access_log, deps.way)
    entry = PeerEntry(answering, _internal(deps), deps.lifecycle.took)
    roles = {path: role for path, _, _, role in INTERNAL}
    return public, Guard(entry, roles, deps.settings.serving.accepted)


def _answering(deps: Deps) -> ASGIApp:
    """What answers clients. The limiter stands before routing and validation, the envelope around both; paths first."""
    table = operations()
    routes = [Route(row.path, row.endpoint or _only_direct, methods=[row.method]) for row in table]
    sockets = [WebSocketRoute(row.path, row.endpoint) for row in SOCKETS]
    app = Starlette(routes=[*routes, *sockets], exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    app.state.deps, app.state.document = deps, document
    direct: dict[tuple[str, str], ASGIApp] = {
        (row.method, row.path): row.direct(deps) for row in table if row.direct is not None
    }
    front = Front(direct, app)
    settings = deps.settings
    limited: ASGIApp = front
    if settings.rate_limits:
        turns = Turns(front, settings.concurrent, settings.trusted_proxies)
        limited = RateLimits(turns, deps.monotonic, settings.trusted_proxies)
    private = frozenset(row.path for row in table if row.private)
    enveloped = Envelope(limited, deps.lifecycle, deps.access_log, private=private, origins=settings.allowed_origins)
    return LenientPaths(enveloped, [*(row.path for row in table), *(row.path for row in SOCKETS)])


class Front:
    """The apps that need no router, before the one that does."""

    def __init__(self, direct: Mapping[tuple[str, str], ASGIApp], rest: ASGIApp) -> None:
        self._direct = direct
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request over."""
        key = (scope["method"], scope["path"]) if scope["type"] == "http" else ("", "")
        await self._direct.get(key, self._rest)(scope, receive, send)


async def _only_direct(request: Request) -> Response:
    """What the router knows of a direct route: that other methods are wrong there."""
    raise HTTPException(405, headers={"Allow": "POST"})


INTERNAL: tuple[tuple[str, Endpoint, str, Role | None], ...] = (
    ("/health", health, "GET", OPEN),  # the kubelet asks here whether the process lives
    ("/internal/ready", internal.ready, "GET", OPEN),
    ("/internal/state", internal.state, "GET", Role.OPERATOR),
    ("/internal/changes", internal.changes, "GET", Role.OPERATOR),
    ("/internal/probe", internal.probe, "POST", Role.OPERATOR),
    ("/internal/analysis", internal.analysis, "POST", Role.OPERATOR),
    ("/internal/handover", internal.handover, "POST", Role.OPERATOR),
    ("/internal/drain", internal.drain, "POST", Role.OPERATOR),
    ("/internal/swap", internal.swap, "POST", Role.OPERATOR),
    ("/internal/previous", internal.previous, "POST", Role.OPERATOR),
    (f"{ENGINE_PREFIX}/v1/chat/completions", internal.engine, "POST", Role.SIDECAR),
)
"""Path, what answers it, method, whose token it takes."""


def _internal(deps: Deps) -> ASGIApp:
    routes = [Route(path, endpoint, methods=[method]) for path, endpoint, method, _ in INTERNAL]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.state.deps = deps
    return app
