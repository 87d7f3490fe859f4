"""Limits how long a client may take to send a request and how large its head may be; uvicorn has no such limits.

All connections are checked once a second: a timer per request costs more than reading a usual request. Connections that
are idle between requests are not limited; see `server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedProtocol", "Bounds", "end_overdue"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits in seconds and bytes."""

    first: float = 60.0  # from connecting to the first byte: browsers connect in advance
    head: float = 20.0  # from a request's first byte to the end of its headers
    piece: float = 20.0  # without a byte of an incomplete body
    body: float = 300.0  # for a whole body
    head_bytes: int = 64 * 1024


class _Expects(Enum):
    ANYTHING = 0  # connected, no byte received
    HEAD = 1
    BODY = 2
    NOTHING = 3  # idle, or answering


_CORS = b"access-control-allow-origin: *\r\n"
_REFUSALS = {
    400: (b"400 Bad Request", b"what was sent is no HTTP request"),
    408: (b"408 Request Timeout", b"the request did not arrive in time"),
    431: (b"431 Request Header Fields Too Large", b"the request's headers are larger than 64 KB"),
}


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which tracks the phase of each connection's request."""

    bounds = Bounds()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._expects = _Expects.ANYTHING
        self._since = self._heard = self.loop.time()
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Track the phase, then parse."""
        self._heard = self.loop.time()
        if self._expects is not _Expects.BODY:
            if self._expects is not _Expects.HEAD:
                self._expects, self._since, self._head_bytes = _Expects.HEAD, self._heard, 0
            self._head_bytes += len(data)
        super().data_received(data)
        # After parsing: the data may hold the end of the head and a large body.
        if self._expects is _Expects.HEAD and self._head_bytes > self.bounds.head_bytes:
            self.refuse(431)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._expects, self._since = _Expects.BODY, self._heard
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._expects = _Expects.NOTHING
        super().on_message_complete()

    def send_400_response(self, _msg: str) -> None:
        """Replaces uvicorn's own answer, which has no CORS header."""
        self.refuse(400)

    def overdue(self, now: float) -> bool:
        """Whether the client has exceeded a limit."""
        match self._expects:
            case _Expects.ANYTHING:
                return now - self._since > self.bounds.first
            case _Expects.HEAD:
                return now - self._since > self.bounds.head
            case _Expects.BODY if self.flow.read_paused:  # this server has paused reading
                self._heard = now
                return False
            case _Expects.BODY:
                return now - self._heard > self.bounds.piece or now - self._since > self.bounds.body
        return False

    def refuse(self, status: int) -> None:
        """Send an error, unless an answer has begun or no request was sent, and close the connection."""
        if self.transport.is_closing():
            return
        if not self._in_an_answer():
            reason, sentence = _REFUSALS[status]
            body = b'{"error":"%s","message":"%s"}' % (reason[4:], sentence)
            head = b"HTTP/1.1 %s\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n"
            self.transport.write(head % (reason, len(body)) + _CORS + b"connection: close\r\n\r\n" + body)
        if self.cycle is not None:
            self.cycle.disconnected = True  # the app must not answer after us
            self.cycle.message_event.set()
        self.transport.close()

    def _in_an_answer(self) -> bool:
        """Whether an error sent now would not be read as the answer to this request."""
        if self._expects is _Expects.ANYTHING or self.pipeline:
            return True
        if self.cycle is None or self.cycle.response_complete:
            return False
        return self._expects is _Expects.HEAD or self.cycle.response_started


def end_overdue(connections: Iterable[asyncio.Protocol], now: float) -> int:
    """Refuses every overdue client; returns how many."""
    late = [item for item in connections if isinstance(item, BoundedProtocol) and item.overdue(now)]
    for item in late:
        item.refuse(408)
    return len(late)
