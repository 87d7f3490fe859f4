"""Reads request bodies, limited each (50 MB, the contract's) and in sum, so that large bodies cannot fill the pod's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from oneseek_runtime.sidecar.errors import BodyTooLargeError, ClientGoneError, TooManyBodiesError

__all__ = ["BODY_LIMIT", "Body", "BodyReader", "content_length", "while_connected"]

T = TypeVar("T")

Body = bytes | bytearray
"""Never copied: a large body would take its memory twice."""

BODY_LIMIT = 50 * 1024 * 1024  # bytes
_ALL_BODIES_LIMIT = 128 * 1024 * 1024  # bytes of all bodies that are being read or used
_FREE = 64 * 1024  # bytes; bodies below this are not accounted for


class BodyReader:
    """Reads bodies and counts the bytes of all large ones that are in use."""

    def __init__(self, *, limit: int = BODY_LIMIT, together: int = _ALL_BODIES_LIMIT) -> None:
        self._limit = limit
        self._together = together
        self.held = 0

    async def read(self, scope: Scope, receive: Receive) -> Body:
        """Returns the whole body. Give it back with `release` when it is no longer used.

        Raises BodyTooLargeError, TooManyBodiesError (the sum is over its limit) or ClientGoneError.
        """
        if content_length(scope) > self._limit:
            raise self._too_large()
        message = await _next(receive)
        data: bytes = message.get("body", b"")
        if not message.get("more_body", False):  # the usual case: one piece, no copy
            self._count(len(data))
            return data
        return await self._read_rest(bytearray(data), receive)

    def release(self, data: Body) -> None:
        """A body from `read` is no longer used."""
        if len(data) > _FREE:
            self.held -= len(data)

    async def _read_rest(self, data: bytearray, receive: Receive) -> Body:
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
        self._count(len(data))
        return data

    def _count(self, size: int) -> None:
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
    """Returns the announced length, else 0."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work`; cancels it and raises ClientGoneError when the client disconnects."""
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
