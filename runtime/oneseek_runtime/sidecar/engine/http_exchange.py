"""[I/O] One exchange with the engine on a kept-alive connection, as bytes.

Why no HTTP library: what a client library does around a request costs more than all that the sidecar itself does. On
one core aiohttp's client came to 4,200 exchanges per CPU second behind the same server, this to 10,000 (httpx: 250).
The protocol itself is llhttp's business (httptools, the parser that also reads our clients' requests).
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

__all__ = ["OTHER_POD", "OWN_ENGINE", "EngineConnections", "Exchange", "Patience"]

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0  # between tries to connect
# An answer may take as long as it takes: queues are long, machines busy. What ends the waiting is the end of the other
# process, which resets the connection, or of its machine, which the kernel finds by asking it once in a while.
_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
_IDLE_SECONDS = 4.0  # below uvicorn's and vLLM's default of 5: the other side must not close just as we ask
_HIGH_WATER = 256 * 1024  # bytes that wait for a slow client before the engine is made to wait too

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a connection is tried.

    `silent`: while nothing answers; None is as long as it takes. `refused`: while the other side says that nobody
    listens there, as an engine that is just starting again.
    """

    silent: float | None
    refused: float


OWN_ENGINE = Patience(silent=None, refused=ENGINE_RESTART_SECONDS)  # over loopback only a busy machine is silent
OTHER_POD = Patience(silent=5.0, refused=0.0)


class Exchange(asyncio.Protocol):
    """A connection, and the one answer that is under way on it."""

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
        self.go_on = asyncio.Event()
        """Set once the other side wants the body (status 100), where it was asked whether it does."""
        self.status = 0
        self.headers: list[Header] = []
        self.started = False
        """The head of the answer is there."""
        self.complete = False
        """The whole answer is there."""
        self.lost: str | None = None
        """Why the connection is gone, once it is."""

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow on this connection."""
        return self.complete and self.lost is None and self._keep_alive and not self._paused

    @property
    def waiting(self) -> bool:
        """Whether a piece of the body is there that was not read yet."""
        return bool(self._body)

    async def ask(self, parts: Iterable[bytes | bytearray]) -> None:
        """Send a request and wait for the head of the answer.

        Raises:
            EngineUnavailableError: the connection ended before.
        """
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers, self.started, self.complete = 0, [], False, False
        self._body, self._waiting_bytes = [], 0
        if self._transport is None or self.lost is not None:
            raise EngineUnavailableError(f"the engine cannot be reached: {self.lost}")
        self._transport.writelines(list(parts))
        while not self.started:
            if self.lost is not None:
                raise EngineUnavailableError(f"the engine broke off: {self.lost}")
            await self._news()

    async def send(self, data: bytes) -> None:
        """Another piece of the request's body; waits while the other side takes none."""
        if self._transport is not None and self.lost is None:
            self._transport.write(data)
            await self._writable.wait()

    async def read(self) -> bytes:
        """The next piece of the body as it came, or nothing at its end.

        Raises:
            EngineUnavailableError: the connection ended before the answer did.
        """
        while not self._body:
            if self.complete:
                return b""
            if self.lost is not None:
                raise EngineUnavailableError(f"the engine broke off: {self.lost}")
            await self._news()
        pieces, self._body, self._waiting_bytes = self._body, [], 0
        if self._paused and self._transport is not None and self.lost is None:
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Nothing more is wanted of this exchange."""
        self.idle_since = self._loop.time()

    def abort(self, why: str = "given up") -> None:
        """End the connection now; the engine stops generating."""
        self.finish()
        if self.lost is None:
            self.lost = why
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What asyncio and the parser call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = transport  # type: ignore[assignment]  # asyncio's own type is the base of all transports
        for option in _ALIVE:
            transport.get_extra_info("socket").setsockopt(*option)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; without a question they are none."""
        if self._parser is None or self.complete:
            self.abort("it spoke without being asked")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort("its answer is no HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnected. An answer without a length ends so too."""
        if self.lost is None:
            self.lost = failure(exc) if exc else "it closed the connection"
        self._writable.set()
        unbounded = self.started and not self.complete
        if unbounded and not any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            self.complete = True
        self._wake()

    def pause_writing(self) -> None:
        """More is written than was sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It was sent."""
        self._writable.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole; 1xx heads only announce another."""
        assert self._parser is not None  # noqa: S101 - it is what calls us
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self.started, self._keep_alive = True, bool(self._parser.should_keep_alive())
            self._wake()
        else:
            self.headers = []
            self.go_on.set()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """The body is whole."""
        if self.started:
            self.complete = True
            self._wake()


class EngineConnections:
    """Connections to the engine at `url`, kept alive between exchanges. `way`: to one behind another pod's port."""

    def __init__(self, url: str, patience: Patience = OWN_ENGINE, way: Way | None = None) -> None:
        self.patience = patience
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
        """The head of a request."""
        lines = [b"%s %s%s HTTP/1.1\r\n%s" % (method, self._prefix, path, self._fixed)]
        lines += [b"%s: %s\r\n" % header for header in headers]
        lines.append(b"\r\n")
        return b"".join(lines)

    async def fetch(self, parts: Sequence[bytes | bytearray], *, refused: float | None = None) -> tuple[int, bytes]:
        """Send a request; its answer's status and whole body. Raises and takes what `ask` does."""
        exchange = await self.ask(parts, refused=refused)
        try:
            body = bytearray()
            while piece := await exchange.read():
                body += piece
            return exchange.status, bytes(body)
        finally:
            self.release(exchange)

    async def ask(self, parts: Sequence[bytes | bytearray], *, refused: float | None = None) -> Exchange:
        """Send a request; returns with the head of the answer. Cancelling closes the connection.

        `refused`: how many seconds of refused connections to sit out, where not as many as ever.

        Raises:
            EngineUnavailableError: the engine cannot be reached, or broke off before the head of its answer.
        """
        if (exchange := self._reused()) is not None:
            try:
                return await self._asked(exchange, parts)
            except EngineUnavailableError:
                pass  # most likely closed just as we asked; nothing of an answer had come, so it is asked once more
        return await self._asked(await self._connect(self.patience.refused if refused is None else refused), parts)

    def release(self, exchange: Exchange) -> None:
        """Give a connection back, or end it where its answer is not over."""
        exchange.finish()
        if exchange.reusable:
            self._idle.append(exchange)
        else:
            exchange.abort()

    def close(self) -> None:
        """End all that is idle."""
        while self._idle:
            self._idle.pop().abort()

    async def _asked(self, exchange: Exchange, parts: Sequence[bytes | bytearray]) -> Exchange:
        try:
            await exchange.ask(parts)
        except BaseException:
            exchange.abort()
            raise
        return exchange

    def _reused(self) -> Exchange | None:
        """The connection that rested shortest; one that rested too long is ended."""
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
                async with asyncio.timeout(self.patience.silent):
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
                if self.patience.silent is not None:
                    sentence = f"the engine accepted no connection within {self.patience.silent:g} s"
                    raise EngineSlowError(sentence) from error
                # The kernel's own limit: so many wait for the engine to accept them that it answers no more.
            except OSError as error:
                raise EngineUnavailableError(f"the engine cannot be reached: {failure(error)}") from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)
