"""Conditions as kstatus wants them: Ready always, Reconciling and Stalled only while True. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from oneseek_core import names
from oneseek_core.api.base import Condition

__all__ = ["PATIENCE", "ConditionRow", "Verdict", "condition", "conditions_for", "conditions_with", "find", "timestamp"]

PATIENCE = timedelta(minutes=5)  # what has made no progress for so long needs a person: Stalled
_MESSAGE_LIMIT = 1800  # characters; sixteen messages stay far below the limit of the status


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, in seconds, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of an object, with one reason and one sentence, from which the common conditions are made.

    `progress`: reason and sentence of a change that is under way while `state` holds, such as a rollout while a model
    serves. `stuck`: that change needs a person.
    """

    state: Literal["Ready", "Working", "Waiting", "Failed"]
    reason: str
    message: str
    progress: tuple[str, str] | None = None
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """What a condition is to say; its transition time is not known yet."""

    type: str
    reason: str
    message: str
    holds: bool = True


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """The condition of a type."""
    return next((item for item in conditions if item.type == kind), None)


def conditions_for(
    verdict: Verdict, old: Sequence[Condition], *, generation: int, now: datetime, extra: Iterable[ConditionRow] = ()
) -> list[Condition]:
    """The conditions of `verdict` and the rows of `extra`; each keeps its transition time while its status stays."""
    rows = [ConditionRow(names.READY, verdict.reason, verdict.message, holds=verdict.state == "Ready")]
    if verdict.state == "Working":
        rows.append(ConditionRow(names.RECONCILING, verdict.reason, verdict.message))
    elif verdict.progress is not None:
        # Never both: a failure that is being dealt with is under way until that has ended.
        rows.append(ConditionRow(names.STALLED if verdict.stuck else names.RECONCILING, *verdict.progress))
    elif verdict.state == "Failed":
        rows.append(ConditionRow(names.STALLED, verdict.reason, verdict.message))
    return [condition(row, old, generation, now) for row in [*rows, *extra]]


def conditions_with(
    old: Sequence[Condition], row: ConditionRow | None, *, generation: int, now: datetime
) -> list[Condition]:
    """The conditions with one row set; Reconciling replaces Stalled."""
    if row is None:
        return list(old)
    replaced = (names.RECONCILING, names.STALLED) if row.type == names.RECONCILING else (row.type,)
    return [*(item for item in old if item.type not in replaced), condition(row, old, generation, now)]


def condition(row: ConditionRow, old: Sequence[Condition], generation: int, now: datetime) -> Condition:
    """One condition; it keeps its transition time while its status stays."""
    status: Literal["True", "False"] = "True" if row.holds else "False"
    before = find(old, row.type)
    since = before.last_transition_time if before and before.status == status else timestamp(now)
    text = row.message if len(row.message) <= _MESSAGE_LIMIT else row.message[: _MESSAGE_LIMIT - 1] + "…"
    return Condition(
        type=row.type,
        status=status,
        reason=row.reason,
        message=text,
        last_transition_time=since,
        observed_generation=generation,
    )
