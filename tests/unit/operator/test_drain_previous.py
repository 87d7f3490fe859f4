"""The version that answered before can be asked while it is warm, and is let go with it."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.serving.sidecar import WarmVersion
from oneseek_operator.rollout import drain
from support.choices import dna_of
from support.driver import settle
from support.makers import model_manifest, run_manifest
from support.world import World


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch, no_settling: None) -> None:
    monkeypatch.setattr(drain, "warm_seconds", lambda _: 3600)


async def two_versions(**spec: Any) -> World:
    """The second of two versions answers."""
    world = World()
    world.apply_as_user(model_manifest(**spec))
    await settle(world)
    for run in ("first", "second"):
        world.apply_as_user(run_manifest(run))
        await settle(world)
    return world


def serving_pod(world: World) -> str:
    """The one pod behind the Service."""
    return f"zero-{world.objects[('Service', 'team', 'zero')]['spec']['selector'][names.LABEL_COLOUR]}-0"


def pod_of(world: World, dna: str) -> str:
    (found,) = (
        name
        for (kind, _, name), item in world.objects.items()
        if kind == "Pod" and item["metadata"].get("annotations", {}).get(names.ANNOTATION_DNA) == dna
    )
    return found


async def test_the_pod_that_answers_knows_the_pods_of_the_version_before_while_they_are_warm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await two_versions(promotion={"strategy": "BlueGreen"})
    first = dna_of(world, "first")
    told = world.previous_told[serving_pod(world)]
    assert told == WarmVersion(dna=first, addresses=[pod_of(world, first)])
    assert (await world.state(pod_of(world, first))).draining, "it is warm and has no clients"
    world.previous_told.clear()  # another process of the sidecar
    await settle(world)
    assert world.previous_told[serving_pod(world)] == told
    monkeypatch.setattr(drain, "warm_seconds", lambda _: 0)
    await settle(world)
    assert world.previous_told[serving_pod(world)] is None
    assert not [kind for kind, _, name in world.objects if kind == "Pod" and name == told.addresses[0]]


async def test_a_version_in_quarantine_is_not_asked_however_warm_it_is() -> None:
    world = await two_versions(promotion={"strategy": "BlueGreen"})
    second = dna_of(world, "second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert (await world.state(serving_pod(world))).dna == dna_of(world, "first")
    told = world.previous_told.get(serving_pod(world))
    assert told is None or told.dna != second


async def test_an_engine_that_took_a_version_over_keeps_the_one_before_for_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await two_versions(promotion={"strategy": "HotSwap"})
    pod = serving_pod(world)
    assert world.kept == {pod: dna_of(world, "first")}
    before = len(world.orders)
    await settle(world)
    assert len(world.orders) == before, "nothing is told twice"
    monkeypatch.setattr(drain, "warm_seconds", lambda _: 0)
    await settle(world)
    assert world.kept == {}
    assert (await world.state(pod)).dna == dna_of(world, "second")


async def test_an_engine_keeps_nothing_that_was_taken_out_of_service() -> None:
    world = await two_versions(promotion={"strategy": "HotSwap"})
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert (await world.state(serving_pod(world))).dna == dna_of(world, "first")
    assert world.kept == {}
