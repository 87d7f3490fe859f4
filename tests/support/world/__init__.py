"""A working simulator of what the operator sees: an API server with conflicts, a Job controller, nodes, sidecars.

It runs no containers; a Job ends with the report that the real program would write. `crash_at` makes the n-th
mutating call raise, before or after it took effect: a crash of the operator at that line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger import Block, first_block, next_block
from oneseek_core.ledger_entries import Transition
from oneseek_core.merkle import Tree
from oneseek_operator.decide.witness import Proof
from oneseek_operator.errors import RecordsError
from oneseek_operator.reconcile.model import Untold
from oneseek_operator.reconcile.ports import Appended
from support.ledgers import AT
from support.world.clients import Clients

__all__ = ["World"]


class World(Clients):
    """Implements all ports of reconcile."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: dict[str, Transition] = {}
        self.records_away = False
        self.roots = True  # False: a records service that tells none
        self.refused_transitions: set[str] = set()
        self.untold = Untold()
        self.untold.believes_refusals(datetime.fromtimestamp(0, UTC))  # an operator that the network knows
        self.ahead = timedelta()

    def clock(self) -> datetime:
        """The operator's clock."""
        return datetime.now(UTC) + self.ahead

    def token(self, model: OneSeekModel) -> str:
        return "token"

    async def append(self, model: OneSeekModel, entries: Sequence[Transition]) -> Appended:
        if self.records_away:
            raise RecordsError("connection refused")
        good = [entry for entry in entries if entry.type not in self.refused_transitions]
        for entry in good:
            self.ledger.setdefault(entry.idempotency_key, entry)
        refused = tuple(f"{entry.type} {entry.idempotency_key}: stands there" for entry in entries if entry not in good)
        return Appended(await self.head(model), tuple(entry.idempotency_key for entry in good), refused)

    async def head(self, model: OneSeekModel) -> LedgerHead:
        if self.records_away:
            raise RecordsError("connection refused")
        blocks = self._blocks()
        root = _tree(blocks).root().hex() if self.roots else None
        return LedgerHead(height=len(blocks), head=blocks[-1].hash, root=root)

    async def proof(self, model: OneSeekModel, witness: LedgerHead, found: LedgerHead) -> Proof:
        blocks = self._blocks()
        if witness.root is None or found.root is None:
            return Proof(block=blocks[witness.height - 1].line)
        return Proof(path=tuple(_tree(blocks).consistency(witness.height, found.height)))

    def witness(self, model: OneSeekModel) -> LedgerHead | None:
        return model.status.ledger

    def _blocks(self) -> list[Block]:
        blocks = [first_block("the ledger of team/zero", AT)]
        for entry in self.ledger.values():
            blocks.append(next_block(blocks[-1], kind=entry.type, content=entry.content(), at=AT))
        return blocks

    def put_back(self, height: int) -> dict[str, Transition]:
        """An older copy of the ledger in place of the newest, which is returned."""
        newest, self.ledger = self.ledger, dict(list(self.ledger.items())[: height - 1])
        return newest


def _tree(blocks: Sequence[Block]) -> Tree:
    tree = Tree()
    for block in blocks:
        tree.append(block.line)
    return tree
