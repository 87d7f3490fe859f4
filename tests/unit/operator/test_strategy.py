"""How a version takes over: the policy as a table, and the whole story in a simulated cluster with room for one engine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.serving.swap import WantedVersion
from oneseek_operator.rollout.strategy import StrategyInput, choose_strategy
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash

PLENTY = StrategyInput(
    configured="Auto",
    replicas=1,
    forward=True,
    swappable=True,
    answers=True,
    same_template=True,
    warm=False,
)
FULL = replace(PLENTY, crowded="no node takes pod b")
BROKEN = {"swappable": False, "answers": False}
OTHER = {"swappable": False, "same_template": False}


@pytest.mark.parametrize(
    ("situation", "name", "reason"),
    [
        (PLENTY, "BlueGreen", names.STRATEGY_FIRST),
        (FULL, "HotSwap", names.NO_ROOM),
        (replace(FULL, replicas=2), "Recreate", names.NO_ROOM),
        (replace(FULL, **BROKEN), "Recreate", names.NO_ROOM),
        (replace(FULL, **OTHER), "BlueGreen", names.NO_ROOM),
        (replace(FULL, **OTHER, answers=False), "Recreate", names.NO_ROOM),
        # On the way back nothing that answers is stopped, whatever was asked.
        (replace(PLENTY, forward=False), "HotSwap", names.GOING_BACK),
        (replace(PLENTY, forward=False, warm=True), "BlueGreen", names.GOING_BACK),
        (replace(PLENTY, forward=False, replicas=2), "BlueGreen", names.GOING_BACK),
        (replace(FULL, forward=False, swappable=False), "BlueGreen", names.GOING_BACK),
        (replace(FULL, forward=False, **BROKEN), "Recreate", names.NOTHING_ANSWERS),
        (replace(PLENTY, forward=False, configured="Recreate", swappable=False), "BlueGreen", names.GOING_BACK),
        # What is asked for is done, as far as it can be.
        (replace(FULL, configured="BlueGreen"), "BlueGreen", names.STRATEGY_ASKED),
        (replace(FULL, configured="BlueGreen", forward=False), "BlueGreen", names.STRATEGY_ASKED),
        (replace(PLENTY, configured="Recreate"), "Recreate", names.STRATEGY_ASKED),
        (replace(PLENTY, configured="HotSwap"), "HotSwap", names.STRATEGY_ASKED),
        (replace(PLENTY, configured="HotSwap", replicas=3), "BlueGreen", names.MORE_THAN_ONE_REPLICA),
        (replace(PLENTY, configured="HotSwap", **OTHER), "BlueGreen", names.CANNOT_SWAP),
        (replace(FULL, configured="HotSwap", **OTHER), "BlueGreen", names.CANNOT_SWAP),
        (replace(FULL, configured="HotSwap", **BROKEN), "Recreate", names.NOTHING_ANSWERS),
    ],
)
def test_the_way_a_version_takes_over(situation: StrategyInput, name: str, reason: str) -> None:
    way = choose_strategy(situation)
    assert (way.name, way.reason) == (name, reason)
    assert way.message


def status_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.objects[("OneSeekModel", "team", "zero")]["status"]
    return found


def dna_of(world: World, run: str) -> str:
    return str(world.objects[("TrainingRun", "team", run)]["status"]["dna"])


def deployments(world: World) -> list[dict[str, Any]]:
    return [item for (kind, _, _), item in world.objects.items() if kind == "Deployment"]


def wanted(world: World) -> list[WantedVersion]:
    maps = [item for (kind, _, name), item in world.objects.items() if kind == "ConfigMap" and name.endswith("-wanted")]
    return [WantedVersion.model_validate_json(item["data"][names.WANTED_FILE]) for item in maps]


async def answering(world: World) -> str | None:
    """What the one pod behind the Service says of itself."""
    colour = world.objects[("Service", "team", "zero")]["spec"]["selector"][names.LABEL_COLOUR]
    states = [await world.state(f"zero-{colour}-0")]
    assert states[0].ready
    return states[0].dna


async def one_engine(**spec: Any) -> World:
    """A model whose first version answers, on nodes with room for one engine; the base model made place by waiting."""
    world = World()
    world.apply_as_user(model_manifest(**spec))
    await settle(world)
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.rooms = 1
    return world


def no_gap(world: World) -> Callable[[], None]:
    """A check after every move of the world that the pod behind the Service is ready."""
    move = world.tick

    def tick() -> None:
        move()
        colour = world.objects[("Service", "team", "zero")]["spec"]["selector"][names.LABEL_COLOUR]
        pod = world.objects.get(("Pod", "team", f"zero-{colour}-0"))
        assert pod is not None, "nothing answers"
        assert pod["status"]["phase"] == "Running", "nothing answers"

    world.tick = tick  # type: ignore[method-assign]
    return tick


async def test_without_room_for_two_auto_gives_way_to_a_swap_and_nothing_stops() -> None:
    world = await one_engine()
    (before,) = deployments(world)
    no_gap(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    second = dna_of(world, "second")
    assert await answering(world) == status_of(world)["current"]["dna"] == second
    strategy = status_of(world)["strategy"]
    assert (strategy["name"], strategy["reason"]) == ("HotSwap", names.NO_ROOM)
    assert "Insufficient cpu" in strategy["message"]
    (after,) = deployments(world)
    assert after["metadata"]["name"] == before["metadata"]["name"]
    assert after["spec"] == before["spec"], "the pods are the same"
    assert after["metadata"]["annotations"][names.ANNOTATION_DNA] == second
    assert [item.dna for item in wanted(world)] == [second]
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.SERVING
    held = [order for _, order in world.orders if order.dna == second]
    assert [order.hold for order in held][:2] == [True, False], "proved before it may answer"


async def test_a_minute_is_not_over_yet_so_it_waits_for_a_place() -> None:
    world = await one_engine()
    world.waited = 30
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert status_of(world)["strategy"]["name"] == "BlueGreen"
    assert len(deployments(world)) == 2
    assert world.orders == []
    world.waited = 61
    await settle(world)
    assert await answering(world) == dna_of(world, "second")


async def test_a_pod_whose_volume_does_not_come_has_no_room_either() -> None:
    world = await one_engine()
    world.rooms = None
    there = {key for key in world.objects if key[0] == "Pod"}
    move = world.tick

    def tick() -> None:
        move()
        for key, pod in world.objects.items():
            if key[0] == "Pod" and key not in there and names.LABEL_COLOUR in pod["metadata"]["labels"]:
                conditions = [
                    {"type": "PodScheduled", "status": "True"},
                    {
                        "type": "PodReadyToStartContainers",
                        "status": "False",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    },
                ]
                pod["status"] = {"phase": "Pending", "conditions": conditions}

    world.tick = tick  # type: ignore[method-assign]
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert await answering(world) == dna_of(world, "second")
    assert "volumes" in status_of(world)["strategy"]["message"]


async def test_hot_swap_by_name_tries_nothing_else() -> None:
    world = await one_engine(promotion={"strategy": "HotSwap"})
    made = world.writes["apply Deployment"]
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert await answering(world) == dna_of(world, "second")
    assert world.writes["apply Deployment"] == made + 1, "only its annotation"
    assert status_of(world)["strategy"]["reason"] == names.STRATEGY_ASKED


async def test_a_rollback_swaps_back_at_once() -> None:
    world = await one_engine()
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    no_gap(world)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    status = status_of(world)
    assert await answering(world) == status["current"]["dna"] == dna_of(world, "first")
    assert status["request"]["outcome"] == "Succeeded"
    assert (status["strategy"]["name"], status["strategy"]["reason"]) == ("HotSwap", names.GOING_BACK)


async def test_a_reset_swaps_to_the_base_model() -> None:
    world = await one_engine()
    no_gap(world)
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    assert await answering(world) is None
    assert status_of(world)["request"]["outcome"] == "Succeeded"
    assert status_of(world)["versions"] == [] or {item["state"] for item in status_of(world)["versions"]} == {"Deleted"}


@pytest.mark.parametrize("tampered", [False, True])
async def test_a_version_that_cannot_be_taken_over_is_out_and_the_old_one_goes_on(*, tampered: bool) -> None:
    world = await one_engine(promotion={"strategy": "HotSwap"})
    first = await answering(world)
    no_gap(world)
    world.hold_jobs.add("second-certify")
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    bad = str(first).replace(".v1.0.", ".v2.0.")
    world.failing_swaps[bad] = names.FILE_CHANGED if tampered else names.PROBE_FAILED
    world.hold_jobs.clear()
    await settle(world)
    assert dna_of(world, "second") == bad
    status = status_of(world)
    assert await answering(world) == status["current"]["dna"] == first
    assert [(item["dna"], item["reason"]) for item in status["quarantine"]] == [(bad, world.failing_swaps[bad])]
    pod, last = world.orders[-1]
    assert (last.dna, last.hold) == (first, False), "the spare slot is free again"
    # Released, it is tried anew: the pod's old word about it counts no more.
    del world.failing_swaps[bad]
    world.annotate_as_user("OneSeekModel", "zero", release=bad)
    await settle(world)
    assert await answering(world) == bad
    assert pod.startswith("zero-")


async def test_by_hand_a_version_waits_in_the_spare_slot_until_it_is_promoted() -> None:
    world = await one_engine(promotion={"strategy": "HotSwap", "mode": "Manual"})
    world.annotate_as_user("OneSeekModel", "zero", promote="candidate")
    await settle(world)
    first = await answering(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert await answering(world) == first
    assert condition(world, "OneSeekModel", "zero", names.CANDIDATE_READY)["reason"] == names.WAITING_FOR_PROMOTION
    assert world.orders[-1][1].hold
    world.annotate_as_user("OneSeekModel", "zero", promote="candidate")
    await settle(world)
    assert await answering(world) == dna_of(world, "second")


async def test_a_swap_waits_for_the_ledger_with_the_version_ready() -> None:
    world = await one_engine(promotion={"strategy": "HotSwap"})
    first = await answering(world)
    world.records_away = True
    world.apply_as_user(run_manifest("second"))
    for _ in range(30):
        await round_trip(world)
    assert await answering(world) == first
    assert condition(world, "OneSeekModel", "zero", names.RECONCILING)["reason"] == names.RECORDS_UNAVAILABLE
    world.records_away = False
    await settle(world)
    assert await answering(world) == dna_of(world, "second")


async def test_recreate_stops_the_old_one_first_and_takes_it_back_if_the_new_one_fails() -> None:
    world = await one_engine(promotion={"strategy": "Recreate"})
    running: list[int] = []
    move = world.tick

    def tick() -> None:
        move()
        running.append(sum(item["spec"]["replicas"] for item in deployments(world)))

    world.tick = tick  # type: ignore[method-assign]
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    second = dna_of(world, "second")
    assert await answering(world) == status_of(world)["current"]["dna"] == second
    assert max(running) == 1, "never two engines"
    assert status_of(world)["strategy"]["name"] == "Recreate"
    world.texts[second.replace(".v2.0.", ".v3.0.")] = " "
    world.apply_as_user(run_manifest("third"))
    await settle(world, rounds=80)
    assert await answering(world) == second
    assert status_of(world)["quarantine"][0]["reason"] == names.PROBE_FAILED
    assert max(running) == 2, "one stopped, one coming"


async def test_a_new_template_without_room_comes_up_once_the_old_deployment_is_deleted_by_hand() -> None:
    world = await one_engine()
    dna = await answering(world)
    (old,) = deployments(world)
    world.apply_as_user(model_manifest(serving={"engine": {"nodeSelector": {"gpu": "yes"}}}))
    await settle(world)
    assert await answering(world) == dna, "nothing is stopped for a template that may find no place at all"
    assert len(deployments(world)) == 2, "the new one waits for a place"
    name = old["metadata"]["name"]
    for key in [key for key in world.objects if key[2] == name or (key[0] == "Pod" and key[2].startswith(f"{name}-"))]:
        del world.objects[key]
    await settle(world)
    assert await answering(world) == status_of(world)["current"]["dna"] == dna
    assert [item["spec"]["template"]["spec"]["nodeSelector"] for item in deployments(world)] == [{"gpu": "yes"}]
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.SERVING


async def test_recreate_stops_nothing_while_the_ledger_is_away() -> None:
    world = await one_engine(promotion={"strategy": "Recreate"})
    world.records_away = True
    no_gap(world)
    world.apply_as_user(run_manifest("second"))
    for _ in range(30):
        await round_trip(world)
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"
    assert condition(world, "OneSeekModel", "zero", names.RECONCILING)["reason"] == names.RECORDS_UNAVAILABLE


async def test_a_colour_that_took_another_version_over_can_make_way_for_its_first_one_again() -> None:
    world = await one_engine(promotion={"strategy": "HotSwap"})
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    world.rooms = None
    world.apply_as_user(model_manifest(promotion={"strategy": "Auto"}, version=dna_of(world, "first")))
    await settle(world)
    assert await answering(world) == dna_of(world, "first")
    assert status_of(world)["strategy"]["name"] == "BlueGreen"
    assert len(deployments(world)) == 1
    assert len(wanted(world)) == 1, "no ConfigMap is left of a colour that is gone"


async def test_a_pod_that_was_not_told_is_told_again() -> None:
    world = await one_engine(promotion={"strategy": "HotSwap"})
    deaf = world.swap
    heard: list[str] = []

    async def swap(ip: str, request: Any) -> None:
        if not request.hold and not heard:
            heard.append(ip)  # lost on the way
            return
        await deaf(ip, request)

    world.swap = swap  # type: ignore[method-assign]
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert heard
    assert await answering(world) == dna_of(world, "second")


def ending(world: World) -> dict[str, Any]:
    status = status_of(world)
    return {
        "objects": sorted((*key[:2], key[2].split("-tree-")[0]) for key in world.objects if key[0] != "Pod"),
        "current": status["current"]["dna"],
        "previous": status.get("previous", {}).get("dna"),
        "strategy": {key: status["strategy"][key] for key in ("name", "reason")},
        "wanted": [(item.dna) for item in wanted(world)],
        "reasons": [(item["type"], item["status"], item["reason"]) for item in status["conditions"]],
        "ledger": sorted(entry.type for entry in world.ledger.values()),
    }


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
@pytest.mark.parametrize("strategy", ["Auto", "HotSwap", "Recreate"])
async def test_a_crash_at_any_write_of_a_takeover_ends_in_the_same_place(strategy: str, *, after: bool) -> None:
    prepared = await one_engine(promotion={"strategy": strategy})

    async def story(crash_at: int | None) -> tuple[World, int]:
        world = copy.deepcopy(prepared)
        world.apply_as_user(run_manifest("second"))
        start = world._mutations
        if crash_at is not None:
            world.crash_at, world.crash_after_effect = start + crash_at, after
        for _ in range(2):
            try:
                await settle(world, rounds=80)
                break
            except Crash:
                continue
        await settle(world, rounds=80)
        assert await answering(world) == status_of(world)["current"]["dna"]
        return world, world._mutations - start

    reference, total = await story(None)
    assert total > 5
    for at in range(1, total + 1):
        world, _ = await story(at)
        assert ending(world) == ending(reference), f"crash at write {at}"
        assert all(count == 1 for count in world.created_jobs.values()), (at, world.created_jobs)
