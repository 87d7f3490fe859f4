"""What every public answer carries, whatever made it: CORS, `Connection: close` while closing, a line of access log.

Outermost, so that defects (500) and refusals (429) get it too. Pure ASGI: nothing is buffered.
"""

from __future__ import annotations

import time

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneseek_runtime.sidecar.accesslog import AccessLog
from oneseek_runtime.sidecar.lifecycle import Lifecycle

__all__ = ["DNA_HEADER", "Envelope"]

DNA_HEADER = "X-OneSeek-DNA"
_DNA = DNA_HEADER.lower().encode()
_EXPOSED = ", ".join(
    (DNA_HEADER, "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")
)
_CORS = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED.encode())]
_CLOSE = (b"connection", b"close")


class Envelope:
    """ASGI middleware around the whole public app; answers preflights itself."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, log: AccessLog | None) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def send_wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._lifecycle.count(message["status"])
                headers = [*message["headers"], *_CORS]
                if self._lifecycle.closing:  # asked when the answer starts, not when the request came
                    headers = [header for header in headers if header[0] != b"connection"]
                    headers.append(_CLOSE)
                message["headers"] = headers
                if self._log is not None:
                    self._log.write(scope, message["status"], _dna(headers), time.monotonic() - started)
            await send(message)

        app = _preflight(scope) if scope["method"] == "OPTIONS" else self._app
        await app(scope, receive, send_wrapped)


def _preflight(scope: Scope) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
        "Vary": "Access-Control-Request-Headers",
    }
    if requested := Headers(scope=scope).get("access-control-request-headers"):
        allowed["Access-Control-Allow-Headers"] = requested
    return Response(status_code=204, headers=allowed)


def _dna(headers: list[tuple[bytes, bytes]]) -> str | None:
    return next((value.decode() for name, value in headers if name == _DNA), None)
