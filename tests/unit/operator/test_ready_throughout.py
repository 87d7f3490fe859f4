"""A model whose pods answer all the time is Ready all the time, and one whose requests wait is not."""

from __future__ import annotations

import pytest

from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.clients import WAITS


@pytest.mark.parametrize("asked", [{"rollback": "previous"}, {"rollback": "base"}], ids=["previous", "base"])
@pytest.mark.parametrize("strategy", ["BlueGreen", "HotSwap"])
async def test_ready_stays_true_while_one_version_takes_over_from_another(strategy: str, asked: dict[str, str]) -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"strategy": strategy}))
    await settle(world)
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", **asked)
    told = []
    for _ in range(40):
        await round_trip(world)
        told.append(condition(world, "OneSeekModel", "zero"))
    assert world.objects[("OneSeekModel", "team", "zero")]["status"]["request"]["outcome"] == "Succeeded"
    assert {item["status"] for item in told} == {"True"}, [item for item in told if item["status"] != "True"]


@pytest.mark.parametrize("strategy", ["BlueGreen", "HotSwap"])
@pytest.mark.parametrize("why", ["refused by its verifier", "failing while it is watched"])
async def test_a_model_is_not_ready_while_requests_wait_for_another_version(strategy: str, why: str) -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"strategy": strategy}))
    await settle(world)
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    dna = world.objects[("OneSeekModel", "team", "zero")]["status"]["current"]["dna"]
    if why.startswith("refused"):
        world.tampered.add(dna)
    else:
        world.counts[dna] = (100, 50)
    told = []
    for _ in range(40):
        await round_trip(world)
        answers = {world.outcome(pod) for pod in world.behind()}
        told.append((condition(world, "OneSeekModel", "zero")["status"], answers))
    assert ("True", {WAITS}) not in told
    assert ("True", {dna}) not in told
    assert told[-1][0] == "True"
