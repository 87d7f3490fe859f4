"""The two apps of a sidecar, as data: which path is answered by what, inside which layers."""

from __future__ import annotations

import html

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, ExceptionHandler

from oneseek_runtime.sidecar import endpoints, internal, ledger_endpoints, model_endpoints
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.envelope import Envelope
from oneseek_runtime.sidecar.errors import BadRequestError, BodyTooLargeError, ClientGoneError
from oneseek_runtime.sidecar.limits import RateLimits
from oneseek_runtime.sidecar.responses import json_response

__all__ = ["create_app", "create_internal_app"]


async def _no_route(request: Request, _error: Exception) -> Response:
    """Unknown paths and methods are both 404 with a page, as the old service had it; clients never parse it."""
    what = html.escape(f"Cannot {request.method} {request.url.path}")
    return HTMLResponse(f"<!DOCTYPE html>\n<title>Error</title>\n<pre>{what}</pre>\n", status_code=404)


async def _bad_body(_request: Request, error: Exception) -> Response:
    large = isinstance(error, BodyTooLargeError)
    body = {"error": "Request body too large" if large else "Malformed request body", "message": str(error)}
    # The rest of an oversized body stays unread, so the connection cannot carry another request.
    return json_response(body, status=413 if large else 400, headers={"Connection": "close"} if large else None)


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
    """The public app. The limiter stands before routing and validation; the envelope around everything."""
    routes = [
        Route("/api/oqt/query", endpoints.query, methods=["POST"]),
        Route("/api/oqt/status", endpoints.status),
        Route("/api/oqt/queries", ledger_endpoints.queries),
        Route("/api/oqt/ledger/verify", ledger_endpoints.verify),
        Route("/api/oqt/ledger/stats", ledger_endpoints.stats),
        Route("/api/models/certified", endpoints.certified),
        Route("/api/models/current", endpoints.current),
        Route("/api/models/set-current", model_endpoints.set_current, methods=["POST"]),
        Route("/api/models/reset", model_endpoints.reset, methods=["POST"]),
        Route("/health", endpoints.health),
        Route("/api/health", endpoints.api_health),
    ]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    app.state.deps = deps
    limited = RateLimits(app, deps.monotonic) if deps.settings.rate_limits else app
    return Envelope(limited, deps.lifecycle, access_log=deps.settings.access_log)


def create_internal_app(deps: Deps) -> ASGIApp:
    """The operator's and the kubelet's app; the same `deps`, so that both ports see one life cycle."""
    routes = [
        Route("/health", endpoints.health),  # the kubelet asks here whether the process lives
        Route("/internal/state", internal.state),
        Route("/internal/ready", internal.ready),
        Route("/internal/probe", internal.probe, methods=["POST"]),
        Route("/internal/drain", internal.drain, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.state.deps = deps
    return app
