"""Conditions by the book (kstatus): Ready always, Reconciling and Stalled only when True. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from oneseek_core import names
from oneseek_core.api.base import Condition

__all__ = ["PATIENCE", "Verdict", "condition", "conditions_for", "conditions_with", "find", "timestamp"]

PATIENCE = timedelta(minutes=5)  # after it what does not go on is a person's business: Stalled
_LIMIT = 1800  # characters of a message; sixteen of them stay far below the status limit


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with seconds, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an object stands, in the three words every reader knows, with one reason and one sentence.

    `progress` is an ongoing change beside a truth that stands: a model that serves while a candidate is rolled out.
    A change that is `stuck` goes on only once a person has done something.
    """

    state: Literal["Ready", "Working", "Waiting", "Failed"]
    reason: str
    message: str
    progress: tuple[str, str] | None = None
    stuck: bool = False


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """The condition of a type."""
    return next((item for item in conditions if item.type == kind), None)


def conditions_for(
    verdict: Verdict,
    old: Sequence[Condition],
    *,
    generation: int,
    now: datetime,
    extra: Sequence[tuple[str, bool, str, str]] = (),
) -> list[Condition]:
    """The conditions that say `verdict`, each keeping its transition time while its status stays.

    `extra` are positive conditions of the kind: (type, holds, reason, message).
    """
    wanted: list[tuple[str, bool, str, str]] = [
        (names.READY, verdict.state == "Ready", verdict.reason, verdict.message)
    ]
    if verdict.state == "Working":
        wanted.append((names.RECONCILING, True, verdict.reason, verdict.message))
    elif verdict.progress is not None:
        # One of the two, never both: a failure that is being dealt with is under way until that has ended.
        wanted.append((names.STALLED if verdict.stuck else names.RECONCILING, True, *verdict.progress))
    elif verdict.state == "Failed":
        wanted.append((names.STALLED, True, verdict.reason, verdict.message))
    return [condition(item, old, generation, now) for item in [*wanted, *extra]]


def conditions_with(
    old: Sequence[Condition], item: tuple[str, bool, str, str] | None, *, generation: int, now: datetime
) -> list[Condition]:
    """The conditions as they are, but for one; what is being dealt with is not Stalled meanwhile."""
    if item is None:
        return list(old)
    new = condition(item, old, generation, now)
    replaced = (names.RECONCILING, names.STALLED) if new.type == names.RECONCILING else (new.type,)
    return [*(item for item in old if item.type not in replaced), new]


def condition(item: tuple[str, bool, str, str], old: Sequence[Condition], generation: int, now: datetime) -> Condition:
    """One condition (type, holds, reason, message); it keeps its transition time while its status stays."""
    kind, holds, reason, message = item
    status: Literal["True", "False"] = "True" if holds else "False"
    before = find(old, kind)
    since = before.last_transition_time if before and before.status == status else timestamp(now)
    text = message if len(message) <= _LIMIT else message[: _LIMIT - 1] + "…"
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=text,
        last_transition_time=since,
        observed_generation=generation,
    )
