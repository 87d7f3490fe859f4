"""Request bodies as they come off the wire: bounded each, and bounded together.

The contract allows 50 MB a body; a few clients with such bodies at once would otherwise fill the pod's memory. How long
a body may take is `connections`' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from oneseek_runtime.sidecar.errors import BodyTooLargeError, ClientGoneError, TooManyBodiesError

__all__ = ["BODY_LIMIT", "Bodies", "Body", "content_length", "while_connected"]

T = TypeVar("T")

Body = bytes | bytearray
"""Never copied: a large body would be there twice."""

BODY_LIMIT = 50 * 1024 * 1024  # bytes
_TOGETHER = 128 * 1024 * 1024  # bytes of all bodies that are being read or used
_FREE = 64 * 1024  # bytes; bodies below this are not accounted for


class Bodies:
    """What is read at the moment, over all requests of the process."""

    def __init__(self, *, limit: int = BODY_LIMIT, together: int = _TOGETHER) -> None:
        self._limit = limit
        self._together = together
        self.held = 0

    async def read(self, scope: Scope, receive: Receive) -> Body:
        """The whole body. Give large ones back with `release` when they are done with.

        Raises:
            BodyTooLargeError: it is over the limit; the rest of it was not read.
            TooManyBodiesError: all bodies together are over their limit.
            ClientGoneError: the client left before it had sent all.
        """
        if content_length(scope) > self._limit:
            raise self._too_large()
        message = await _next(receive)
        data: bytes = message.get("body", b"")
        if not message.get("more_body", False):  # the usual case: one piece, no copy
            self._take(len(data))
            return data
        return await self._rest(bytearray(data), receive)

    def release(self, data: Body) -> None:
        """A body from `read` is no longer needed."""
        if len(data) > _FREE:
            self.held -= len(data)

    async def _rest(self, data: bytearray, receive: Receive) -> Body:
        counted = 0
        try:
            while True:
                message = await _next(receive)
                data += message.get("body", b"")
                if len(data) > self._limit:
                    raise self._too_large()
                self.held += len(data) - counted
                counted = len(data)
                if self.held > self._together:
                    raise TooManyBodiesError("too many large bodies are being sent at the moment; try again later")
                if not message.get("more_body", False):
                    break
        finally:
            self.held -= counted
        self._take(len(data))
        return data

    def _take(self, size: int) -> None:
        if size > _FREE:
            self.held += size

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body is larger than {self._limit // 1024**2} MB")


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError("the client left while sending")
    return message


def content_length(scope: Scope) -> int:
    """The length that the client announces, else 0."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, but give it up when the client goes away: nobody would read the answer.

    Raises:
        ClientGoneError: the client closed its connection first.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError("the client left before the answer")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
