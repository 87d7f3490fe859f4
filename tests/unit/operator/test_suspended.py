"""A suspended model: nothing starts, nothing is left running, and it comes back with its version."""

from __future__ import annotations

from oneseek_core import names
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.refusals import MODEL
from support.world import World


async def test_a_suspended_model_starts_nothing_and_begins_when_it_is_resumed() -> None:
    world = World()
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    assert not [key for key in world.objects if key[0] in ("Job", "StatefulSet", "Deployment", "Service", "Pod")]
    assert not [key for key in world.objects if key[0] == "PersistentVolumeClaim"]
    assert condition(world, *MODEL[::2])["reason"] == names.SUSPENDED
    assert condition(world, *MODEL[::2], "Reconciling") == condition(world, *MODEL[::2], "Stalled") == {}
    before = sum(world.writes.values())
    await round_trip(world)
    assert sum(world.writes.values()) == before
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING


async def test_a_model_suspended_later_has_no_pod_left_and_comes_back_with_its_version() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    dna = world.objects[MODEL]["status"]["current"]["dna"]
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    assert not world.serving_pods()
    assert world.objects["StatefulSet", "team", "zero-records"]["spec"]["replicas"] == 0
    assert condition(world, *MODEL[::2])["reason"] == names.SUSPENDED
    assert world.objects[MODEL]["status"]["current"]["dna"] == dna
    world.apply_as_user(model_manifest())
    await settle(world)
    assert world.objects["StatefulSet", "team", "zero-records"]["spec"]["replicas"] == 1
    assert condition(world, *MODEL[::2])["reason"] == names.SERVING


async def test_a_model_suspended_while_its_base_is_imported_stops_its_records_and_goes_on_when_resumed() -> None:
    world = World()
    world.hold_jobs.add("zero-base")
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(model_manifest(suspend=True))
    world.hold_jobs.clear()
    await settle(world)
    assert world.objects["StatefulSet", "team", "zero-records"]["spec"]["replicas"] == 0
    assert not [key for key in world.objects if key[0] == "Deployment"]
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING
    assert world.created_jobs["zero-base"] == 1


async def test_records_of_a_suspended_model_run_while_a_run_or_a_request_needs_them() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    records = world.objects["StatefulSet", "team", "zero-records"]["spec"]
    assert records["replicas"] == 1, "the run under way goes on, and what it makes is entered"
    world.hold_jobs.clear()
    await settle(world)
    records = world.objects["StatefulSet", "team", "zero-records"]["spec"]
    assert records["replicas"] == 0
    assert "certify" in {entry.type for entry in world.ledger.values()}
    assert world.objects[MODEL]["status"]["outbox"] == []
