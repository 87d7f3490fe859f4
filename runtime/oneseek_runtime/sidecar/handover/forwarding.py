"""[I/O] Forwards new requests to the pods that took over, and accepts forwarded requests on the internal port.

A forwarded request goes to the other pod's internal port below `PEER_PREFIX` and is answered behind this layer: it is never
forwarded again, and is limited, recorded and counted there by its client's address. Each uses a connection of its own: until
that is open nothing can have been processed, and the next pod may be tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneseek_core import names
from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.engine.http_exchange import Exchange
from oneseek_runtime.sidecar.errors import EngineUnavailableError, NoSuccessorError
from oneseek_runtime.sidecar.handover.orders import Orders, Peer
from oneseek_runtime.sidecar.http.access_log import AccessLog
from oneseek_runtime.sidecar.http.middleware import CLOSE, CORS, dna_of_answer
from oneseek_runtime.sidecar.http.paths import PEER_PREFIX
from oneseek_runtime.sidecar.http.responses import error_object, json_response

__all__ = ["PEER_TOKEN", "ForwardingMiddleware", "PeerEntryPoint"]

_PREFIX = PEER_PREFIX.encode()
PEER_TOKEN = b"oneseek-authorization"  # the forwarding pod's token; Authorization is the client's
_CLIENT = b"oneseek-client"  # accepted only together with the token
_OURS = (_CLIENT, PEER_TOKEN)
_CONNECT_SECONDS = 2.0
_RETRY_SECONDS = 0.25  # between two rounds over unreachable pods
_AVOIDED_SECONDS = 5.0  # so long an unreachable pod is tried last
_WAITING_SECONDS = 60.0
_WAITING = 512  # requests
_ATTEMPTS = 3
_REPEATABLE = ("GET", "HEAD", "OPTIONS")
# Hop-by-hop headers, and those that each server sets itself.
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade"
    b" expect".split()
)


class ForwardingMiddleware:
    """Outermost ASGI middleware; without an order it passes requests through."""

    def __init__(
        self, app: ASGIApp, orders: Orders, clock: Callable[[], float], log: AccessLog | None, way: Way
    ) -> None:
        self._app = app
        self._way = way
        self._orders = orders
        self._clock = clock
        self._log = log
        self._avoided: dict[Peer, float] = {}
        self._first = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request here, or forward it."""
        if self._orders.order is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        work = asyncio.current_task()
        assert work is not None  # noqa: S101 - we are in one
        client = _Client(receive, work)
        watching = asyncio.get_running_loop().create_task(client.watch())
        try:
            passed_on = await self._forward(scope, client, _Answer(scope, send, self._clock, self._log))
        except asyncio.CancelledError:
            if not client.gone or work.uncancel():
                raise
            return
        finally:
            watching.cancel()
        if not passed_on:
            await asyncio.gather(watching, return_exceptions=True)
            await self._app(scope, client.receive, send)

    async def _forward(self, scope: Scope, client: _Client, answer: _Answer) -> bool:
        """Forward a request; False if the order ended while it waited: it is then answered here."""
        head, frame = _head(scope)
        for _ in range(_ATTEMPTS):
            try:
                connected = await self._connected(answer.began)
            except NoSuccessorError as error:
                await answer.refuse(503, str(error))
                return True
            if connected is None:
                return False
            peer, exchange = connected
            try:
                await _exchange(head + _proof(self._way_to(peer)), frame, client, exchange, answer)
            except EngineUnavailableError:
                if answer.started:
                    return True  # incomplete: the server closes the connection
                self._avoid(peer)
                if frame or scope["method"] not in _REPEATABLE:
                    break
            else:
                return True
        await answer.refuse(
            502, "the pod that took over broke off before its answer; whether it did its work is unknown"
        )
        return True

    async def _connected(self, began: float) -> tuple[Peer, Exchange] | None:
        """A connection to a pod that took over, waiting for one if needed; None once the order has ended."""
        counted = False
        try:
            while (order := self._orders.order) is not None:
                found = await self._first_of(self._in_turn())
                if self._orders.order is not order:
                    if found:
                        found[1].abort()
                    continue
                if found:
                    return found
                version = order.dna or "the base model"
                left = began + _WAITING_SECONDS - self._clock()
                if left <= 0:
                    raise NoSuccessorError(
                        f"{version} took over, and no pod of it could be reached within {_WAITING_SECONDS:.0f} s"
                    )
                if not counted and self._orders.waiting >= _WAITING:
                    raise NoSuccessorError(f"{version} takes over, and {_WAITING} requests wait for it already")
                self._orders.waiting += not counted
                counted = True
                await self._orders.changed.wait(min(left, _RETRY_SECONDS) if order.addresses else left)
        finally:
            self._orders.waiting -= counted
        return None

    def _in_turn(self) -> Sequence[Peer]:
        """The pods in round-robin order; those that could not be reached come last."""
        peers, now = self._orders.peers, self._clock()
        self._first += 1
        start = self._first % len(peers) if peers else 0
        return sorted(peers[start:] + peers[:start], key=lambda peer: self._avoided.get(peer, 0.0) > now)

    async def _first_of(self, peers: Sequence[Peer]) -> tuple[Peer, Exchange] | None:
        loop = asyncio.get_running_loop()
        for peer in peers:
            way = self._way_to(peer)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    _, exchange = await loop.create_connection(
                        lambda: Exchange(loop), peer.host, peer.port, ssl=way.trust, server_hostname=way.name
                    )
            except (OSError, TimeoutError):  # a wrong certificate is an OSError too
                self._avoid(peer)
            else:
                return peer, exchange
        return None

    def _way_to(self, peer: Peer) -> Way:
        """A pod with another TLS setting than this one is reached at its public port, without TLS and so without a token."""
        return Way() if peer.port == names.PORT_PUBLIC else self._way

    def _avoid(self, peer: Peer) -> None:
        self._avoided = {one: self._avoided[one] for one in self._orders.peers if one in self._avoided}
        self._avoided[peer] = self._clock() + _AVOIDED_SECONDS


class PeerEntryPoint:
    """ASGI middleware of the internal port: `public` answers forwarded requests, whatever order is in force."""

    def __init__(self, public: ASGIApp, rest: ASGIApp, taken: Callable[[int], None]) -> None:
        self._public = public
        self._rest = rest
        self._taken = taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as if the client had connected to the public port."""
        if scope["type"] != "http" or not scope.get("raw_path", b"").startswith(_PREFIX):
            await self._rest(scope, receive, send)
            return
        headers = [header for header in scope["headers"] if header[0] not in _OURS]
        client = next((value.decode("latin-1") for name, value in scope["headers"] if name == _CLIENT), "")
        theirs = {
            **scope,
            "path": scope["path"].removeprefix(PEER_PREFIX),
            "raw_path": scope["raw_path"][len(_PREFIX) :],
            "headers": headers,
            "client": (client, 0) if client else None,
        }
        self._taken(1)
        try:
            await self._public(theirs, receive, send)
        finally:
            self._taken(-1)


Frame = Callable[[bytes, bool], bytes]


def _head(scope: Scope) -> tuple[bytes, Frame | None]:
    """The head of the forwarded request without its end, and how body pieces are framed; None without a body."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [b"%s %s%s%s HTTP/1.1\r\n" % (scope["method"].encode(), _PREFIX, scope["raw_path"], query)]
    frame: Frame | None = None
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            frame = _chunk
            lines.append(b"transfer-encoding: chunked\r\n")
        elif name not in _HOP and name not in _OURS:
            lines.append(b"%s: %s\r\n" % (name, value))
        if name == b"content-length" and int(value):
            frame = _as_it_is
    client = scope["client"][0] if scope.get("client") else ""
    lines.append(b"%s: %s\r\nconnection: close\r\n" % (_CLIENT, client.encode()))
    return b"".join(lines), frame


def _proof(way: Way) -> bytes:
    """The header line that proves to the other pod that a pod of its model forwards the request."""
    return b"%s: Bearer %s\r\n" % (PEER_TOKEN, way.token.encode()) if way.token else b""


def _as_it_is(piece: bytes, _more: bool) -> bytes:
    return piece


def _chunk(piece: bytes, more: bool) -> bytes:
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
    return chunk if more else chunk + b"0\r\n\r\n"


async def _exchange(head: bytes, frame: Frame | None, client: _Client, exchange: Exchange, answer: _Answer) -> None:
    """Send the request and relay the answer; closes the connection."""
    sending: asyncio.Task[None] | None = None
    parts = [head, b"\r\n"]
    try:
        if frame:
            first = frame(await client.next(), client.more)
            if client.more:  # the body may be refused before it is sent: too large, too many
                sending = asyncio.create_task(_send_body(first, client, exchange, frame))
                parts = [head, b"expect: 100-continue\r\n\r\n"]
            else:
                parts.append(first)
        await exchange.ask(parts)
        await answer.relay(exchange)
    finally:
        if sending is not None:
            sending.cancel()
        exchange.abort()


async def _send_body(first: bytes, client: _Client, exchange: Exchange, frame: Frame) -> None:
    await exchange.continue_received.wait()
    await exchange.send(first)
    while client.more and not exchange.started:
        piece = await client.next()
        await exchange.send(frame(piece, client.more))


class _Client:
    """Reads a client's request one piece ahead, so that a disconnect is noticed at any time."""

    def __init__(self, receive: Receive, work: asyncio.Task[Any]) -> None:
        self._receive = receive
        self._work = work
        self._piece: Message | None = None
        self._there, self._taken = asyncio.Event(), asyncio.Event()
        self.gone = False
        self.more = True  # whether another piece follows

    async def watch(self) -> None:
        """Read ahead; a disconnect cancels the work."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                self._work.cancel()
                return
            self._piece = message
            self._there.set()
            if message.get("more_body", False):
                await self._taken.wait()
                self._taken.clear()

    async def next(self) -> bytes:
        """The next piece of the body."""
        await self._there.wait()
        self._there.clear()
        assert self._piece is not None  # noqa: S101 - `watch` put it there
        message, self._piece = self._piece, None
        self._taken.set()
        self.more = message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data

    async def receive(self) -> Message:
        """ASGI receive for an app that answers after all; `watch` must have ended."""
        if self._piece is not None:
            message, self._piece = self._piece, None
            return message
        return await self._receive()


class _Answer:
    """The answer to the client."""

    def __init__(self, scope: Scope, send: Send, clock: Callable[[], float], log: AccessLog | None) -> None:
        self._scope = scope
        self._send = send
        self._clock = clock
        self._log = log
        self.began = clock()
        self.started = False

    async def relay(self, exchange: Exchange) -> None:
        """Relay the other pod's answer as it arrives. Raises EngineUnavailableError."""
        headers = [header for header in exchange.headers if header[0] not in _HOP and header[0] != b"date"]
        await self._start({"type": "http.response.start", "status": exchange.status, "headers": headers})
        if self._scope["method"] == "HEAD":  # Content-Length without a body
            await self._send({"type": "http.response.body"})
            return
        while True:
            piece = await exchange.read()
            ended = exchange.complete and not exchange.waiting
            await self._send({"type": "http.response.body", "body": piece, "more_body": not ended})
            if ended:
                return

    async def refuse(self, status: int, message: str) -> None:
        """Send an error of this pod's own."""
        if self._scope["path"].startswith("/v1/"):
            body = error_object(message, kind="server_error", code="handover")
        else:
            body = {"error": "Service Unavailable" if status == 503 else "Bad Gateway", "message": message}
        headers = {"Retry-After": "1"} if status == 503 else {}
        response = json_response(body, status=status, headers=headers)
        response.raw_headers.extend(CORS)
        await self._start({"type": "http.response.start", "status": status, "headers": response.raw_headers})
        await self._send({"type": "http.response.body", "body": response.body})

    async def _start(self, message: Message) -> None:
        message["headers"] = [*message["headers"], CLOSE]
        self.started = True
        if self._log is not None:
            dna, seconds = dna_of_answer(message["headers"]), self._clock() - self.began
            self._log.write(self._scope, message["status"], dna, seconds, passed_on=True)
        await self._send(message)
