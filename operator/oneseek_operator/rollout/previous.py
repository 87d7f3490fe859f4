"""The version that answered before, while it is still warm: the pods that answer are told where, for clients who compare. Pure.

It is there for as long as a colour left behind stays (`letting_go.warm_seconds`), and never where it is in quarantine: a
version that was taken out of service answers nobody, under any name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import VersionRef
from oneseek_core.serving.sidecar import WarmVersion
from oneseek_operator.actions import Action, Delete, Previous
from oneseek_operator.observe.rollout import Snapshot
from oneseek_operator.rollout import drain

__all__ = ["may_keep", "told", "withdrawn"]

_MOST = 8  # addresses; one is enough to be answered


def told(
    snapshot: Snapshot,
    *,
    serving: str,
    current: VersionRef | None,
    previous: VersionRef | None,
    going: Sequence[Action],
) -> list[Action]:
    """Tell each pod that answers which pods hold the version before, or that none does, where it does not know."""
    if snapshot.serving != serving or not snapshot.confirms(serving, current.dna if current else None):
        return []  # a flip is being made: who is the one before is not settled
    warm = _warm(snapshot, serving, previous, {item.name for item in going if isinstance(item, Delete)})
    states = [(pod.ip, snapshot.endpoint(pod).state) for pod in snapshot.pods_of(serving)]
    return [Previous(ip, warm) for ip, state in states if ip and state is not None and state.previous != warm]


def withdrawn(snapshot: Snapshot, barred: Collection[str]) -> list[Action]:
    """Tell pods that know where a version can be asked which may not answer any more that it no longer can."""
    states = [(pod.ip, snapshot.endpoint(pod).state) for pod in snapshot.pods]
    return [Previous(ip, None) for ip, state in states if state and state.previous and state.previous.dna in barred]


def _warm(snapshot: Snapshot, serving: str, previous: VersionRef | None, going: set[str]) -> WarmVersion | None:
    if previous is None or not _may_answer(snapshot.model, previous.dna):
        return None
    colours = [item.colour for item in snapshot.deployments if item.name not in going and not item.terminating]
    found = [
        pod.ip
        for colour in colours
        if colour != serving
        for pod in snapshot.pods_of(colour)
        if pod.ip and pod.speaks != "before" and snapshot.endpoint(pod).serves(previous.dna)
    ]
    return WarmVersion(dna=previous.dna, addresses=sorted(found)[:_MOST]) if found else None


def may_keep(model: OneSeekModel, kept: str, answering: str | None, now: datetime) -> bool:
    """Whether an engine that took a version over may keep the one before; undecided until the status names both."""
    current, previous = model.status.current, model.status.previous
    if not _may_answer(model, kept):
        return False
    if current is None or current.dna != answering:
        return answering is not None  # the flip is not in the status yet
    age = (now - datetime.fromisoformat(current.since)).total_seconds()
    return previous is not None and previous.dna == kept and age < drain.warm_seconds(model)


def _may_answer(model: OneSeekModel, dna: str) -> bool:
    return drain.warm_seconds(model) > 0 and dna not in {item.dna for item in model.status.quarantine}
