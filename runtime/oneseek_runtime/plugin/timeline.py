"""Which version answered when: a ledger's transitions as events, and the periods that follow from them. Pure.

Blocks are in the order of what happened. Transitions that waited in an outbox are recorded late, so an event counts from
its `happened` time, but never before its predecessor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oneseek_core.ledger import Block
from oneseek_runtime.plugin.times import moment

__all__ = ["Event", "Reign", "events_of", "gaps", "live_at", "reigns_of"]

_MOVES = ("promote", "rollback", "reset")  # after these another version answers: the one in `to`, or the base model


@dataclass(frozen=True, slots=True)
class Event:
    """A transition; texts that the block lacks are empty."""

    block: int
    kind: str
    happened: str
    recorded: str
    actor: str
    verified: bool
    subject: str
    before: str | None
    after: str | None
    dna: str | None
    digest: str | None
    reason: str

    @property
    def moves(self) -> bool:
        """Whether another version answers from here on."""
        return self.kind in _MOVES

    def document(self) -> dict[str, Any]:
        """As JSON, in the ledger's own words."""
        return {
            "block": self.block,
            "type": self.kind,
            "timestamp": self.happened,
            "recordedAt": self.recorded,
            "actor": {"name": self.actor, "verified": self.verified},
            "object": self.subject,
            "from": self.before,
            "to": self.after,
            "dna": self.dna,
            "digest": self.digest,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Reign:
    """From `since` (included) to `until` (excluded; None: the ledger knows no end) `dna` answered; None: the base."""

    dna: str | None
    digest: str | None
    since: str
    until: str | None
    began: Event | None
    ended: Event | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "dna": self.dna,
            "digest": self.digest,
            "since": self.since,
            "until": self.until,
            "began": self.began.document() if self.began else None,
            "ended": self.ended.document() if self.ended else None,
        }


def events_of(blocks: Iterable[Block]) -> list[Event]:
    """The transitions among blocks, in their order. Queries and the genesis block are none."""
    found = []
    for block in blocks:
        content = block.data.get("content")
        if isinstance(content, Mapping) and "idempotencyKey" in content:
            found.append(_event(block, content))
    return found


def _event(block: Block, content: Mapping[str, Any]) -> Event:
    actor, subject = _mapping(content.get("actor")), _mapping(content.get("object"))
    return Event(
        block=block.number,
        kind=_words(block.data.get("type")),
        happened=_words(block.data.get("timestamp")),
        recorded=block.timestamp,
        actor=_words(actor.get("name")),
        verified=actor.get("verified") is True,
        subject="/".join(_words(subject.get(name)) for name in ("kind", "namespace", "name")),
        before=_optional(content.get("from")),
        after=_optional(content.get("to")),
        dna=_optional(content.get("dna")),
        digest=_optional(content.get("digest")),
        reason=_words(content.get("reason")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _optional(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def reigns_of(events: Sequence[Event], begin: str) -> list[Reign]:
    """Who answered, one after the other: the base model first, from `begin` (the time of the ledger's first block) on.

    Where a step happened before there was a ledger to write it into, the ledger's knowledge begins with that step.
    """
    begin = min((begin, *(event.happened for event in events if event.happened)))
    reigns = []
    dna, digest, since, began = None, None, begin, None
    for event in events:
        if not event.moves or event.after == dna:
            continue
        at = max(event.happened or event.recorded, since)
        if began or at > since:
            reigns.append(Reign(dna, digest, since, at, began, event))
        dna, digest, since, began = event.after, event.digest if event.after else None, at, event
    reigns.append(Reign(dna, digest, since, None, began, None))
    return reigns


def live_at(reigns: Sequence[Reign], at: datetime) -> Reign | None:
    """The reign at a moment; None before the ledger begins."""
    found = None
    for reign in reigns:
        since = moment(reign.since)
        if since is not None and since <= at:
            found = reign
    return found


def gaps(events: Sequence[Event]) -> list[str]:
    """Where a block names another version as the one that answered before than the ledger does; a sentence each."""
    found, live = [], None
    for event in events:
        if not event.moves:
            continue
        if event.before != live:
            told, known = event.before or "the base model", live or "the base model"
            found.append(f"block {event.block} says that {told} answered before it, the blocks before say {known}")
        live = event.after
    return found
