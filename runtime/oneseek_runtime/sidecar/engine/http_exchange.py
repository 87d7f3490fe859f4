"""[I/O] HTTP requests to the engine over kept-alive connections, as bytes.

No HTTP library: on one core aiohttp's client reached 4,200 exchanges per CPU second, this one 10,000 (httpx: 250). Parsing is done
by llhttp (httptools), which also parses our clients' requests.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

from oneseek_core.network import failure
from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.errors import EngineSlowError, EngineUnavailableError
from oneseek_runtime.sidecar.settings import ENGINE_RESTART_SECONDS

__all__ = ["OTHER_POD", "OWN_ENGINE", "ConnectTimeouts", "EngineConnections", "Exchange"]

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0  # between tries to connect
# Answers have no time limit, because queues may be long. Waiting ends when the other process ends, which resets the
# connection, or its machine, which TCP keep-alive detects.
_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
_IDLE_SECONDS = 4.0  # below the 5 s of uvicorn and vLLM: the server must not close a connection as a request is sent
_HIGH_WATER = 256 * 1024  # bytes buffered for a slow client before reading from the engine pauses

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ConnectTimeouts:
    """Seconds for which connecting is tried: `silent` without any answer (None: no limit), `refused` while connections are refused."""

    silent: float | None
    refused: float


# On loopback only an overloaded machine does not answer.
OWN_ENGINE = ConnectTimeouts(silent=None, refused=ENGINE_RESTART_SECONDS)
OTHER_POD = ConnectTimeouts(silent=5.0, refused=0.0)


class Exchange(asyncio.Protocol):
    """A connection and the one request in progress on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._body: list[bytes] = []
        self._waiting_bytes = 0
        self._paused = False
        self._keep_alive = False
        self.idle_since = 0.0
        self.continue_received = asyncio.Event()  # set by status 100 after `Expect: 100-continue`
        self.status = 0
        self.headers: list[Header] = []
        self.started = False  # the head of the answer has arrived
        self.complete = False  # the whole answer has arrived
        self.lost: str | None = None  # why the connection was lost

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return self.complete and self.lost is None and self._keep_alive and not self._paused

    @property
    def waiting(self) -> bool:
        """Whether a piece of the body has not been read yet."""
        return bool(self._body)

    async def ask(self, parts: Iterable[bytes | bytearray]) -> None:
        """Send a request and wait for the head of the answer. Raises EngineUnavailableError."""
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers, self.started, self.complete = 0, [], False, False
        self._body, self._waiting_bytes = [], 0
        if self._transport is None or self.lost is not None:
            raise EngineUnavailableError(f"the engine cannot be reached: {self.lost}")
        self._transport.writelines(list(parts))
        while not self.started:
            if self.lost is not None:
                raise EngineUnavailableError(f"the engine broke off: {self.lost}")
            await self._wait_for_event()

    async def send(self, data: bytes) -> None:
        """Send another piece of the request's body; waits while the other side does not read."""
        if self._transport is not None and self.lost is None:
            self._transport.write(data)
            await self._writable.wait()

    async def read(self) -> bytes:
        """Returns the next piece of the body, empty at its end. Raises EngineUnavailableError."""
        while not self._body:
            if self.complete:
                return b""
            if self.lost is not None:
                raise EngineUnavailableError(f"the engine broke off: {self.lost}")
            await self._wait_for_event()
        pieces, self._body, self._waiting_bytes = self._body, [], 0
        if self._paused and self._transport is not None and self.lost is None:
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """The exchange is over."""
        self.idle_since = self._loop.time()

    def abort(self, why: str = "given up") -> None:
        """Close the connection; the engine stops generating."""
        self.finish()
        if self.lost is None:
            self.lost = why
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    async def _wait_for_event(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Callbacks of asyncio and the parser.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = transport  # type: ignore[assignment]  # asyncio's own type is the base of all transports
        for option in _ALIVE:
            transport.get_extra_info("socket").setsockopt(*option)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; without a request they are an error."""
        if self._parser is None or self.complete:
            self.abort("it spoke without being asked")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort("its answer is no HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnected; this also ends an answer without a length."""
        if self.lost is None:
            self.lost = failure(exc) if exc else "it closed the connection"
        self._writable.set()
        unbounded = self.started and not self.complete
        if unbounded and not any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            self.complete = True
        self._wake()

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The send buffer is free again."""
        self._writable.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete; a 1xx head precedes another."""
        assert self._parser is not None  # noqa: S101 - it is what calls us
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self.started, self._keep_alive = True, bool(self._parser.should_keep_alive())
            self._wake()
        else:
            self.headers = []
            self.continue_received.set()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """The body is complete."""
        if self.started:
            self.complete = True
            self._wake()


class EngineConnections:
    """Connections to the engine at `url`, kept alive between requests. `way`: TLS and token for another pod's port."""

    def __init__(self, url: str, timeouts: ConnectTimeouts = OWN_ENGINE, way: Way | None = None) -> None:
        self.timeouts = timeouts
        self._way = way or Way()
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._prefix = parts.path.rstrip("/").encode()
        self._fixed = b"host: %s\r\n" % parts.netloc.encode()
        if self._way.token:
            self._fixed += b"authorization: Bearer %s\r\n" % self._way.token.encode()
        self._idle: list[Exchange] = []

    def head(self, method: bytes, path: bytes, headers: Sequence[Header]) -> bytes:
        """The bytes of a request's head."""
        lines = [b"%s %s%s HTTP/1.1\r\n%s" % (method, self._prefix, path, self._fixed)]
        lines += [b"%s: %s\r\n" % header for header in headers]
        lines.append(b"\r\n")
        return b"".join(lines)

    async def fetch(self, parts: Sequence[bytes | bytearray], *, refused: float | None = None) -> tuple[int, bytes]:
        """Send a request; returns status and whole body. Parameters and errors as of `ask`."""
        exchange = await self.ask(parts, refused=refused)
        try:
            body = bytearray()
            while piece := await exchange.read():
                body += piece
            return exchange.status, bytes(body)
        finally:
            self.release(exchange)

    async def ask(self, parts: Sequence[bytes | bytearray], *, refused: float | None = None) -> Exchange:
        """Send a request; returns once the head of the answer is there. Cancelling closes the connection.

        `refused` replaces the timeout of the same name. Raises EngineUnavailableError.
        """
        if (exchange := self._reused()) is not None:
            try:
                return await self._send_request(exchange, parts)
            except EngineUnavailableError:
                pass  # most likely closed as the request was sent; without any answer it is sent once more
        return await self._send_request(
            await self._connect(self.timeouts.refused if refused is None else refused), parts
        )

    def release(self, exchange: Exchange) -> None:
        """Keep a connection for reuse, or close it if its answer is not complete."""
        exchange.finish()
        if exchange.reusable:
            self._idle.append(exchange)
        else:
            exchange.abort()

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().abort()

    async def _send_request(self, exchange: Exchange, parts: Sequence[bytes | bytearray]) -> Exchange:
        try:
            await exchange.ask(parts)
        except BaseException:
            exchange.abort()
            raise
        return exchange

    def _reused(self) -> Exchange | None:
        """The most recently used idle connection; expired ones are closed."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            exchange = self._idle.pop()
            if exchange.lost is None and now - exchange.idle_since < _IDLE_SECONDS:
                return exchange
            exchange.abort()
        return None

    async def _connect(self, refused: float) -> Exchange:
        loop = asyncio.get_running_loop()
        pause, started = _FIRST_PAUSE, loop.time()
        while True:
            try:
                async with asyncio.timeout(self.timeouts.silent):
                    _, exchange = await loop.create_connection(
                        lambda: Exchange(loop),
                        self._host,
                        self._port,
                        ssl=self._way.trust,
                        server_hostname=self._way.name,
                    )
                    return exchange
            except ConnectionRefusedError as error:
                if loop.time() - started >= refused:
                    for_long = f" for {refused:g} s" if refused else ""
                    raise EngineUnavailableError(
                        f"the engine cannot be reached: it refused connections{for_long}"
                    ) from error
            except TimeoutError as error:
                if self.timeouts.silent is not None:
                    sentence = f"the engine accepted no connection within {self.timeouts.silent:g} s"
                    raise EngineSlowError(sentence) from error
                # The kernel's timeout: the engine's backlog is full.
            except OSError as error:
                raise EngineUnavailableError(f"the engine cannot be reached: {failure(error)}") from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)
