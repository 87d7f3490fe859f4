"""A client of the sidecar's with connections of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

__all__ = ["connected"]

Client = TypeVar("Client")


@asynccontextmanager
async def connected(kind: Callable[..., Client], *arguments: Any, **options: Any) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield kind(session, *arguments, **options)
