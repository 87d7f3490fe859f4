"""A working simulator of what the operator sees: an API server with conflicts, a Job controller, nodes, sidecars.

It runs no containers; a Job ends with the report that the real program would write. `crash_at` makes the n-th
mutating call raise, before or after it took effect: a crash of the operator at that line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Self

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger import Block, first_block, next_block
from oneseek_core.ledger_entries import Transition
from oneseek_core.merkle import Tree
from oneseek_operator.certificates import Issued
from oneseek_operator.errors import RecordsError
from oneseek_operator.model.ledger_witness import Proof
from oneseek_operator.reconcile.pod_contacts import PodContacts
from oneseek_operator.reconcile.ports import Appended, AuthorityView
from support.ledgers import AT
from support.world.clients import Clients

__all__ = ["World"]

_AUTHORITY = Issued.authority(datetime.now(UTC))


class World(Clients):
    """Implements all ports of reconcile."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: dict[str, Transition] = {}
        self.records_away = False
        self.roots = True  # False: a records service that tells none
        self._entered: list[Transition] = []
        self._made = [first_block("the ledger of team/zero", AT)]
        self.refused_transitions: set[str] = set()
        self.contacts = PodContacts()
        self.contacts.believes_refusals(datetime.fromtimestamp(0, UTC))  # an operator that the network knows
        self.ahead = timedelta()
        self.issued: list[str] = []  # names that certificates were made for

    def clock(self) -> datetime:
        """The operator's clock."""
        return datetime.now(UTC) + self.ahead

    def of(self, _model: OneSeekModel, _pods: object) -> Self:
        """Any model's sidecars and records."""
        return self

    async def view(self, now: datetime) -> AuthorityView:
        """The authority of an operator, made once for all worlds."""
        return AuthorityView(_AUTHORITY.certificate, (_AUTHORITY.fingerprint,))

    def issue(self, host: str, now: datetime) -> tuple[str, Issued]:
        self.issued.append(host)
        return _AUTHORITY.fingerprint, _AUTHORITY.leaf(host, now)

    async def append(self, entries: Sequence[Transition]) -> Appended:
        if self.records_away:
            raise RecordsError("connection refused")
        good = [entry for entry in entries if entry.type not in self.refused_transitions]
        for entry in good:
            self.ledger.setdefault(entry.idempotency_key, entry)
        refused = tuple(f"{entry.type} {entry.idempotency_key}: stands there" for entry in entries if entry not in good)
        return Appended(await self.head(), tuple(entry.idempotency_key for entry in good), refused)

    async def head(self) -> LedgerHead:
        if self.records_away:
            raise RecordsError("connection refused")
        blocks = self._blocks()
        root = _tree(blocks).root().hex() if self.roots else None
        return LedgerHead(height=len(blocks), head=blocks[-1].hash, root=root)

    async def proof(self, witness: LedgerHead, found: LedgerHead) -> Proof:
        blocks = self._blocks()
        if witness.root is None or found.root is None:
            return Proof(block=blocks[witness.height - 1].line)
        return Proof(path=tuple(_tree(blocks).consistency(witness.height, found.height)))

    def witness(self, model: OneSeekModel) -> LedgerHead | None:
        return model.status.ledger

    def _blocks(self) -> list[Block]:
        """The ledger's blocks; those that were made before are made again only from where it changed."""
        entries = list(self.ledger.values())
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(entries, self._entered, strict=False)))
        self._entered = entries
        del self._made[same + 1 :]
        for entry in entries[same:]:
            self._made.append(next_block(self._made[-1], kind=entry.type, content=entry.content(), at=AT))
        return self._made

    def put_back(self, height: int) -> dict[str, Transition]:
        """An older copy of the ledger in place of the newest, which is returned."""
        newest, self.ledger = self.ledger, dict(list(self.ledger.items())[: height - 1])
        return newest


def _tree(blocks: Sequence[Block]) -> Tree:
    tree = Tree()
    for block in blocks:
        tree.append(block.line)
    return tree
