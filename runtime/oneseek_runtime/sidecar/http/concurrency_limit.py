"""How much of an engine one client may have: so many questions at once, then they wait their turn, then they are refused.

An engine answers in the order of asking, so whoever asks the most would have it alone. In memory and per pod, like the
contract's limits; who a client is, `clients` says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_runtime.sidecar.http.client_address import Networks, client_key
from oneseek_runtime.sidecar.http.rate_limit import ROUTERS
from oneseek_runtime.sidecar.http.responses import error_object, json_response

__all__ = ["WAITING", "Turns", "asks_engine"]

WAITING = 512  # of one client
_REMEMBERED = 1024  # clients that ask nothing just now
_OPENAI = "/v1/"
_ASKING = frozenset(
    {"/api/oqt/query", "/api/oqt/multi-model-query", "/api/inference/infer", "/infer", "/inference/oneseek"}
)


def asks_engine(scope: Scope) -> bool:
    """Whether a request is one that the engine answers."""
    path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
    return path.startswith(_OPENAI) or path in _ASKING


@dataclass(slots=True)
class _Client:
    busy: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Turns:
    """ASGI middleware around what asks the engine."""

    def __init__(self, app: ASGIApp, at_once: int, trusted: Networks = ()) -> None:
        self._app = app
        self._at_once = at_once
        self._trusted = trusted
        self._clients: dict[str, _Client] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn, or refuse it."""
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
            await _turn(client)
        else:
            await json_response(_refusal(path), status=429, headers={"Retry-After": "1"})(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if client.waiting:
                _give_on(client)
            else:
                client.busy -= 1

    def _new(self) -> _Client:
        """Clients that ask nothing are forgotten, all at once and seldom."""
        if len(self._clients) >= _REMEMBERED:
            self._clients = {key: client for key, client in self._clients.items() if client.busy}
        return _Client()


async def _turn(client: _Client) -> None:
    """Wait until another of the client's questions is done, which gives its turn on."""
    turn = asyncio.get_running_loop().create_future()
    client.waiting.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if turn.done() and not turn.cancelled():  # it was ours already
            _give_on(client)
        raise


def _give_on(client: _Client) -> None:
    """A question is done: the next that still waits has its turn."""
    while client.waiting:
        turn = client.waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            return
    client.busy -= 1


def _refusal(path: str) -> dict[str, object]:
    """In the words that clients of the route know."""
    if path.startswith(_OPENAI):
        sentence = f"{WAITING} questions from your address wait for an answer already; ask again once some have theirs"
        return error_object(sentence, kind="rate_limit_error", code="rate_limit_exceeded")
    return dict(next(router.refusal for router in ROUTERS if router.covers(path)))
