"""When a colour that was left behind may stop. Pure.

A Service that flips does not move connections that are kept alive: the pods left behind tell their clients to come
again, and stop once nobody is connected. While the new version is watched the old one stays warm, so that going back
takes a second.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.decide.actions import Action, Delete, Drain
from oneseek_operator.decide.seen import Seen, wanted_replicas
from oneseek_operator.decide.selection import is_resetting
from oneseek_operator.decide.views import PodView

__all__ = ["left_behind", "let_go", "stopping", "taken_again", "warm_seconds"]

_SETTLE_SECONDS = 5  # after a flip: kube-proxies need a moment before old pods may go


def left_behind(seen: Seen, colour: str) -> list[Action]:
    """At the flip to `colour`: every other pod is told at once to send its clients away."""
    return [Drain(pod.ip) for pod in seen.pods if _is_other(pod, colour)]


def taken_again(seen: Seen, colour: str) -> list[Action]:
    """Pods of the serving colour that still send clients away (they were left behind before) take them again."""
    states = [(pod, seen.endpoint(pod).state) for pod in seen.pods_of(colour)]
    return [Drain(pod.ip, on=False) for pod, state in states if pod.ip and state and state.draining]


def _is_other(pod: PodView, colour: str) -> bool:
    other = pod.labels.get(names.LABEL_COLOUR)
    return bool(other) and other != colour and bool(pod.ip) and not pod.terminating


def warm_seconds(model: OneSeekModel) -> float:
    """How long what was left behind stays although nobody is connected to it."""
    if is_resetting(model):
        return 0
    return min(model.spec.promotion.watch.seconds, model.spec.promotion.keep_warm_seconds)


def let_go(seen: Seen, *, keep: Collection[str], serving: str, now: datetime) -> tuple[list[Action], bool]:
    """Old colours: tell them to close connections; remove one when nobody needs it. True: some are still there.

    One with answers that the records service does not have yet is kept on, for at most SPOOL_SECONDS.
    """
    old = [item for item in seen.deployments if item.colour not in keep and not item.terminating]
    if not wanted_replicas(seen.model):
        return [Delete("Deployment", item.name) for item in old], bool(old)
    flipped_at = seen.service.flipped_at if seen.service else ""
    if not flipped_at or seen.serving != serving:
        return [], bool(old)  # the flip is being made in this very step
    actions: list[Action] = []
    age = (now - datetime.fromisoformat(flipped_at)).total_seconds()
    keep_warm = seen.model.spec.promotion.keep_warm_seconds
    over = age >= keep_warm
    for deployment in old:
        connected = spooled = 0
        for pod in seen.pods_of(deployment.colour):
            state = seen.endpoint(pod).state
            if state is None:
                continue
            if not state.draining:
                actions.append(Drain(pod.ip))
                connected += 1  # look again once it has been told
            connected += state.open_connections
            spooled += state.spooled
        idle = connected == 0 and age >= warm_seconds(seen.model)
        recorded = spooled == 0 or age >= keep_warm + names.SPOOL_SECONDS
        if age >= _SETTLE_SECONDS and (over or idle) and recorded:
            actions.append(Delete("Deployment", deployment.name))
    return actions, bool(old)


def stopping(seen: Seen) -> tuple[bool, tuple[tuple[bool, str, str], ...]]:
    """Whether pods on their way out still speak; and an Event for each that gives answers up, which it says once."""
    events = []
    speaking = False
    for pod in seen.pods:
        state = seen.endpoint(pod).state
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
