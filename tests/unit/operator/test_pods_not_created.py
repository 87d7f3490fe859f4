"""Pods that a controller cannot create: the object says why, and gives way or recovers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oneseek_core import names
from support.driver import RECONCILE, age, condition, round_trip, settle
from support.makers import HELDOUT, SETTINGS, model_manifest, run_manifest
from support.refusals import LIMIT, MODEL, PODS_QUOTA, SECURITY, WEBHOOK
from support.world import World


async def reconciled(world: World, kind: str, name: str) -> float | None:
    """One reconcile; seconds until the next look."""
    ports = ("sidecars", "records", "authority") if kind == "OneSeekModel" else ()
    more: dict[str, Any] = dict.fromkeys(ports, world)
    wait: float | None = await RECONCILE[kind]("team", name, cluster=world, settings=SETTINGS, **more)
    return wait


PODS = [(PODS_QUOTA, names.QUOTA_EXCEEDED), (SECURITY, names.POD_SECURITY_VIOLATION), (LIMIT, names.FORBIDDEN)]


PODS += [(WEBHOOK, names.POLICY_DENIED), ("the node is on fire", names.FAILED_CREATE)]


@pytest.mark.parametrize(("message", "reason"), PODS, ids=[row[1] for row in PODS])
async def test_pods_that_are_never_made_are_told_with_the_api_servers_sentence(message: str, reason: str) -> None:
    world = World()
    world.pods_refused = message
    world.apply_as_user(model_manifest())
    await settle(world)
    ready = condition(world, *MODEL[::2])
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert message[:50] in ready["message"]
    assert "zero-base" in ready["message"]
    assert 0 < (await reconciled(world, "OneSeekModel", "zero") or 0) <= 5.0, "no watch tells that a pod is not made"
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert condition(world, *MODEL[::2], "Stalled")["reason"] == reason
    assert (await reconciled(world, "OneSeekModel", "zero") or 0) >= 10.0
    world.pods_refused = ""
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate", "certify"])
async def test_a_runs_pod_that_is_never_made_is_told(step: str) -> None:
    world = World()
    world.apply_as_user(model_manifest(training=HELDOUT))
    await settle(world)
    world.hold_jobs.add(f"first-{step}")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.pods_refused = PODS_QUOTA
    world.hold_jobs.clear()
    await settle(world)
    key = ("TrainingRun", "first")
    assert condition(world, *key)["reason"] == names.QUOTA_EXCEEDED
    assert f"no pod is made for Job 'first-{step}'" in condition(world, *key)["message"]
    age(world, ("TrainingRun", "team", "first"), timedelta(minutes=6))
    await settle(world)
    assert condition(world, *key, "Stalled")["reason"] == names.QUOTA_EXCEEDED
    world.pods_refused = ""
    await settle(world)
    assert condition(world, *key)["reason"] == names.CERTIFIED


async def test_an_engine_a_records_service_and_a_second_replica_without_a_pod_are_told() -> None:
    world = World()
    world.hold_jobs.add("zero-base")
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.clear()
    tick = world.tick

    def engines_only() -> None:
        world.pods_refused = ""
        tick()

    await round_trip(world)
    world.tick()
    world.pods_refused = PODS_QUOTA
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.QUOTA_EXCEEDED
    assert "no pod is made for Deployment" in condition(world, *MODEL[::2])["message"]
    engines_only()
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING
    world.pods_refused = PODS_QUOTA
    world.objects["StatefulSet", "team", "zero-records"]["status"] = {}
    await settle(world)
    assert condition(world, *MODEL[::2], "RecordsAvailable")["reason"] == names.QUOTA_EXCEEDED
    assert (condition(world, *MODEL[::2])["status"], condition(world, *MODEL[::2], "Reconciling")["reason"]) == (
        "True",
        names.QUOTA_EXCEEDED,
    )
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert condition(world, *MODEL[::2], "Stalled")["reason"] == names.QUOTA_EXCEEDED
    engines_only()
    await settle(world)
    assert condition(world, *MODEL[::2], "Stalled") == {}
    world.pods_refused = PODS_QUOTA
    world.apply_as_user(model_manifest(serving={"replicas": 2}))
    await settle(world)
    assert condition(world, *MODEL[::2])["status"] == "True", "one of the two answers"
    assert condition(world, *MODEL[::2], "Reconciling")["reason"] == names.QUOTA_EXCEEDED


async def test_a_candidate_whose_pod_a_quota_refuses_gives_way_to_the_engine_that_runs() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.add("first-certify")
    world.apply_as_user(run_manifest())
    await settle(world)
    tick = world.tick

    def refuse_engines() -> None:
        tick()
        world.pods_refused = PODS_QUOTA
        for (kind, _, _), item in world.objects.items():
            for one in item["status"].get("conditions", []) if kind == "Deployment" else []:
                one["lastTransitionTime"] = "2025-01-01T00:00:00Z"

    world.hold_jobs.clear()
    await round_trip(world)
    world.tick = refuse_engines  # type: ignore[method-assign]
    await settle(world)
    status = world.objects[MODEL]["status"]
    assert status["current"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert (status["strategy"]["name"], status["strategy"]["reason"]) == ("HotSwap", names.NO_ROOM)
