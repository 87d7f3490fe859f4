"""A simulated model with several versions, and which of them answers."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from support.driver import settle
from support.makers import model_manifest, run_manifest
from support.world import World


class Texts(dict[Any, str]):
    """What versions answer: all the same, but for some that answer as they do otherwise."""

    def __init__(self, text: str, *, but: set[str | None]) -> None:
        super().__init__()
        self.text, self.but = text, but

    def get(self, key: Any, default: Any = None) -> Any:
        return default if key in self.but else self.text


def status_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.objects[("OneSeekModel", "team", "zero")]["status"]
    return found


def answers(world: World) -> str | None:
    """What the pod that the Service selects reports."""
    colour = world.objects[("Service", "team", "zero")]["spec"]["selector"][names.LABEL_COLOUR]
    item = world.objects[("Deployment", "team", f"zero-{colour}")]
    return item["metadata"]["annotations"][names.ANNOTATION_DNA] or None


def dna_of(world: World, run: str) -> str:
    found: str = world.objects[("TrainingRun", "team", run)]["status"]["dna"]
    return found


async def trained(count: int = 2, **spec: Any) -> World:
    """A model with `count` versions, each of which took over from the one before."""
    world = World()
    world.apply_as_user(model_manifest(**spec))
    for name in ("first", "second", "third")[:count]:
        world.apply_as_user(run_manifest(name))
        await settle(world)
    return world
