"""[I/O] The records service of a model: append transitions, ask for the head.

The operator reads no Secret but its own: each model's token is derived from one key and the model's uid, so it can be
written into the model's Secret without ever being read back.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Self

import aiohttp

from oneseek_core.api.v1alpha1.model import LedgerHead, OneSeekModel
from oneseek_core.ledger_entries import Transition
from oneseek_operator.build import records as build
from oneseek_operator.errors import RecordsError

__all__ = ["Records"]

_TIMEOUT = aiohttp.ClientTimeout(total=5)


class Records:
    """Talks to every model's records service."""

    def __init__(self, session: aiohttp.ClientSession, key: bytes) -> None:
        self._session = session
        self._key = key

    @classmethod
    def connect(cls, key: bytes) -> Self:
        """A session of its own."""
        return cls(aiohttp.ClientSession(), key)

    async def close(self) -> None:
        """Release the connections."""
        await self._session.close()

    def token(self, model: OneSeekModel) -> str:
        """The model's bearer token: 64 hex digits."""
        about = f"{model.metadata.namespace}/{model.metadata.name}".encode()
        return hmac.new(self._key, about, hashlib.sha256).hexdigest()

    async def append(self, model: OneSeekModel, entries: Sequence[Transition]) -> LedgerHead:
        """Record transitions; returns once they are durable. Entries that are there already are not doubled.

        Raises:
            RecordsError: the service is away or refused; nothing is known to be recorded.
        """
        found = await self._call(
            "POST", model, "/v1/transitions", {"transitions": [item.to_wire() for item in entries]}
        )
        return _head(found["head"])

    async def head(self, model: OneSeekModel) -> LedgerHead:
        """The ledger's height and newest hash.

        Raises:
            RecordsError: the service is away or refused.
        """
        found = await self._call("GET", model, "/v1/head", None)
        return _head(found)

    async def _call(self, method: str, model: OneSeekModel, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        url = build.url(model) + path
        headers = {"Authorization": f"Bearer {self.token(model)}"}
        try:
            async with self._session.request(method, url, json=body, headers=headers, timeout=_TIMEOUT) as response:
                found: dict[str, Any] = await response.json(content_type=None)
                if response.status >= 400:
                    raise RecordsError(f"the records service answered {response.status}: {found.get('message', found)}")
                return found
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RecordsError(
                f"the records service does not answer: {type(error).__name__} {error}".rstrip()
            ) from error


def _head(found: dict[str, Any]) -> LedgerHead:
    return LedgerHead(height=found["height"], head=found["head"])
