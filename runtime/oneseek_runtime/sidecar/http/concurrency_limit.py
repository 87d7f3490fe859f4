"""Limits the requests of one client that the engine works on at the same time; more wait, then get 429.

An engine answers in the order of arrival, so one client could occupy it alone. In memory and per pod.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_runtime.sidecar.http.client_address import Networks, client_key
from oneseek_runtime.sidecar.http.rate_limit import ROUTERS
from oneseek_runtime.sidecar.http.responses import error_object, json_response

__all__ = ["WAITING", "ConcurrencyLimit", "asks_engine"]

WAITING = 512  # waiting requests of one client
_REMEMBERED = 1024  # clients; above that idle ones are dropped
_OPENAI = "/v1/"
_ENGINE_PATHS = frozenset(
    {"/api/oqt/query", "/api/oqt/multi-model-query", "/api/inference/infer", "/infer", "/inference/oneseek"}
)


def asks_engine(scope: Scope) -> bool:
    """Whether the engine answers the request."""
    path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
    return path.startswith(_OPENAI) or path in _ENGINE_PATHS


@dataclass(slots=True)
class _Client:
    busy: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class ConcurrencyLimit:
    """ASGI middleware around the routes that ask the engine."""

    def __init__(self, app: ASGIApp, at_once: int, trusted: Networks = ()) -> None:
        self._app = app
        self._at_once = at_once
        self._trusted = trusted
        self._clients: dict[str, _Client] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app when a slot is free, or refuse the request."""
        if not asks_engine(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        peer = scope["client"][0] if scope.get("client") else ""
        key = client_key(peer, scope["headers"], self._trusted)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self._new()
        if client.busy < self._at_once:
            client.busy += 1
        elif len(client.waiting) < WAITING:
            await _wait_for_slot(client)
        else:
            await json_response(_refusal(path), status=429, headers={"Retry-After": "1"})(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if client.waiting:
                _release(client)
            else:
                client.busy -= 1

    def _new(self) -> _Client:
        """Adds a client; idle clients are dropped when there are too many."""
        if len(self._clients) >= _REMEMBERED:
            self._clients = {key: client for key, client in self._clients.items() if client.busy}
        return _Client()


async def _wait_for_slot(client: _Client) -> None:
    """Wait until another request of the client hands its slot over."""
    turn = asyncio.get_running_loop().create_future()
    client.waiting.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if turn.done() and not turn.cancelled():  # the slot was already handed over
            _release(client)
        raise


def _release(client: _Client) -> None:
    """Hand a slot to the next waiting request, if any."""
    while client.waiting:
        turn = client.waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            return
    client.busy -= 1


def _refusal(path: str) -> dict[str, object]:
    """The 429 body of the path's API."""
    if path.startswith(_OPENAI):
        sentence = f"{WAITING} questions from your address wait for an answer already; ask again once some have theirs"
        return error_object(sentence, kind="rate_limit_error", code="rate_limit_exceeded")
    return dict(next(router.refusal for router in ROUTERS if router.covers(path)))
