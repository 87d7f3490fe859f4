"""The OpenAI routes as ASGI apps: a request's bytes go to the engine, the answer's bytes to the client as they arrive.

A client that disconnects ends the generation. A header of the answer names the version. Errors are OpenAI error objects.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_runtime.sidecar.api.openai.names import DEFAULT, ModelNames, rewrite_model
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.engine.http_exchange import EngineConnections, Exchange
from oneseek_runtime.sidecar.errors import (
    BadRequestError,
    BodyTooLargeError,
    ClientGoneError,
    EngineUnavailableError,
    NoSuchModelError,
    TooManyBodiesError,
)
from oneseek_runtime.sidecar.http.request_body import Body, BodyReader
from oneseek_runtime.sidecar.http.responses import DNA_HEADER, error_object, json_response

__all__ = ["Relay", "model_names", "refuse"]

_DNA = DNA_HEADER.lower().encode()
_JSON = (b"content-type", b"application/json")
# Hop-by-hop headers, and those that the server and the middleware set themselves.
_OURS = frozenset(
    b"connection keep-alive proxy-authenticate te trailer transfer-encoding upgrade date server"
    b" access-control-allow-origin access-control-expose-headers".split()
)
_STATUS: dict[type[BadRequestError], int] = {BodyTooLargeError: 413, TooManyBodiesError: 503}


def model_names(deps: Deps, target: str) -> ModelNames:
    """The names for `target`, the base model, and the previous version while it is kept."""
    serving = deps.settings.serving
    return _names(target, serving.model, serving.base_name, deps.swapper.kept if deps.swapper is not None else None)


@lru_cache(maxsize=8)
def _names(target: str, model: str, base: str, kept: str | None) -> ModelNames:
    return ModelNames(target, (DEFAULT, model), frozenset({base, *([kept] if kept else [])}))


def refuse(message: str, status: int, *, code: str | None = None, close: bool = False) -> ASGIApp:
    """An answer with an OpenAI error object."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = {"Connection": "close"} if close else {}
    if status == 503:
        headers["Retry-After"] = "1"
    return json_response(error_object(message, kind=kind, code=code), status=status, headers=headers)


@dataclass(frozen=True, slots=True)
class Relay:
    """Passes requests to one path of the engine."""

    deps: Deps
    connections: EngineConnections
    bodies: BodyReader
    path: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        try:
            data = await self.bodies.read(scope, receive)
        except BadRequestError as error:
            # The rest of the body is not read, so the connection cannot be reused.
            status = _STATUS.get(type(error), 400)
            await refuse(str(error), status, close=True)(scope, receive, send)
            return
        except ClientGoneError:
            return
        try:
            with self.deps.lease() as target:
                await self._pass(data, model_names(self.deps, target), scope, receive, send)
        finally:
            self.bodies.release(data)

    async def _pass(self, data: Body, names: ModelNames, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body, model = rewrite_model(data, names)
        except NoSuchModelError as error:
            await refuse(str(error), 404, code="model_not_found")(scope, receive, send)
            return
        except BadRequestError as error:
            await refuse(str(error), _STATUS.get(type(error), 400))(scope, receive, send)
            return
        head = self.connections.head(b"POST", self.path, (_JSON, (b"content-length", b"%d" % len(body))))
        dna = self.deps.dna_of(model)
        work = asyncio.current_task()
        assert work is not None  # noqa: S101 - we are in one
        disconnect = _Disconnect()
        watch = asyncio.get_running_loop().create_task(_watch_disconnect(receive, disconnect, work))
        exchange: Exchange | None = None
        try:
            exchange = await self.connections.ask((head, body))
            await _answer(exchange, dna, send)
        except EngineUnavailableError as error:
            if exchange is None:
                await refuse(str(error), 503, code="engine_unavailable")(scope, receive, send)
            # Else the answer has begun: returning without its end makes the server close the connection.
        except asyncio.CancelledError:
            if not disconnect.client or work.uncancel():
                raise
        finally:
            watch.cancel()
            if exchange is not None:
                self.connections.release(exchange)


class _Disconnect:
    """Whether the client has disconnected."""

    __slots__ = ("client",)

    def __init__(self) -> None:
        self.client = False


async def _watch_disconnect(receive: Receive, disconnect: _Disconnect, work: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    disconnect.client = True
    work.cancel()


async def _answer(exchange: Exchange, dna: str | None, send: Send) -> None:
    headers = [header for header in exchange.headers if header[0] not in _OURS]
    if dna is not None and exchange.status < 400:
        headers.append((_DNA, dna.encode()))
    await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
    while True:
        piece = await exchange.read()
        if exchange.complete and not exchange.waiting:
            await send({"type": "http.response.body", "body": piece})
            return
        await send({"type": "http.response.body", "body": piece, "more_body": True})
