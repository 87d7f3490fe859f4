"""Which version answered when: what was asked of the operator, beside what clients were told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SLACK = 2.0  # seconds: design §4.14


@dataclass(frozen=True)
class Reign:
    """A version's time: it answers from some moment after `begun_after` until some moment before `over_before`."""

    dna: str
    begun_after: float
    over_before: float


def reigns(first: str, flips: Sequence[tuple[str, float, float]]) -> list[Reign]:
    """The times of versions, from flips (DNA, asked for at, seen done at) in seconds since the epoch."""
    found, dna, since = [], first, 0.0
    for to, asked, done in flips:
        found.append(Reign(dna, since, done))
        dna, since = to, asked
    return [*found, Reign(dna, since, float("inf"))]


def wrong(result: Mapping[str, Any], known: Sequence[Reign]) -> list[dict[str, Any]]:
    """The answers by a version that was not current at any moment of the request, an old connection's last one apart."""
    zero = float(result["started_at"])
    out = []
    for answer in result["answers"]:
        begun, ended = zero + answer["asked"] - _SLACK, zero + answer["answered"] + _SLACK
        right = any(
            item.dna == answer["dna"] and item.begun_after <= ended and begun <= item.over_before for item in known
        )
        if not right and not answer["last"]:
            out.append(answer)
    return out
