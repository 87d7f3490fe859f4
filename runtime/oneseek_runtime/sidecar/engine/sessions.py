"""[I/O] Who owns the connections of a client: opened and closed with the sidecar, once for all the services it calls."""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar, Self

import aiohttp

__all__ = ["OwnsSession"]


class OwnsSession:
    """An async context manager with a session; proxies of the environment are not for services of the cluster."""

    _line_bytes: ClassVar[int] = 2**16  # the longest line that can be read of an answer; aiohttp's own default
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(trust_env=False, read_bufsize=self._line_bytes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
