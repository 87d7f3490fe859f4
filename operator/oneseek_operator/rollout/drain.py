"""When a colour that was left behind may stop. Pure.

The pods left behind pass new requests on (`handover`) and tell their clients to come again; they stop once nobody is
connected. While the new version is watched the old one stays warm, so that going back takes a second.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.actions import Action, Delete
from oneseek_operator.observe.rollout import Snapshot, wanted_replicas
from oneseek_operator.versions.selection import is_resetting

__all__ = ["let_go", "stopping", "warm_seconds"]

_SETTLE_SECONDS = 35  # after a flip: a node's proxy may be that far behind, and what it still sends must be passed on


def warm_seconds(model: OneSeekModel) -> float:
    """How long what was left behind stays although nobody is connected to it."""
    if is_resetting(model):
        return 0
    return min(model.spec.promotion.watch.seconds, model.spec.promotion.keep_warm_seconds)


def let_go(snapshot: Snapshot, *, keep: Collection[str], serving: str, now: datetime) -> tuple[list[Action], bool]:
    """Remove each old colour that nobody needs. True: some are still there.

    One with answers that the records service does not have yet is kept on, for at most SPOOL_SECONDS.
    """
    old = [item for item in snapshot.deployments if item.colour not in keep and not item.terminating]
    if not wanted_replicas(snapshot.model):
        return [Delete("Deployment", item.name, item.uid) for item in old], bool(old)
    flipped_at = snapshot.service.flipped_at if snapshot.service else ""
    if not flipped_at or snapshot.serving != serving:
        return [], bool(old)  # the flip is being made in this very step
    actions: list[Action] = []
    age = (now - datetime.fromisoformat(flipped_at)).total_seconds()
    keep_warm = snapshot.model.spec.promotion.keep_warm_seconds
    over = age >= keep_warm
    for deployment in old:
        connected = spooled = 0
        for pod in snapshot.pods_of(deployment.colour):
            state = snapshot.endpoint(pod).state
            if state is None:
                continue
            if not state.draining:
                connected += 1  # it is being told in this very step
            connected += state.open_connections
            spooled += state.spooled
        idle = connected == 0 and age >= warm_seconds(snapshot.model)
        recorded = spooled == 0 or age >= keep_warm + names.SPOOL_SECONDS
        if age >= _SETTLE_SECONDS and (over or idle) and recorded:
            actions.append(Delete("Deployment", deployment.name, deployment.uid))
    return actions, bool(old)


def stopping(snapshot: Snapshot) -> tuple[bool, tuple[tuple[bool, str, str], ...]]:
    """Whether pods on their way out still speak; and an Event for each that gives answers up, which it says once."""
    events = []
    speaking = False
    for pod in snapshot.pods:
        state = snapshot.endpoint(pod).state
        if not pod.terminating or state is None:
            continue
        speaking = True
        if state.abandoned:
            sentence = (
                f"pod {pod.name} ended with {state.abandoned} answered questions that the records service did not take "
                f"within {names.SPOOL_SECONDS // 60} minutes; they are in no ledger"
            )
            events.append((True, names.ANSWERS_NOT_RECORDED, sentence))
    return speaking, tuple(events)
