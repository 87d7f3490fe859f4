"""Which strategy a new version is rolled out with. Pure policy.

    BlueGreen  the new colour starts while the old one serves, then the Service flips
    HotSwap    the running engine loads the new adapter; one replica, an unchanged serving template
    Recreate   the old colour stops first, and nothing answers meanwhile

Auto begins with BlueGreen. If the new colour finds no node or no volume for a minute, it gives way: to HotSwap if the serving
pod can swap, else to Recreate. Not for a changed serving template: that may find no place at all, and stopping the serving
colour would be for nothing. A rollback never stops the serving colour: it flips to a warm colour, else swaps, else waits for
the new colour. A colour without ready pods may always be stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import StrategyUse
from oneseek_operator.observe.model import Snapshot, wanted_replicas
from oneseek_operator.observe.pod_failures import Problem, not_made
from oneseek_operator.resources.serving import Colour

__all__ = [
    "GIVE_WAY_SECONDS",
    "ChosenStrategy",
    "StrategyInput",
    "choose_strategy",
    "crowded",
    "strategy_input",
    "strategy_use",
]

GIVE_WAY_SECONDS = 60.0

Name = Literal["BlueGreen", "HotSwap", "Recreate"]


@dataclass(frozen=True, slots=True)
class StrategyInput:
    """Everything that the choice depends on."""

    configured: Literal["Auto", "BlueGreen", "Recreate", "HotSwap"]
    replicas: int
    forward: bool  # a promotion; else a rollback, a reset, or the return from a failed version
    swappable: bool  # a ready pod of the serving colour can swap to the version
    answers: bool  # a pod of the serving colour is ready
    same_template: bool  # the serving colour has the template that the version would start with
    warm: bool  # the version's own colour is ready
    crowded: str = ""  # why its own colour has had no place for a minute; kept once the strategy gave way


@dataclass(frozen=True, slots=True)
class ChosenStrategy:
    """The strategy, and why."""

    name: Name
    reason: str
    message: str


def choose_strategy(given: StrategyInput) -> ChosenStrategy:
    """The strategy for one version."""
    if given.configured == "BlueGreen":
        return ChosenStrategy("BlueGreen", names.STRATEGY_ASKED, "promotion.strategy is BlueGreen")
    if not given.forward:
        return _back(given)
    if given.configured == "Recreate":
        return ChosenStrategy("Recreate", names.STRATEGY_ASKED, "promotion.strategy is Recreate")
    if given.configured == "HotSwap":
        return _hot(given)
    if not given.crowded:
        return ChosenStrategy("BlueGreen", names.STRATEGY_FIRST, "there may be room for a second engine")
    if given.swappable and given.replicas == 1:
        return ChosenStrategy("HotSwap", names.NO_ROOM, f"no second engine came up: {given.crowded}")
    if given.answers and not given.same_template:
        sentence = f"its serving template is new, and what answers is not stopped for it unless promotion.strategy is Recreate: {given.crowded}"
        return ChosenStrategy("BlueGreen", names.NO_ROOM, sentence)
    why = "there is more than one replica" if given.replicas != 1 else "what answers cannot swap"
    return ChosenStrategy("Recreate", names.NO_ROOM, f"no second engine came up, and {why}: {given.crowded}")


def _back(given: StrategyInput) -> ChosenStrategy:
    if given.warm:
        return ChosenStrategy("BlueGreen", names.GOING_BACK, "its colour is still warm")
    if given.swappable and given.replicas == 1:
        return ChosenStrategy("HotSwap", names.GOING_BACK, "the engine that runs takes it back at once")
    if given.crowded and not given.answers:
        return ChosenStrategy(
            "Recreate", names.NOTHING_ANSWERS, f"nothing answers, and its own colour has no room: {given.crowded}"
        )
    return ChosenStrategy("BlueGreen", names.GOING_BACK, "what answers stays until it is up")


def _hot(given: StrategyInput) -> ChosenStrategy:
    if given.replicas != 1:
        sentence = f"HotSwap changes one pod, and there are {given.replicas} replicas"
        return ChosenStrategy("BlueGreen", names.MORE_THAN_ONE_REPLICA, sentence)
    if given.swappable:
        return ChosenStrategy("HotSwap", names.STRATEGY_ASKED, "promotion.strategy is HotSwap")
    if given.crowded and not given.answers:
        return ChosenStrategy(
            "Recreate", names.NOTHING_ANSWERS, f"nothing answers, and there is no second place: {given.crowded}"
        )
    sentence = "the pod that answers has another serving template, or is not ready; the version comes up beside it"
    return ChosenStrategy("BlueGreen", names.CANNOT_SWAP, sentence)


def strategy_input(snapshot: Snapshot, target: Colour, *, forward: bool, now: datetime) -> StrategyInput:
    """What the choice for `target` depends on."""
    model, serving = snapshot.model, snapshot.serving or ""
    configured, used = model.spec.promotion.strategy, model.status.strategy
    pods = [pod for pod in snapshot.pods_of(serving) if pod.ready]
    there = snapshot.deployment_of(serving)
    same_shape = there is not None and bool(target.shape) and there.shape == target.shape
    able = [pod for pod in pods if (state := snapshot.endpoint(pod).state) and state.ready and state.swap is not None]
    gave_way = used is not None and used.colour == target.key and used.reason == names.NO_ROOM and configured == "Auto"
    gave_way = gave_way and used is not None and used.name != "BlueGreen"
    remembered = used.message.partition(": ")[2] if used and gave_way else ""
    held = crowded(snapshot, target.name, now)
    return StrategyInput(
        configured=configured,
        replicas=wanted_replicas(model),
        forward=forward,
        swappable=same_shape and bool(able),
        answers=bool(pods),
        same_template=same_shape,
        warm=target.name != serving and snapshot.confirms(target.name, target.dna),
        crowded=(remembered or "as before") if gave_way else held.message if held else "",
    )


def strategy_use(chosen: ChosenStrategy, target: Colour) -> StrategyUse:
    """The strategy as the status shows it."""
    return StrategyUse(name=chosen.name, reason=chosen.reason, message=chosen.message[:512], colour=target.key)


def crowded(snapshot: Snapshot, colour: str, now: datetime) -> Problem | None:
    """Why a colour's pod has had no node, no volume, or could not be created, for GIVE_WAY_SECONDS."""
    for pod in snapshot.pods_of(colour):
        since = pod.unschedulable_since or pod.unattached_since
        if not since or (now - datetime.fromisoformat(since)).total_seconds() < GIVE_WAY_SECONDS:
            continue
        if pod.unschedulable:
            return Problem(names.UNSCHEDULABLE, f"no node takes pod {pod.name}: {pod.unschedulable}")
        return Problem(names.NOT_ATTACHED, f"the volumes of pod {pod.name} do not come")
    there = snapshot.deployment_of(colour)
    held = not_made(there.failed_create, [], f"Deployment {there.name!r}", made="") if there else None
    if held is None or (now - datetime.fromisoformat(held.since)).total_seconds() < GIVE_WAY_SECONDS:
        return None
    return held
