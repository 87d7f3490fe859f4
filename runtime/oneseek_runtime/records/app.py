"""The records service's app, as data: which path is answered by what, behind which token."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from oneseek_runtime.records import endpoints, window_endpoints
from oneseek_runtime.records.auth import TokenFile
from oneseek_runtime.records.endpoints import error_response
from oneseek_runtime.records.errors import (
    AwayError,
    BadRequestError,
    BodyTooLargeError,
    BusyError,
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

__all__ = ["create_app"]

_STATUS: dict[type[RecordsError], int] = {
    UnauthorizedError: 401,
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
    return error_response(status, reason, str(error))


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


class BearerToken:
    """ASGI middleware: nothing but `/health` is answered, or even read, without the token."""

    def __init__(self, app: ASGIApp, token: TokenFile) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] != "/health":
            try:
                self._token.check(Headers(scope=scope).get("authorization", ""))
            except UnauthorizedError as error:
                response = error_response(401, error.reason, str(error))
                response.headers["WWW-Authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(store: Store, token: TokenFile, windows: WindowsPort) -> ASGIApp:
    """The service over a store and windows that are open."""
    routes = [
        Route("/v1/transitions", endpoints.transitions, methods=["POST"]),
        Route("/v1/queries", endpoints.queries, methods=["GET", "POST"]),
        Route("/v1/entries", endpoints.entries, methods=["POST"]),
        Route("/v1/documents/{collection}", endpoints.documents),
        Route("/v1/head", endpoints.head),
        Route("/v1/blocks", endpoints.blocks),
        Route("/v1/checkpoints", endpoints.checkpoints),
        Route("/v1/proof/inclusion", endpoints.inclusion),
        Route("/v1/proof/consistency", endpoints.consistency),
        Route("/v1/stats", endpoints.stats),
        Route("/v1/verify", endpoints.verify),
        Route("/v1/questions", window_endpoints.teach, methods=["POST"]),
        Route("/v1/windows", window_endpoints.gather, methods=["POST"]),
        Route("/v1/windows", window_endpoints.totals),
        Route("/v1/windows/due", window_endpoints.due, methods=["POST"]),
        Route("/v1/windows/{number:int}/taken", window_endpoints.take, methods=["POST"]),
        Route("/v1/windows/{number:int}/questions", window_endpoints.questions),
        Route("/health", endpoints.health),
    ]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    app.state.store = store
    app.state.windows = windows
    return BearerToken(app, token)
