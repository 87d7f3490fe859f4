"""[I/O] The records service of a model: append transitions, ask for the head.

The operator reads no Secret but its own: each model's token is derived from one key and the model's uid, so it can be
written into the model's Secret without ever being read back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
from pydantic_core import to_json

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger_entries import Transition
from oneseek_core.network import failure
from oneseek_operator.build import records as build
from oneseek_operator.decide.witness import Proof
from oneseek_operator.errors import RecordsError, TransitionRefusedError
from oneseek_operator.reconcile.ports import Appended

__all__ = ["Records"]

_SECONDS = 5
_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS)
_HASH = re.compile(r"[0-9a-f]{64}")
_REFUSED = (400, 409)  # the service's statuses for an entry that trying again cannot help


class Records:
    """Talks to every model's records service."""

    def __init__(self, session: aiohttp.ClientSession, key: bytes) -> None:
        self._session = session
        self._key = key
        self._witnessed: dict[str, LedgerHead] = {}  # by the model's uid

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

    async def append(self, model: OneSeekModel, entries: Sequence[Transition]) -> Appended:
        """Record transitions; returns once they are durable. Entries that are there already are not doubled.

        A batch is recorded as a whole or not at all, so where it is refused each entry is sent alone: one that the
        ledger will not take keeps no other from it.

        Raises:
            RecordsError: the service is away; what it had acknowledged by then is sent again next time.
        """
        try:
            head = await self._append(model, entries)
        except TransitionRefusedError:
            return await self._one_by_one(model, entries)
        return Appended(head, tuple(item.idempotency_key for item in entries))

    async def _one_by_one(self, model: OneSeekModel, entries: Sequence[Transition]) -> Appended:
        acknowledged, refused = [], []
        for item in entries:
            try:
                await self._append(model, [item])
            except TransitionRefusedError as error:
                refused.append(f"{item.type} {item.idempotency_key}: {error}")
            else:
                acknowledged.append(item.idempotency_key)
        return Appended(await self.head(model), tuple(acknowledged), tuple(refused))

    def witness(self, model: OneSeekModel) -> LedgerHead | None:
        """The ledger as it was last entered into: the status' word; where that was lost, what this process remembers."""
        if (told := model.status.ledger) is not None:
            self._witnessed[model.metadata.uid] = told
        return self._witnessed.get(model.metadata.uid)

    async def proof(self, model: OneSeekModel, witness: LedgerHead, found: LedgerHead) -> Proof:
        """What shows that a higher ledger goes on from the witness.

        Raises:
            RecordsError: the service is away or refused.
        """
        if witness.root is not None and found.root is not None:
            path = f"/v1/proof/consistency?from={witness.height}&to={found.height}"
            given = (await self._call("GET", model, path, None)).get("path", [])
            return Proof(path=tuple(bytes.fromhex(item) for item in given) if _are_hashes(given) else ())
        blocks = (await self._call("GET", model, f"/v1/blocks?from={witness.height - 1}&limit=1", None)).get("blocks")
        # In the order in which the service sends the keys these are the very bytes that were hashed.
        return Proof(block=to_json(blocks[0]) if isinstance(blocks, list) and blocks else None)

    async def _append(self, model: OneSeekModel, entries: Sequence[Transition]) -> LedgerHead:
        body = {"transitions": [item.to_wire() for item in entries]}
        return _head((await self._call("POST", model, "/v1/transitions", body))["head"])

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
                    kind = TransitionRefusedError if response.status in _REFUSED else RecordsError
                    raise kind(f"the records service answered {response.status}: {found.get('message', found)}")
                return found
        except TimeoutError as error:
            raise RecordsError(f"the records service did not answer {path} within {_SECONDS} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RecordsError(f"the records service does not answer: {failure(error)}") from error
        except ValueError as error:
            raise RecordsError("the records service does not answer: its body is no JSON") from error


def _are_hashes(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and _HASH.fullmatch(item) for item in value)


def _head(found: dict[str, Any]) -> LedgerHead:
    height, head, root = (found.get(key) for key in ("height", "head", "root"))
    if type(height) is not int or height < 1 or not _are_hashes([head, *([root] if root is not None else [])]):
        raise RecordsError("the records service does not answer: its body is no head of a ledger")
    return LedgerHead.model_validate({"height": height, "head": head, "root": root})
