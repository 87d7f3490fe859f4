"""Runs the operator's reconciles over a simulated world until nothing changes any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from oneseek_operator.errors import ConflictError, SidecarError
from oneseek_operator.reconcile import model as models
from oneseek_operator.reconcile import run as runs
from support.makers import SETTINGS
from support.world import World

RECONCILE = {"OneSeekModel": models.reconcile, "TrainingRun": runs.reconcile}


async def round_trip(world: World) -> None:
    """One reconcile of every object, then one move of the world."""
    for kind, namespace, name in [key for key in world.objects if key[0] in RECONCILE]:
        try:
            ports = dict.fromkeys(("sidecars", "records", "authority"), world)
            more = {**ports, "contacts": world.contacts} if kind == "OneSeekModel" else {}
            more |= {"cluster": world, "settings": SETTINGS, "clock": world.clock}
            await RECONCILE[kind](namespace, name, **more)
        except (ConflictError, SidecarError):
            continue
    world.tick()


async def settle(world: World, rounds: int = 40) -> None:
    """Rounds until three in a row pass without a write (the world may have moved in a quiet one)."""
    quiet = 0
    for _ in range(rounds):
        before = sum(world.writes.values())
        await round_trip(world)
        quiet = quiet + 1 if sum(world.writes.values()) == before else 0
        if quiet == 3:
            return
    raise AssertionError(f"still writing after {rounds} rounds: {world.writes}")


def condition(world: World, kind: str, name: str, of_type: str = "Ready") -> dict[str, Any]:
    """A condition of an object in namespace `team`."""
    status = world.objects[(kind, "team", name)]["status"]
    return next((item for item in status["conditions"] if item["type"] == of_type), {})


def age(world: World, key: tuple[str, str, str], by: timedelta) -> None:
    """Let time pass for what the object and the controllers' Events say."""
    then = (datetime.now(UTC) - by).strftime("%Y-%m-%dT%H:%M:%SZ")
    for item in world.objects[key]["status"]["conditions"]:
        item["lastTransitionTime"] = then
    for event in world.failed_creates:
        event["firstTimestamp"] = then
    for (kind, _, _), item in world.objects.items():
        if kind in ("Job", "StatefulSet"):
            item["metadata"]["creationTimestamp"] = then
        for one in item.get("status", {}).get("conditions", []) if kind == "Deployment" else []:
            one["lastTransitionTime"] = then
