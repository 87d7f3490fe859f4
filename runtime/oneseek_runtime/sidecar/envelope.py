"""What every public answer carries, whatever made it: CORS, `Connection: close` while closing, a line of access log.

Outermost, so that defects (500) and refusals (429) get it too. Pure ASGI: nothing is buffered.
"""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneseek_runtime.log import say
from oneseek_runtime.sidecar.lifecycle import Lifecycle

__all__ = ["DNA_HEADER", "Envelope"]

DNA_HEADER = "X-OneSeek-DNA"


class Envelope:
    """ASGI middleware around the whole public app; answers preflights itself."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, *, access_log: bool) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def send_wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Expose-Headers"] = f"{DNA_HEADER}, Retry-After"
                if self._lifecycle.closing:  # asked when the answer starts, not when the request came
                    headers["Connection"] = "close"
                if self._access_log:
                    _log(scope, message["status"], headers, started)
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


def _log(scope: Scope, status: int, headers: MutableHeaders, started: float) -> None:
    """Method, path, status, milliseconds, DNA. No question, no address: the log is no place for what people ask."""
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    say(
        "access",
        method=scope["method"],
        path=scope["path"],
        status=status,
        milliseconds=milliseconds,
        dna=headers.get(DNA_HEADER),
    )
