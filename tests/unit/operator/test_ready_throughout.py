"""A model whose pods answer all the time is Ready all the time: no step of a takeover says otherwise."""

from __future__ import annotations

import pytest

from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World


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
