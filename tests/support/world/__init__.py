"""A working simulator of what the operator sees: an API server with conflicts, a Job controller, nodes, sidecars.

It runs no containers; a Job ends with the report that the real program would write. `crash_at` makes the n-th
mutating call raise, before or after it took effect: a crash of the operator at that line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger_entries import Transition
from oneseek_operator.errors import RecordsError
from oneseek_operator.reconcile.model import Untold
from oneseek_operator.reconcile.ports import Appended
from support.world.clients import Clients

__all__ = ["World"]


class World(Clients):
    """Implements all ports of reconcile."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: dict[str, Transition] = {}
        self.records_away = False
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
        return LedgerHead(height=len(self.ledger) + 1, head="0" * 64)
