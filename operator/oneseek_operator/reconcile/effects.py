"""Carrying a decision out: actions, the one status write, and the Events that go with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from oneseek_core import names
from oneseek_core.api.base import ApiModel, Condition
from oneseek_operator.conditions import find
from oneseek_operator.decide.actions import Action, Apply, Create, Decision, Delete, Drain
from oneseek_operator.errors import SidecarError
from oneseek_operator.reconcile.ports import ClusterPort, SidecarPort

__all__ = ["carry_out"]

log = logging.getLogger(__name__)


async def carry_out(
    decision: Decision[Any], current: dict[str, Any], *, cluster: ClusterPort, sidecars: SidecarPort
) -> None:
    """Actions, then the status if it changed, then what had to wait for the status.

    Raises:
        ConflictError: the object changed since it was read; nothing in `after` was done.
    """
    namespace = current["metadata"]["namespace"]
    await _perform(decision.before, namespace, cluster, sidecars)
    old, new = current.get("status", {}), decision.status.to_wire()
    if old != new:
        await cluster.replace_status(current["kind"], current, new)
        for warning, reason, message in _news(old.get("conditions", []), decision.status):
            log.info("%s %s/%s: %s: %s", current["kind"], namespace, current["metadata"]["name"], reason, message)
            await cluster.event(current, warning=warning, reason=reason, message=message)
    await _perform(decision.after, namespace, cluster, sidecars)


async def _perform(actions: Iterable[Action], namespace: str, cluster: ClusterPort, sidecars: SidecarPort) -> None:
    for action in actions:
        match action:
            case Create(manifest):
                await cluster.create(manifest)
            case Apply(manifest):
                await cluster.apply(manifest)
            case Delete(kind, name, uid):
                await cluster.delete(kind, namespace, name, uid=uid)
            case Drain(ip):
                try:
                    await sidecars.drain(ip)
                except SidecarError as error:  # a pod that cannot be told has no clients we could keep
                    log.warning("could not drain: %s", error)


def _news(old: Sequence[dict[str, Any]], status: ApiModel) -> list[tuple[bool, str, str]]:
    """(warning, reason, message) for each condition whose reason is new: Events agree with conditions."""
    conditions: list[Condition] = status.conditions  # type: ignore[attr-defined]
    before = {item["type"]: item for item in old}
    news = []
    stalled = find(conditions, names.STALLED) is not None
    told = set()
    for condition in conditions:
        was = before.get(condition.type, {})
        if was.get("reason") == condition.reason and was.get("status") == condition.status:
            continue
        if condition.type in (names.READY, names.RECONCILING) and condition.reason not in told:
            told.add(condition.reason)
            news.append((stalled or condition.reason in _WARNINGS, condition.reason, condition.message))
    return news


_WARNINGS = frozenset(
    {names.UNSCHEDULABLE, names.CLAIM_NOT_BOUND, names.IMAGE_UNAVAILABLE, names.ENGINE_FAILED, names.OUT_OF_MEMORY}
)
