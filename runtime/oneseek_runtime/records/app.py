"""The records service's app, as data: which path is answered by what, to which roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, ExceptionHandler

from oneseek_core.roles import Role
from oneseek_runtime.records import endpoints, window_endpoints
from oneseek_runtime.records.auth import LEDGER, OPERATOR, RECORDING, WINDOWS, admit
from oneseek_runtime.records.endpoints import error_response
from oneseek_runtime.records.errors import (
    AwayError,
    BadRequestError,
    BodyTooLargeError,
    BusyError,
    ForbiddenError,
    FullError,
    IdempotencyConflictError,
    NothingRecordedError,
    RecordsError,
    SlowError,
    StoreFailedError,
    UnauthorizedError,
    WindowNotFoundError,
    WindowOpenError,
)
from oneseek_runtime.records.store import Store
from oneseek_runtime.records.windows import WindowsPort

__all__ = ["ROUTES", "create_app"]

_STATUS: dict[type[RecordsError], int] = {
    UnauthorizedError: 401,
    ForbiddenError: 403,
    BodyTooLargeError: 413,
    BadRequestError: 400,
    IdempotencyConflictError: 409,
    NothingRecordedError: 409,
    WindowOpenError: 409,
    WindowNotFoundError: 404,
    FullError: 507,
    BusyError: 503,
    StoreFailedError: 503,
    SlowError: 504,
    AwayError: 503,
}


async def _records_error(_request: Request, error: Exception) -> Response:
    reason = getattr(error, "reason", "InternalError")
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    response = error_response(status, reason, str(error))
    if isinstance(error, UnauthorizedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return error_response(status, "NotFound" if status == 404 else "BadRequest", "there is no such path or method")


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _defect(_request: Request, _error: Exception) -> Response:
    return error_response(500, "InternalError", "a defect of ours; the service's log has the traceback")


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    RecordsError: _records_error,
    HTTPException: _http_error,
    ClientDisconnect: _gone,
    Exception: _defect,
}


Endpoint = Callable[[Request], Awaitable[Response]]

ROUTES: tuple[tuple[str, str, Endpoint, frozenset[Role]], ...] = (
    ("POST", "/v1/transitions", endpoints.transitions, OPERATOR),
    ("POST", "/v1/queries", endpoints.record_queries, RECORDING),
    ("GET", "/v1/queries", endpoints.queries, RECORDING),
    ("POST", "/v1/entries", endpoints.entries, RECORDING),
    ("GET", "/v1/documents/{collection}", endpoints.documents, RECORDING),
    ("GET", "/v1/head", endpoints.head, LEDGER),
    ("GET", "/v1/blocks", endpoints.blocks, LEDGER),
    ("GET", "/v1/checkpoints", endpoints.checkpoints, LEDGER),
    ("GET", "/v1/proof/inclusion", endpoints.inclusion, LEDGER),
    ("GET", "/v1/proof/consistency", endpoints.consistency, LEDGER),
    ("GET", "/v1/stats", endpoints.stats, LEDGER),
    ("GET", "/v1/verify", endpoints.verify, LEDGER),
    ("POST", "/v1/questions", window_endpoints.teach, RECORDING),
    ("POST", "/v1/windows", window_endpoints.gather, RECORDING),
    ("GET", "/v1/windows", window_endpoints.totals, RECORDING),
    ("POST", "/v1/windows/due", window_endpoints.due, RECORDING),
    ("POST", "/v1/windows/{number:int}/taken", window_endpoints.take, RECORDING),
    ("GET", "/v1/windows/{number:int}/questions", window_endpoints.questions, WINDOWS),
)
"""Method, path, what answers it, who may ask. `/health` is open."""


def create_app(store: Store, accepted: Mapping[str, str], windows: WindowsPort) -> ASGIApp:
    """The service over a store and windows that are open."""
    routes = [
        Route(path, _for(roles, endpoint, accepted), methods=[method]) for method, path, endpoint, roles in ROUTES
    ]
    routes.append(Route("/health", endpoints.health))
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    app.state.store = store
    app.state.windows = windows
    return app


def _for(roles: frozenset[Role], endpoint: Endpoint, accepted: Mapping[str, str]) -> Endpoint:
    """Nothing of a request is read before it is known that whoever sends it may."""

    async def guarded(request: Request) -> Response:
        admit(request.headers.get("authorization", ""), accepted, roles)
        return await endpoint(request)

    return guarded
