"""What the API server refuses, to the operator or to a controller: its reasons, and the conditions that report it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.base import Condition
from oneseek_operator.conditions import PATIENCE, ConditionRow, condition, find, timestamp
from oneseek_operator.errors import ClusterError, NameTakenError

__all__ = [
    "FailedCreate",
    "Refusal",
    "again_after",
    "lasts",
    "reason_of",
    "refusal_of",
    "sentence",
    "standing",
    "with_refusal",
]

_MARKS = (
    (names.QUOTA_EXCEEDED, ("exceeded quota", "failed quota", "unknown for quota")),
    (names.POD_SECURITY_VIOLATION, ("violates podsecurity",)),
    (names.WEBHOOK_FAILED, ("failed calling webhook",)),
    (names.POLICY_DENIED, ("denied the request", "denied request")),
    (names.FORBIDDEN, ("is forbidden",)),
    (names.INVALID, ("is invalid",)),
)
_BY_STATUS = {403: names.FORBIDDEN}
_SENTENCE_LIMIT = 768  # characters of the API server's sentence
# `Invalid value: "x": why`, and Go's dump of a whole struct: the field and the reason say enough.
_QUOTED = re.compile(r"""(Invalid value: )(?:"(?:[^"\\]|\\.){65,}"|[\w.\[\]*&]*\{.*\}|\{.*\}|map\[.*\])""")
_NOT_REPORTED = (401, 409, 429)  # the operator's credentials, a race, load: retried without a report
_AGAIN, _LATE_AGAIN = 10.0, 60.0  # seconds between attempts: no event reports a raised quota
_GONE_AGAIN = 2.0  # the garbage collector deletes it soon


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, and a sentence with what the API server said."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class FailedCreate:
    """A controller's last report of a pod that it cannot create, and since when it reports it."""

    message: str
    since: str
    last: str


def reason_of(message: str, status: int) -> str:
    """The reason for a message of the API server."""
    text = message.lower()
    return next((reason for reason, marks in _MARKS if any(mark in text for mark in marks)), _BY_STATUS.get(status, ""))


def sentence(message: str) -> str:
    """What the API server said, shortened, and without the values that it quotes: one may be a secret."""
    text = _QUOTED.sub(r"\1…", " ".join(message.split()))
    return text if len(text) <= _SENTENCE_LIMIT else text[: _SENTENCE_LIMIT - 1] + "…"


def refusal_of(what: str, error: ClusterError) -> Refusal | None:
    """The refusal of a write; None for an error that an immediate retry may avoid."""
    status, message = error.status, str(error)
    if isinstance(error, NameTakenError):
        return Refusal(names.BEING_REMOVED if error.is_being_removed else names.NAME_TAKEN, message)
    reason = reason_of(message, status) or names.INVALID
    if status in _NOT_REPORTED or status < 400 or (status >= 500 and reason != names.WEBHOOK_FAILED):
        return None
    return Refusal(reason, f"the API server refuses {what}: {sentence(message)}")


def standing(conditions: Sequence[Condition]) -> Refusal | None:
    """The refusal that the conditions report."""
    applied = find(conditions, names.APPLIED)
    return Refusal(applied.reason, applied.message) if applied and applied.status == "False" else None


def again_after(conditions: Sequence[Condition], now: datetime) -> float:
    """Seconds until the next attempt."""
    applied = find(conditions, names.APPLIED)
    if applied is not None and applied.reason == names.BEING_REMOVED:
        return _GONE_AGAIN
    return _LATE_AGAIN if lasts(conditions, now) else _AGAIN


def lasts(conditions: Sequence[Condition], now: datetime) -> bool:
    """Whether a refusal has lasted so long that a person is needed."""
    applied = find(conditions, names.APPLIED)
    return applied is not None and now - datetime.fromisoformat(applied.last_transition_time) >= PATIENCE


def with_refusal(
    decided: Sequence[Condition],
    refusal: Refusal,
    old: Sequence[Condition],
    *,
    generation: int,
    now: datetime,
    blocked: bool,
) -> list[Condition]:
    """The decided conditions, with a refusal among them.

    `blocked`: the refused action had to come before the status, so nothing that was decided has happened. A model that serves
    stays Ready; another failure keeps its own reason; otherwise Ready is False because of the refusal.
    """
    applied = condition(_row(names.APPLIED, refusal, holds=False), old, generation, now)
    if find(old, names.APPLIED) is None:
        applied = applied.model_copy(update={"last_transition_time": timestamp(now)})
    before = standing(old)

    def is_own(item: Condition | None) -> bool:
        return (
            item is not None and before is not None and (item.reason, item.message) == (before.reason, before.message)
        )

    others = [item for item in decided if item.type != names.APPLIED]
    stalled, reconciling = find(others, names.STALLED), find(others, names.RECONCILING)
    if stalled is not None and not is_own(stalled):
        return [*others, applied]
    ready, was_ready = find(others, names.READY), find(old, names.READY)
    answers = ready is not None and ready.status == "True"
    if blocked:
        answers = answers and was_ready is not None and was_ready.status == "True"
        ready = was_ready
    lasts = now - datetime.fromisoformat(applied.last_transition_time) >= PATIENCE
    change = condition(_row(names.STALLED if lasts else names.RECONCILING, refusal), old, generation, now)
    if answers and ready is not None:
        ready = ready.model_copy(update={"observed_generation": generation})
        if reconciling is not None and not blocked and not is_own(reconciling):
            change = reconciling  # a rollout goes on meanwhile
    else:
        ready = condition(_row(names.READY, refusal, holds=False), old, generation, now)
    common = (names.READY, names.RECONCILING, names.STALLED)
    return [ready, change, *(item for item in others if item.type not in common), applied]


def _row(kind: str, refusal: Refusal, *, holds: bool = True) -> ConditionRow:
    return ConditionRow(kind, refusal.reason, refusal.message, holds)
