"""The public and the internal ASGI app: routes and middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from oneseek_runtime.sidecar.api.internal import INTERNAL, Guard
from oneseek_runtime.sidecar.api.openapi import document
from oneseek_runtime.sidecar.api.table import SOCKETS, operations
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.errors import BadRequestError, ClientGoneError, OrderInvalidError, OrderRefusedError
from oneseek_runtime.sidecar.handover.forwarding import ForwardingMiddleware, PeerEntryPoint
from oneseek_runtime.sidecar.http.concurrency_limit import ConcurrencyLimit
from oneseek_runtime.sidecar.http.middleware import ResponseMiddleware
from oneseek_runtime.sidecar.http.paths import LenientPaths
from oneseek_runtime.sidecar.http.rate_limit import RateLimits
from oneseek_runtime.sidecar.http.responses import body_refused, error_object, json_response, no_such_page

__all__ = ["create_app", "create_apps", "create_internal_app"]

Endpoint = Callable[[Request], Awaitable[Response]]


async def _no_route(request: Request, error: Exception) -> Response:
    """404 with the old service's page for unknown paths, 405 for other methods."""
    allowed = getattr(error, "headers", None) or {}
    status = 405 if "Allow" in allowed else 404
    if f"{request.url.path}/".startswith("/v1/"):
        message = f"there is no {request.method} {request.url.path}"
        return json_response(error_object(message, code="unknown_url"), status=status, headers=allowed)
    return no_such_page(request, status=status, headers=allowed)


async def _bad_body(_request: Request, error: Exception) -> Response:
    return body_refused(error)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # not read by the client; nginx's status for the access log


async def _order_invalid(_request: Request, error: Exception) -> Response:
    return json_response({"error": str(error)}, status=400)


async def _order_refused(_request: Request, error: Exception) -> Response:
    return json_response({"error": str(error)}, status=409)


async def _defect(_request: Request, _error: Exception) -> Response:
    """500 without details; the traceback is in the log."""
    return json_response({"error": "Internal server error", "message": "See the sidecar's log"}, status=500)


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    404: _no_route,
    405: _no_route,
    HTTPException: _no_route,
    BadRequestError: _bad_body,
    ClientGoneError: _gone,
    OrderInvalidError: _order_invalid,
    OrderRefusedError: _order_refused,
    Exception: _defect,
}


def create_app(deps: Deps) -> ASGIApp:
    """Makes the public app."""
    return create_apps(deps)[0]


def create_internal_app(deps: Deps) -> ASGIApp:
    """Makes the internal app: for the operator, the kubelet and forwarded requests."""
    return create_apps(deps)[1]


def create_apps(deps: Deps) -> tuple[ASGIApp, ASGIApp]:
    """Makes both over the same state, so forwarded requests count as if their clients had connected here."""
    answering = _answering(deps)
    public = ForwardingMiddleware(answering, deps.orders, deps.monotonic, deps.access_log, deps.way)
    entry = PeerEntryPoint(answering, _internal(deps), deps.lifecycle.count_forwarded)
    roles = {path: role for path, _, _, role in INTERNAL}
    return public, Guard(entry, roles, deps.settings.serving.accepted)


def _answering(deps: Deps) -> ASGIApp:
    """The app for clients. Limits apply before routing and validation; the response middleware is around both."""
    table = operations()
    routes = [Route(row.path, row.endpoint or _only_direct, methods=[row.method]) for row in table]
    sockets = [WebSocketRoute(row.path, row.endpoint) for row in SOCKETS]
    app = Starlette(routes=[*routes, *sockets], exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    app.state.deps, app.state.document = deps, document
    direct: dict[tuple[str, str], ASGIApp] = {
        (row.method, row.path): row.direct(deps) for row in table if row.direct is not None
    }
    front = DirectRoutes(direct, app)
    settings = deps.settings
    limited: ASGIApp = front
    if settings.rate_limits:
        turns = ConcurrencyLimit(front, settings.concurrent, settings.trusted_proxies)
        limited = RateLimits(turns, deps.monotonic, settings.trusted_proxies)
    private = frozenset(row.path for row in table if row.private)
    enveloped = ResponseMiddleware(
        limited, deps.lifecycle, deps.access_log, private=private, origins=settings.allowed_origins
    )
    return LenientPaths(enveloped, [*(row.path for row in table), *(row.path for row in SOCKETS)])


class DirectRoutes:
    """Apps that are called without a router, before the app with one."""

    def __init__(self, direct: Mapping[tuple[str, str], ASGIApp], rest: ASGIApp) -> None:
        self._direct = direct
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app of the path."""
        key = (scope["method"], scope["path"]) if scope["type"] == "http" else ("", "")
        await self._direct.get(key, self._rest)(scope, receive, send)


async def _only_direct(request: Request) -> Response:
    """Makes the router answer 405 for other methods of a direct route."""
    raise HTTPException(405, headers={"Allow": "POST"})


def _internal(deps: Deps) -> ASGIApp:
    routes = [Route(path, endpoint, methods=[method]) for path, endpoint, method, _ in INTERNAL]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.state.deps = deps
    return app
