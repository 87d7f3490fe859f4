"""All attempts, in the order in which they are made: those that change the ground for others come last."""

from __future__ import annotations

from support.tenant.attempt import Attempt
from support.tenant.attempts import api_server, http_api, network, objects, processes, records, volumes

__all__ = ["ATTEMPTS", "GROUPS"]

GROUPS: dict[str, tuple[Attempt, ...]] = {
    "At the API server": api_server.ATTEMPTS,
    "By objects of one's own": objects.ATTEMPTS,
    "Over the network": network.ATTEMPTS,
    "Inside a pod": processes.ATTEMPTS,
    "To records and ledger": records.ATTEMPTS,
    "Over the public API": http_api.ATTEMPTS,
    "By what lies on the claim": volumes.ATTEMPTS,
}
ATTEMPTS = tuple(attempt for group in GROUPS.values() for attempt in group)
