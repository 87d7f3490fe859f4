"""A status that always fits: below 64 KiB, whatever names people choose. Pure.

Every list has a bound of its own, but all of them full of the longest names would be too much together. What gives way
is history: the oldest versions that no role and no quarantine names. They stay on the claim and in the ledger.
"""

from __future__ import annotations

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.digest import canonical_json

__all__ = ["LIMIT", "fitted"]

LIMIT = 60 * 1024  # bytes of JSON; the API server's own limit is far above, the design's is 64 KiB
_NEEDED = (names.STATE_CURRENT, names.STATE_PREVIOUS, names.STATE_CANDIDATE)


def fitted(status: OneSeekModelStatus) -> OneSeekModelStatus:
    """The status, with as many of the newest versions as fit."""
    excess = len(canonical_json(status.to_wire())) - LIMIT
    if excess <= 0:
        return status
    kept = []
    for version in reversed(status.versions):  # oldest first
        if excess > 0 and version.state not in _NEEDED:
            excess -= len(canonical_json(version.to_wire())) + 1
        else:
            kept.append(version)
    return status.model_copy(update={"versions": kept[::-1]})
