"""How a new version takes over: beside the old one, within its pod, or after it. Pure policy.

    BlueGreen  a colour beside the old one, then the Service flips
    HotSwap    the engine that runs loads the new adapter; one replica, an unchanged serving template
    Recreate   the old colour stops first, and nothing answers meanwhile

Auto begins with BlueGreen. Where the new colour finds no node or no volume for a minute it gives way: to HotSwap where
the pod that answers can, else to Recreate. Not for a changed serving template, though: that may find no place at all,
and stopping what answers would be for nothing. Going back never stops what answers: it flips to a warm colour, else swaps,
else waits for the new colour. What answers nobody may always be stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import StrategyUse
from oneseek_operator.observe.pod_failures import Problem, not_made
from oneseek_operator.observe.rollout import Snapshot, wanted_replicas
from oneseek_operator.resources.serving import Colour

__all__ = ["GIVE_WAY_SECONDS", "ChosenStrategy", "Situation", "choose_strategy", "crowded", "situation", "strategy_use"]

GIVE_WAY_SECONDS = 60.0

Name = Literal["BlueGreen", "HotSwap", "Recreate"]


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the choice depends on."""

    asked: Literal["Auto", "BlueGreen", "Recreate", "HotSwap"]
    replicas: int
    forward: bool  # a promotion; else a rollback, a reset, or the way back from a bad version
    swappable: bool  # a ready pod of what answers can take the version over
    answers: bool  # a pod of what answers is ready
    same_template: bool  # what answers is of the template that the version would come up with
    warm: bool  # the version's own colour is up already
    crowded: str = ""  # why its own colour has had no place for a minute; remembered once it gave way


@dataclass(frozen=True, slots=True)
class ChosenStrategy:
    """The strategy, and why."""

    name: Name
    reason: str
    message: str


def choose_strategy(snapshot: Situation) -> ChosenStrategy:
    """The strategy for one version."""
    if snapshot.asked == "BlueGreen":
        return ChosenStrategy("BlueGreen", names.STRATEGY_ASKED, "promotion.strategy is BlueGreen")
    if not snapshot.forward:
        return _back(snapshot)
    if snapshot.asked == "Recreate":
        return ChosenStrategy("Recreate", names.STRATEGY_ASKED, "promotion.strategy is Recreate")
    if snapshot.asked == "HotSwap":
        return _hot(snapshot)
    if not snapshot.crowded:
        return ChosenStrategy("BlueGreen", names.STRATEGY_FIRST, "there may be room for a second engine")
    if snapshot.swappable and snapshot.replicas == 1:
        return ChosenStrategy("HotSwap", names.NO_ROOM, f"no second engine came up: {snapshot.crowded}")
    if snapshot.answers and not snapshot.same_template:
        sentence = f"its serving template is new, and what answers is not stopped for it unless promotion.strategy is Recreate: {snapshot.crowded}"
        return ChosenStrategy("BlueGreen", names.NO_ROOM, sentence)
    why = "there is more than one replica" if snapshot.replicas != 1 else "what answers cannot swap"
    return ChosenStrategy("Recreate", names.NO_ROOM, f"no second engine came up, and {why}: {snapshot.crowded}")


def _back(snapshot: Situation) -> ChosenStrategy:
    if snapshot.warm:
        return ChosenStrategy("BlueGreen", names.GOING_BACK, "its colour is still warm")
    if snapshot.swappable and snapshot.replicas == 1:
        return ChosenStrategy("HotSwap", names.GOING_BACK, "the engine that runs takes it back at once")
    if snapshot.crowded and not snapshot.answers:
        return ChosenStrategy(
            "Recreate", names.NOTHING_ANSWERS, f"nothing answers, and its own colour has no room: {snapshot.crowded}"
        )
    return ChosenStrategy("BlueGreen", names.GOING_BACK, "what answers stays until it is up")


def _hot(snapshot: Situation) -> ChosenStrategy:
    if snapshot.replicas != 1:
        sentence = f"HotSwap changes one pod, and there are {snapshot.replicas} replicas"
        return ChosenStrategy("BlueGreen", names.MORE_THAN_ONE_REPLICA, sentence)
    if snapshot.swappable:
        return ChosenStrategy("HotSwap", names.STRATEGY_ASKED, "promotion.strategy is HotSwap")
    if snapshot.crowded and not snapshot.answers:
        return ChosenStrategy(
            "Recreate", names.NOTHING_ANSWERS, f"nothing answers, and there is no second place: {snapshot.crowded}"
        )
    sentence = "the pod that answers has another serving template, or is not ready; the version comes up beside it"
    return ChosenStrategy("BlueGreen", names.CANNOT_SWAP, sentence)


def situation(snapshot: Snapshot, target: Colour, *, forward: bool, now: datetime) -> Situation:
    """What the choice for `target` depends on."""
    model, serving = snapshot.model, snapshot.serving or ""
    asked, used = model.spec.promotion.strategy, model.status.strategy
    pods = [pod for pod in snapshot.pods_of(serving) if pod.ready]
    there = next((item for item in snapshot.deployments if item.colour == serving), None)
    same_shape = there is not None and bool(target.shape) and there.shape == target.shape
    able = [pod for pod in pods if (state := snapshot.endpoint(pod).state) and state.ready and state.swap is not None]
    gave_way = used is not None and used.colour == target.key and used.reason == names.NO_ROOM and asked == "Auto"
    gave_way = gave_way and used is not None and used.name != "BlueGreen"
    remembered = used.message.partition(": ")[2] if used and gave_way else ""
    held = crowded(snapshot, target.name, now)
    return Situation(
        asked=asked,
        replicas=wanted_replicas(model),
        forward=forward,
        swappable=same_shape and bool(able),
        answers=bool(pods),
        same_template=same_shape,
        warm=target.name != serving and snapshot.confirms(target.name, target.dna),
        crowded=(remembered or "as before") if gave_way else held.message if held else "",
    )


def strategy_use(way: ChosenStrategy, target: Colour) -> StrategyUse:
    """The way as the status has it."""
    return StrategyUse(name=way.name, reason=way.reason, message=way.message[:512], colour=target.key)


def crowded(snapshot: Snapshot, colour: str, now: datetime) -> Problem | None:
    """Why a colour's pod has had no node, no volume, or no leave to be made, for so long that it is no accident."""
    for pod in snapshot.pods_of(colour):
        since = pod.unschedulable_since or pod.unattached_since
        if not since or (now - datetime.fromisoformat(since)).total_seconds() < GIVE_WAY_SECONDS:
            continue
        if pod.unschedulable:
            return Problem(names.UNSCHEDULABLE, f"no node takes pod {pod.name}: {pod.unschedulable}")
        return Problem(names.NOT_ATTACHED, f"the volumes of pod {pod.name} do not come")
    there = next((item for item in snapshot.deployments if item.colour == colour), None)
    held = not_made(there.failed_create, [], f"Deployment {there.name!r}", made="") if there else None
    if held is None or (now - datetime.fromisoformat(held.since)).total_seconds() < GIVE_WAY_SECONDS:
        return None
    return held
