"""Which colour answers: candidates that lie or were tampered with, old colours that are let go, changed templates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.serving.sidecar import SidecarState
from support.driver import condition, settle
from support.makers import HELDOUT, model_manifest, run_manifest
from support.world import World


async def test_a_candidate_whose_sidecar_reports_another_dna_never_takes_over() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    world.hold_jobs.add("first-certify")
    await settle(world)
    world.hold_jobs.clear()

    real = world.state

    async def lying(ip: str) -> SidecarState:
        return (await real(ip)).model_copy(update={"dna": None})

    world.state = lying  # type: ignore[method-assign]
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "current" not in status
    assert status["versions"][0]["state"] == "Rejected"
    assert status["quarantine"][0]["reason"] == names.PROBE_FAILED
    assert "reports the base model" in status["quarantine"][0]["message"]
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "the base model still answers"


async def test_an_old_colour_waits_for_its_open_connections() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    old = next(key[2] for key in world.objects if key[0] == "Deployment")
    world.open_connections[f"{old}-0"] = 3
    world.apply_as_user(run_manifest())
    await settle(world)
    assert ("Deployment", "team", old) in world.objects
    assert world.handovers[f"{old}-0"].addresses, "it passes on what still comes"
    world.open_connections.clear()
    await settle(world)
    assert ("Deployment", "team", old) not in world.objects


def flipped_ago(world: World, seconds: float) -> None:
    """Make the Service's last flip that old."""
    past = datetime.now(UTC) - timedelta(seconds=seconds)
    service = world.objects[("Service", "team", "zero")]
    service["metadata"]["annotations"][names.ANNOTATION_FLIPPED_AT] = past.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_connections_that_never_close_do_not_hold_the_old_colour_for_ever() -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"keepWarmSeconds": 60}))
    await settle(world)
    old = next(key[2] for key in world.objects if key[0] == "Deployment")
    world.open_connections[f"{old}-0"] = 3
    world.apply_as_user(run_manifest())
    await settle(world)
    assert ("Deployment", "team", old) in world.objects
    service = world.objects[("Service", "team", "zero")]
    past = datetime.now(UTC) - timedelta(seconds=61)
    service["metadata"]["annotations"][names.ANNOTATION_FLIPPED_AT] = past.strftime("%Y-%m-%dT%H:%M:%SZ")
    await settle(world)
    assert ("Deployment", "team", old) not in world.objects


async def test_an_old_colour_waits_until_the_ledger_has_what_it_answered_but_not_for_ever() -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"keepWarmSeconds": 60}))
    await settle(world)
    old = next(key[2] for key in world.objects if key[0] == "Deployment")
    world.spooled[f"{old}-0"] = 7
    world.apply_as_user(run_manifest())
    await settle(world)
    flipped_ago(world, 60 + names.SPOOL_SECONDS - 30)
    await settle(world)
    assert ("Deployment", "team", old) in world.objects
    world.spooled.clear()
    await settle(world)
    assert ("Deployment", "team", old) not in world.objects


async def test_an_old_colour_whose_answers_never_reach_the_ledger_goes_when_its_time_is_over() -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"keepWarmSeconds": 60}))
    await settle(world)
    old = next(key[2] for key in world.objects if key[0] == "Deployment")
    world.spooled[f"{old}-0"] = 7
    world.apply_as_user(run_manifest())
    await settle(world)
    flipped_ago(world, 61 + names.SPOOL_SECONDS)
    await settle(world)
    assert ("Deployment", "team", old) not in world.objects


async def test_answers_that_a_stopping_pod_gives_up_are_counted_in_one_event() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    pod = next(item for key, item in world.objects.items() if key[0] == "Pod" and key[2].endswith("-0"))
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.abandoned[pod["metadata"]["name"]] = 7
    await settle(world)
    told = [message for _, reason, message in world.events if reason == names.ANSWERS_NOT_RECORDED]
    assert len(told) == 1
    assert f"pod {pod['metadata']['name']} ended with 7 answered questions" in told[0]


async def test_a_serving_change_rolls_out_as_another_colour() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    before = world.objects[("OneSeekModel", "team", "zero")]["status"]["colour"]
    world.apply_as_user(model_manifest(serving={"engine": {"nodeSelector": {"gpu": "yes"}}}))
    await settle(world)
    after = world.objects[("OneSeekModel", "team", "zero")]["status"]["colour"]
    assert before != after
    assert [key[2] for key in world.objects if key[0] == "Deployment"] == [f"zero-{after}"]
    assert world.objects[("Service", "team", "zero")]["spec"]["selector"][names.LABEL_COLOUR] == after


async def test_replicas_change_within_the_colour() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(model_manifest(serving={"replicas": 3}))
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["replicas"] == 3
    assert len([key for key in world.objects if key[0] == "Deployment"]) == 1


async def test_a_version_that_misses_the_gate_is_rejected_with_the_numbers_and_never_serves() -> None:
    world = World()
    world.scores = {"first": 0.9, "second": 0.6}
    gate = {"gate": {"minimumScores": {"factsContained": 0.5}, "maximumRegression": 0.1}}
    world.apply_as_user(model_manifest(training=HELDOUT, promotion=gate))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    model = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert model["current"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert [(item["state"], item["run"]) for item in model["versions"]] == [
        ("Rejected", "second"),
        ("Current", "first"),
    ]
    assert "0.300 below the 0.900" in model["versions"][0]["reason"]
    assert any(reason == "Rejected" and "GateMissed" in message for _, reason, message in world.events)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED, "it is kept for inspection"
    # A looser gate lets it in.
    world.apply_as_user(model_manifest(training=HELDOUT, promotion={"gate": {"maximumRegression": 0.5}}))
    await settle(world)
    assert world.objects[("OneSeekModel", "team", "zero")]["status"]["current"]["dna"].startswith(
        "OneSeek-7B-Zero.v2.0."
    )


async def test_a_tampered_version_is_quarantined_and_the_last_good_one_answers() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    before = world.objects[("OneSeekModel", "team", "zero")]["status"]
    world.tampered.add(before["current"]["dna"])
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"] == before["previous"]["dna"]
    assert [(item["dna"], item["reason"]) for item in status["quarantine"]] == [
        (before["current"]["dna"], "FileChanged")
    ]
    assert status["versions"][0]["state"] == "Quarantined"
    assert "previous" not in status, "what is in quarantine is nothing to go back to"
    assert "in quarantine" in condition(world, "OneSeekModel", "zero")["message"]
    assert condition(world, "OneSeekModel", "zero", "Verified")["status"] == "True"
    assert any(reason == "Quarantined" for _, reason, _ in world.events)


async def test_with_every_version_tampered_the_base_model_answers() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    dna = world.objects[("OneSeekModel", "team", "zero")]["status"]["current"]["dna"]
    world.tampered.add(dna)
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "current" not in status
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
    assert "points at nothing" in condition(world, "OneSeekModel", "zero", "CurrentPublished")["message"]


@pytest.mark.parametrize("first", ["tree", "prune"])
async def test_one_job_at_a_time_moves_current_or_deletes_what_retention_gives_up(first: str) -> None:
    world = World()
    world.apply_as_user(model_manifest(retention={"keepVersions": 1}))
    most = 0
    create = world.create

    def at_work() -> list[str]:
        jobs = [item for (kind, _, _), item in world.objects.items() if kind == "Job" and "status" not in item]
        names = [item["metadata"]["name"] for item in jobs]
        return [name for name in names if "-tree-" in name or "-prune-" in name]

    async def counting(manifest: dict[str, Any], *, dry_run: bool = False) -> bool:
        nonlocal most
        made = await create(manifest, dry_run=dry_run)
        most = max(most, len(at_work()))
        if f"-{first}-" in manifest["metadata"]["name"]:
            world.hold_jobs.add(manifest["metadata"]["name"])  # this one takes its time
        return made

    world.create = counting  # type: ignore[method-assign]
    for name in ("first", "second", "third", "fourth"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
        for _ in range(4):
            world.hold_jobs.clear()
            await settle(world)
    assert most == 1
    told = world.objects[("OneSeekModel", "team", "zero")]["status"]["versions"]
    assert [item["state"] for item in told] == ["Current", "Previous", "Deleted", "Deleted"]


async def test_retention_deletes_old_versions_and_never_what_a_way_back_needs() -> None:
    world = World()
    world.apply_as_user(model_manifest(retention={"keepVersions": 1}))
    for name in ("first", "second", "third"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    states = {item["run"]: item["state"] for item in status["versions"]}
    assert states == {"third": "Current", "second": "Previous", "first": "Deleted"}
    deleted = [entry.dna for entry in world.ledger.values() if entry.type == "delete"]
    assert deleted == [item["dna"] for item in status["versions"] if item["state"] == "Deleted"]
    assert not [key for key in world.objects if key[0] == "Job" and "-prune-" in key[2]], "its Job is cleaned away"
    assert [entry.type for entry in world.ledger.values()].count("promote") == 3
