"""[I/O] A model's records service: append transitions, read the ledger's head and proofs."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger_entries import Transition
from oneseek_core.roles import Role
from oneseek_operator.clients.pod_http import Peer, PodHttpClient, PodHttpError
from oneseek_operator.errors import RecordsError, TransitionRefusedError
from oneseek_operator.model.ledger_witness import Proof
from oneseek_operator.observe.pods import PodView
from oneseek_operator.reconcile.ports import Appended
from oneseek_operator.resources import pod_access
from oneseek_operator.settings import Settings

__all__ = ["ModelRecords", "Records"]

_SECONDS = 5
_HASH = re.compile(r"[0-9a-f]{64}")
_REFUSED = (400, 409)  # HTTP statuses for an entry that a retry cannot make valid


class Records:
    """Finds each model's records service."""

    def __init__(self, http: PodHttpClient, settings: Settings, trust: Callable[[], ssl.SSLContext]) -> None:
        self._http = http
        self._settings = settings
        self._trust = trust
        self._witnessed: dict[str, LedgerHead] = {}  # by the model's uid

    def witness(self, model: OneSeekModel) -> LedgerHead | None:
        """The head when something was last appended: from the status; if that was lost, what this process remembers."""
        if (known := model.status.ledger) is not None:
            self._witnessed[model.metadata.uid] = known
        return self._witnessed.get(model.metadata.uid)

    def of(self, model: OneSeekModel, pod: PodView | None) -> ModelRecords:
        """The model's service in that pod; None: there is no pod."""
        # Whoever may create pods decides what `speaks` is: with TLS enabled, no token is sent without it.
        if pod is None or pod.speaks not in (("tls",) if self._settings.internal_tls else ("tls", "plain")):
            return ModelRecords(self._http, None)
        peer = Peer(pod.ip, names.PORT_RECORDS, "of the records service")
        peer = replace(peer, token=pod_access.token(model, self._settings, Role.OPERATOR))
        if pod.speaks == "tls":
            name = pod_access.host(model, "records")
            peer = replace(peer, port=names.PORT_RECORDS_TLS, trust=self._trust(), name=name)
        return ModelRecords(self._http, peer)


class ModelRecords:
    """One model's records service."""

    def __init__(self, http: PodHttpClient, peer: Peer | None) -> None:
        self._http = http
        self._peer = peer

    async def append(self, entries: Sequence[Transition]) -> Appended:
        """Append transitions; returns once they are durable. Entries that are there already are not doubled.

        A batch is recorded as a whole or not at all; if it is refused, each entry is sent alone, so that one entry which the
        ledger refuses does not keep the others from it.

        Raises:
            RecordsError: the service did not answer; what it had acknowledged by then is sent again next time.
        """
        try:
            head = await self._append(entries)
        except TransitionRefusedError:
            return await self._one_by_one(entries)
        return Appended(head, tuple(item.idempotency_key for item in entries))

    async def _one_by_one(self, entries: Sequence[Transition]) -> Appended:
        acknowledged, refused = [], []
        for item in entries:
            try:
                await self._append([item])
            except TransitionRefusedError as error:
                refused.append(f"{item.type} {item.idempotency_key}: {error}")
            else:
                acknowledged.append(item.idempotency_key)
        return Appended(await self.head(), tuple(acknowledged), tuple(refused))

    async def proof(self, witness: LedgerHead, found: LedgerHead) -> Proof:
        """The proof that a higher ledger contains the witness.

        Raises:
            RecordsError: the service did not answer, or refused.
        """
        if witness.root is not None and found.root is not None:
            path = f"/v1/proof/consistency?from={witness.height}&to={found.height}"
            given = (await self._call("GET", path, None)).get("path", [])
            return Proof(path=tuple(bytes.fromhex(item) for item in given) if _are_hashes(given) else ())
        blocks = (await self._call("GET", f"/v1/blocks?from={witness.height - 1}&limit=1", None)).get("blocks")
        # With the keys in the order of the answer, these are the bytes that were hashed.
        return Proof(block=to_json(blocks[0]) if isinstance(blocks, list) and blocks else None)

    async def _append(self, entries: Sequence[Transition]) -> LedgerHead:
        body = {"transitions": [item.to_wire() for item in entries]}
        return _head((await self._call("POST", "/v1/transitions", body)).get("head"))

    async def head(self) -> LedgerHead:
        """The ledger's height, newest hash and root.

        Raises:
            RecordsError: the service did not answer, or refused.
        """
        found = await self._call("GET", "/v1/head", None)
        return _head(found)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        if self._peer is None:
            raise RecordsError("the records service does not answer: no pod of it is there")
        try:
            answer = await self._http.ask(self._peer, method, path, seconds=_SECONDS, body=body)
        except PodHttpError as error:
            raise RecordsError(str(error)) from error
        if answer.status >= 300:
            kind = TransitionRefusedError if answer.status in _REFUSED else RecordsError
            message = f": {answer.message}" if answer.message else ""
            raise kind(f"the records service answered {answer.status}{message}")
        try:
            found = json.loads(answer.data)
        except (ValueError, RecursionError) as error:
            raise RecordsError("the records service does not answer: its body is no JSON") from error
        if not isinstance(found, dict):
            raise RecordsError("the records service does not answer: its body is no object")
        return found


def _are_hashes(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and _HASH.fullmatch(item) for item in value)


def _head(found: object) -> LedgerHead:
    known = found if isinstance(found, dict) else {}
    height, head, root = (known.get(key) for key in ("height", "head", "root"))
    if type(height) is not int or height < 1 or not _are_hashes([head, *([root] if root is not None else [])]):
        raise RecordsError("the records service does not answer: its body is no head of a ledger")
    return LedgerHead.model_validate({"height": height, "head": head, "root": root})
