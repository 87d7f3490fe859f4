"""The loop over a simulated cluster: what the operator does to two manifests, and that no crash changes it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from oneseek_core import names
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash


def canonical(world: World) -> dict[str, Any]:
    """What must be the same at the end, however often the operator crashed."""
    model = world.objects[("OneSeekModel", "team", "zero")]["status"]
    run = world.objects[("TrainingRun", "team", "first")]["status"]
    return {
        "objects": sorted((*key[:2], key[2].split("-tree-")[0]) for key in world.objects if key[0] != "Pod"),
        "model": {key: model.get(key) for key in ("counters", "baseModel", "colour", "replicas", "selector", "url")},
        "current": model["current"]["dna"].rsplit(".", 2)[0],
        "states": [(item["state"]) for item in model["versions"]],
        "reasons": [(item["type"], item["status"], item["reason"]) for item in model["conditions"]],
        "ledger": sorted(entry.type for entry in world.ledger.values()),
        "outbox": model["outbox"],
        "run": [(item["type"], item["status"], item["reason"]) for item in run["conditions"]],
    }


async def test_a_model_alone_serves_its_base() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "current" not in status
    assert status["observedGeneration"] == 1


async def test_a_run_ends_certified_and_its_version_answers() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    run = world.objects[("TrainingRun", "team", "first")]["status"]
    model = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert run["dna"].startswith("OneSeek-7B-Zero.v1.0.ensv.dsIdentity.")
    assert model["current"]["dna"] == run["dna"]
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.SERVING
    assert condition(world, "OneSeekModel", "zero", "CurrentPublished")["status"] == "True"
    assert [item["state"] for item in model["versions"]] == ["Current"]
    deployments = [key for key in world.objects if key[0] == "Deployment"]
    assert len(deployments) == 1, "the base model's colour is gone"
    assert all(count == 1 for count in world.created_jobs.values()), world.created_jobs


async def test_nothing_is_written_when_nothing_changes() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    before = sum(world.writes.values())
    for _ in range(20):
        await round_trip(world)
    assert sum(world.writes.values()) == before


async def test_the_spec_is_never_written() -> None:
    world = World()
    manifest = model_manifest()
    world.apply_as_user(manifest)
    world.apply_as_user(run_manifest())
    await settle(world)
    assert world.objects[("OneSeekModel", "team", "zero")]["spec"] == manifest["spec"]
    assert world.objects[("TrainingRun", "team", "first")]["spec"] == run_manifest()["spec"]


async def unbroken() -> World:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
async def test_a_crash_at_any_write_ends_in_the_same_place(*, after: bool) -> None:
    reference = await unbroken()
    total = sum(reference.writes.values())
    assert total > 15
    for at in range(1, total + 1):
        world = World()
        world.crash_at, world.crash_after_effect = at, after
        world.apply_as_user(model_manifest())
        world.apply_as_user(run_manifest())
        crashed = False
        for _ in range(2):
            try:
                await settle(world)
                break
            except Crash:
                crashed = True
        assert crashed, at
        await settle(world)
        assert canonical(world) == canonical(reference), f"crash at write {at}"
        assert all(count == 1 for count in world.created_jobs.values()), (at, world.created_jobs)


async def test_a_claim_that_is_not_there_is_named() -> None:
    world = World()
    world.apply_as_user(model_manifest(storage={"claimName": "mine"}))
    await settle(world)
    stalled = condition(world, "OneSeekModel", "zero", "Stalled")
    assert stalled["reason"] == names.CLAIM_NOT_FOUND
    assert "'mine'" in stalled["message"]


async def test_the_trusted_key_fits_the_signing_key_whatever_crashes_between() -> None:
    for at in range(1, 7):
        for after in (False, True):
            world = World()
            world.crash_at, world.crash_after_effect = at, after
            world.apply_as_user(model_manifest())
            try:
                await settle(world)
            except Crash:
                await settle(world)
            private = world.objects[("Secret", "team", "zero-signing-keys")]["stringData"]["signing.key"]
            key = serialization.load_pem_private_key(private.encode(), None).public_key()
            public = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            trusted = world.objects[("ConfigMap", "team", "zero-trusted-keys")]
            assert trusted["data"]["model.pub"] == public.decode(), (at, after)
            assert trusted["metadata"]["annotations"][names.ANNOTATION_KEYS] == "ready"


async def test_a_signing_key_whose_public_half_is_lost_is_said_with_what_to_do() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    config, secret = ("ConfigMap", "team", "zero-trusted-keys"), ("Secret", "team", "zero-signing-keys")
    kept = world.objects.pop(config)
    await settle(world)
    told = condition(world, "OneSeekModel", "zero", "Stalled")
    assert told["reason"] == names.PUBLIC_KEY_LOST
    assert "restore the ConfigMap 'zero-trusted-keys'" in told["message"]
    assert [key for key in world.objects if key[0] == "Deployment"], "what answers goes on answering"
    world.objects[config] = kept
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.SERVING
    old = world.objects[secret]["stringData"]["signing.key"]
    world.objects.pop(config)
    await settle(world)
    del world.objects[config], world.objects[secret]
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.SERVING
    assert world.objects[secret]["stringData"]["signing.key"] != old


async def test_a_users_own_signing_key_is_not_made_and_not_read() -> None:
    world = World()
    public = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
    own = {"signingKeySecret": "ours", "trustedKeys": [public]}
    world.apply_as_user(model_manifest(certification=own))
    world.apply_as_user(run_manifest())
    await settle(world)
    assert ("Secret", "team", "zero-signing-keys") not in world.objects
    assert world.objects[("ConfigMap", "team", "zero-trusted-keys")]["data"] == {"trusted-0.pub": public}
    job = world.objects[("Job", "team", "first-certify")]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert {"name": "keys", "secret": {"secretName": "ours", "defaultMode": 0o440}} in volumes
