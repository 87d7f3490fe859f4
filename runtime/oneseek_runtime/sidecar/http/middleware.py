"""Middleware around the whole public app: CORS, `Connection: close` while draining, access log, counters.

Outermost, so that it applies to 429 and 500 too. Pure ASGI: nothing is buffered.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneseek_runtime.sidecar.http.access_log import AccessLog
from oneseek_runtime.sidecar.http.concurrency_limit import asks_engine
from oneseek_runtime.sidecar.http.origins import ANYBODY, may_read
from oneseek_runtime.sidecar.http.responses import DNA_HEADER
from oneseek_runtime.sidecar.lifecycle import Lifecycle

__all__ = ["CLOSE", "CORS", "ResponseMiddleware", "dna_of_answer"]

_DNA = DNA_HEADER.lower().encode()
_EXPOSED = ", ".join(
    (DNA_HEADER, "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")
)
_EXPOSE = (b"access-control-expose-headers", _EXPOSED.encode())
CORS = [(b"access-control-allow-origin", b"*"), _EXPOSE]
CLOSE = (b"connection", b"close")


class ResponseMiddleware:
    """Completes the head of every public answer; answers CORS preflights."""

    def __init__(
        self,
        app: ASGIApp,
        lifecycle: Lifecycle,
        log: AccessLog | None,
        *,
        private: Collection[str] = (),
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._private = private
        self._origins = origins
        self._lifecycle = lifecycle
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight or call the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        cors = _cors_of_private(scope, self._origins) if scope["path"] in self._private else CORS

        async def send_wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                if asks_engine(scope):
                    self._lifecycle.count(message["status"])
                headers = [*message["headers"], *cors]
                if self._lifecycle.closing:  # checked when the answer starts, not when the request came
                    headers = [header for header in headers if header[0] != b"connection"]
                    headers.append(CLOSE)
                message["headers"] = headers
                if self._log is not None:
                    self._log.write(scope, message["status"], dna_of_answer(headers), time.monotonic() - started)
            await send(message)

        app = _preflight(scope) if scope["method"] == "OPTIONS" else self._app
        await app(scope, receive, send_wrapped)


def _cors_of_private(scope: Scope, origins: Collection[str]) -> list[tuple[bytes, bytes]]:
    """CORS headers of a route that only pages of allowed origins may read."""
    vary = (b"vary", b"Origin")
    if ANYBODY in origins:
        return CORS
    origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
    if origin is None or not may_read(scope["headers"], origins):
        return [vary]
    return [(b"access-control-allow-origin", origin), _EXPOSE, vary]


def _preflight(scope: Scope) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
        "Vary": "Access-Control-Request-Headers",
    }
    if requested := Headers(scope=scope).get("access-control-request-headers"):
        allowed["Access-Control-Allow-Headers"] = requested
    return Response(status_code=204, headers=allowed)


def dna_of_answer(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Returns the X-OneSeek-DNA of an answer's headers."""
    return next((value.decode() for name, value in headers if name == _DNA), None)
