"""How much of an engine one client may have: so many questions at once, then they wait their turn, then they are refused.

An engine answers in the order of asking, so whoever asks the most would have it alone. In memory and per pod, like the
contract's limits; who a client is, `clients` says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_runtime.sidecar.clients import Networks, client_key
from oneseek_runtime.sidecar.limits import ROUTERS
from oneseek_runtime.sidecar.passthrough.openai import error_object
from oneseek_runtime.sidecar.responses import json_response

__all__ = ["WAITING", "Turns"]

WAITING = 512  # of one client
_OPENAI = "/v1/"
_ASKING = frozenset(
    {"/api/oqt/query", "/api/oqt/multi-model-query", "/api/inference/infer", "/infer", "/inference/oneseek"}
)


@dataclass(slots=True)
class _Client:
    free: asyncio.Semaphore
    here: int = 0


class Turns:
    """ASGI middleware around what asks the engine."""

    def __init__(self, app: ASGIApp, at_once: int, trusted: Networks = ()) -> None:
        self._app = app
        self._at_once = at_once
        self._trusted = trusted
        self._clients: dict[str, _Client] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn, or refuse it."""
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
        if not path.startswith(_OPENAI) and path not in _ASKING:
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else ""
        key = client_key(peer, scope["headers"], self._trusted)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _Client(asyncio.Semaphore(self._at_once))
        if client.here >= self._at_once + WAITING:
            await json_response(_refusal(path), status=429, headers={"Retry-After": "1"})(scope, receive, send)
            return
        client.here += 1
        try:
            async with client.free:
                await self._app(scope, receive, send)
        finally:
            client.here -= 1
            if not client.here:
                del self._clients[key]


def _refusal(path: str) -> dict[str, object]:
    """In the words that clients of the route know."""
    if path.startswith(_OPENAI):
        sentence = f"{WAITING} questions from your address wait for an answer already; ask again once some have theirs"
        return error_object(sentence, kind="rate_limit_error", code="rate_limit_exceeded")
    return dict(next(router.refusal for router in ROUTERS if router.covers(path)))
