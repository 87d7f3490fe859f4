"""When a colour that no longer serves is deleted, and whether its version can still be asked until then. Pure.

Draining pods pass new requests on (`handover`) and close their clients' connections; they are deleted once nobody is
connected. While the new version is watched, the old colour stays warm, so that a rollback takes a second. Until then the
serving pods know its addresses, for clients who compare versions; a version in quarantine is never asked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import VersionRef
from oneseek_core.serving.sidecar import WarmVersion
from oneseek_operator.actions import Action, Delete, Event, Previous
from oneseek_operator.observe.model import Snapshot, is_resetting, wanted_replicas

__all__ = ["drained", "may_keep", "previous_orders", "terminating_pods", "warm_seconds", "withdrawals"]

_SETTLE_SECONDS = 35  # after a flip: a node's proxy may be that late, and what it still sends must be passed on
_ADDRESS_LIMIT = 8  # of the previous version; one is enough to be answered


def warm_seconds(model: OneSeekModel) -> float:
    """How long an old colour without connections is kept."""
    if is_resetting(model):
        return 0
    return min(model.spec.promotion.watch.seconds, model.spec.promotion.keep_warm_seconds)


def drained(snapshot: Snapshot, *, keep: Collection[str], serving: str, now: datetime) -> tuple[list[Action], bool]:
    """Delete each old colour that is drained; True if there are old colours at all.

    One with answers that the records service does not have yet is kept on, for at most SPOOL_SECONDS.
    """
    old = [item for item in snapshot.deployments if item.colour not in keep and not item.terminating]
    if not wanted_replicas(snapshot.model):
        return [Delete("Deployment", item.name, item.uid) for item in old], bool(old)
    flipped_at = snapshot.service.flipped_at if snapshot.service else ""
    if not flipped_at or snapshot.serving != serving:
        return [], bool(old)  # this step flips the Service
    actions: list[Action] = []
    age = (now - datetime.fromisoformat(flipped_at)).total_seconds()
    keep_warm = snapshot.model.spec.promotion.keep_warm_seconds
    for deployment in old:
        connected = spooled = 0
        for pod in snapshot.pods_of(deployment.colour):
            state = snapshot.endpoint(pod).state
            if state is None:
                continue
            if not state.draining:
                connected += 1  # this step orders it to drain
            connected += state.open_connections
            spooled += state.spooled
        idle = connected == 0 and age >= warm_seconds(snapshot.model)
        recorded = spooled == 0 or age >= keep_warm + names.SPOOL_SECONDS
        if age >= _SETTLE_SECONDS and (age >= keep_warm or idle) and recorded:
            actions.append(Delete("Deployment", deployment.name, deployment.uid))
    return actions, bool(old)


def terminating_pods(snapshot: Snapshot) -> tuple[bool, tuple[Event, ...]]:
    """Whether a terminating pod still answers; and an Event for each that gives up unrecorded answers."""
    events, answers = [], False
    for pod in snapshot.pods:
        state = snapshot.endpoint(pod).state
        if not pod.terminating or state is None:
            continue
        answers = True
        if state.abandoned:
            sentence = (
                f"pod {pod.name} ended with {state.abandoned} answered questions that the records service did not take "
                f"within {names.SPOOL_SECONDS // 60} minutes; they are in no ledger"
            )
            events.append(Event(names.ANSWERS_NOT_RECORDED, sentence, warning=True))
    return answers, tuple(events)


def previous_orders(
    snapshot: Snapshot,
    *,
    serving: str,
    current: VersionRef | None,
    previous: VersionRef | None,
    deleted: Sequence[Action],
) -> list[Action]:
    """Orders for serving pods that do not know yet which pods hold the previous version, or that none does."""
    if snapshot.serving != serving or not snapshot.confirms(serving, current.dna if current else None):
        return []  # a flip is under way: which version is the previous one is not certain
    going = {item.name for item in deleted if isinstance(item, Delete)}
    warm = _warm(snapshot, serving, previous, going)
    states = [(pod.ip, snapshot.endpoint(pod).state) for pod in snapshot.pods_of(serving)]
    return [Previous(ip, warm) for ip, state in states if ip and state is not None and state.previous != warm]


def withdrawals(snapshot: Snapshot) -> list[Action]:
    """Orders for pods that know addresses of a version that is in quarantine now."""
    barred = snapshot.quarantined
    states = [(pod.ip, snapshot.endpoint(pod).state) for pod in snapshot.pods]
    return [Previous(ip, None) for ip, state in states if state and state.previous and state.previous.dna in barred]


def _warm(snapshot: Snapshot, serving: str, previous: VersionRef | None, deleted: set[str]) -> WarmVersion | None:
    if previous is None or not _may_answer(snapshot, previous.dna):
        return None
    colours = [item.colour for item in snapshot.deployments if item.name not in deleted and not item.terminating]
    found = [
        pod.ip
        for colour in colours
        if colour != serving
        for pod in snapshot.pods_of(colour)
        if pod.ip and pod.speaks != "before" and snapshot.endpoint(pod).serves(previous.dna)
    ]
    return WarmVersion(dna=previous.dna, addresses=sorted(found)[:_ADDRESS_LIMIT]) if found else None


def may_keep(snapshot: Snapshot, kept: str, serving: str | None, now: datetime) -> bool:
    """Whether an engine that swapped to `serving` may keep the version `kept` loaded."""
    current, previous = snapshot.model.status.current, snapshot.model.status.previous
    if not _may_answer(snapshot, kept):
        return False
    if current is None or current.dna != serving:
        return serving is not None  # the swap is not in the status yet
    age = (now - datetime.fromisoformat(current.since)).total_seconds()
    return previous is not None and previous.dna == kept and age < warm_seconds(snapshot.model)


def _may_answer(snapshot: Snapshot, dna: str) -> bool:
    return warm_seconds(snapshot.model) > 0 and dna not in snapshot.quarantined
