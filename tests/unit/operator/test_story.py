"""The loop over a simulated cluster: what the operator does to two manifests, and that no crash changes it."""

from __future__ import annotations

import contextlib
import copy
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.decide import ledger
from oneseek_operator.reconcile.model import reconcile as reconcile_model
from support.driver import condition, round_trip, settle
from support.ledgers import transition
from support.makers import SETTINGS, merged, model_manifest, run_manifest
from support.world import Crash, World, failed


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


async def test_two_runs_at_once_are_queued_and_both_end() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest("first"))
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    waiting = condition(world, "TrainingRun", "second")
    assert waiting["reason"] == names.QUEUED
    assert "'first'" in waiting["message"]
    world.hold_jobs.clear()
    await settle(world)
    model = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert model["current"]["dna"].startswith("OneSeek-7B-Zero.v2.0.")
    assert model["previous"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert model["counters"] == {"major": 2, "micro": 0}


@pytest.mark.parametrize(
    ("step", "reason"),
    [("prepare", names.DATASET_INVALID), ("train", names.DIVERGED), ("certify", names.ARTIFACT_INVALID)],
)
async def test_a_step_that_fails_ends_the_run_with_its_own_reason(step: str, reason: str) -> None:
    world = World()
    world.job_failures[f"first-{step}"] = failed(reason, "line 7 is not JSON")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    ready, stalled = condition(world, "TrainingRun", "first"), condition(world, "TrainingRun", "first", "Stalled")
    assert (ready["status"], ready["reason"], stalled["status"]) == ("False", reason, "True")
    assert "line 7 is not JSON" in ready["message"]
    assert any(name == "first" and why == reason for name, why, _ in world.events)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING


async def test_out_of_memory_names_the_limit() -> None:
    world = World()
    world.job_failures["first-train"] = {"exitCode": 137, "reason": "OOMKilled"}
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest(resources={"limits": {"memory": "300Mi"}}))
    await settle(world)
    ready = condition(world, "TrainingRun", "first")
    assert ready["reason"] == names.OUT_OF_MEMORY
    assert "300Mi" in ready["message"]


async def test_an_error_says_its_last_sentence() -> None:
    world = World()
    world.job_failures["first-train"] = {"exitCode": 1, "reason": "Error", "message": "a\nValueError: no such layer\n"}
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    ready = condition(world, "TrainingRun", "first")
    assert ready["reason"] == names.JOB_FAILED
    assert "code 1" in ready["message"]
    assert "no such layer" in ready["message"]


async def test_a_train_job_deleted_from_outside_fails_the_run_and_is_not_made_again() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.remove(world.objects[("Job", "team", "first-train")])
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.JOB_VANISHED
    assert world.created_jobs["first-train"] == 1


async def test_a_certify_job_deleted_from_outside_is_made_again() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.hold_jobs.add("first-certify")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.remove(world.objects[("Job", "team", "first-certify")])
    world.hold_jobs.clear()
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED
    assert world.created_jobs["first-certify"] == 2


async def test_suspending_stops_the_train_job_and_resuming_makes_the_next_attempt() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.hold_jobs |= {"first-train"}
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(merged(run_manifest(), suspend=True))
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.SUSPENDED
    assert ("Job", "team", "first-train") not in world.objects
    world.apply_as_user(merged(run_manifest(), suspend=False))
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED
    assert world.objects[("TrainingRun", "team", "first")]["status"]["attempts"] == 2
    assert world.created_jobs["first-train-2"] == 1


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
async def test_a_crash_while_suspending_leaves_no_train_job_at_work(*, after: bool) -> None:
    prepared = World()
    prepared.apply_as_user(model_manifest())
    prepared.hold_jobs |= {"first-train"}
    prepared.apply_as_user(run_manifest())
    await settle(prepared)
    for at in (1, 2):
        world = copy.deepcopy(prepared)
        world.apply_as_user(merged(run_manifest(), suspend=True))
        world.crash_at, world.crash_after_effect = sum(world.writes.values()) + at, after
        with contextlib.suppress(Crash):
            await settle(world)
        await settle(world)
        assert condition(world, "TrainingRun", "first")["reason"] == names.SUSPENDED
        assert ("Job", "team", "first-train") not in world.objects, f"crash at write {at}"
        assert world.objects[("TrainingRun", "team", "first")]["status"]["attempts"] == 2


async def test_a_resumed_run_waits_for_the_pod_of_the_attempt_before() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.hold_jobs |= {"first-train"}
    world.apply_as_user(run_manifest())
    await settle(world)
    template = world.objects[("Job", "team", "first-train")]["spec"]["template"]
    labels = template["metadata"]["labels"] | {"batch.kubernetes.io/job-name": "first-train"}
    meta = {"name": "first-train-pod", "namespace": "team", "uid": "p", "labels": labels}
    pod = {"kind": "Pod", "metadata": meta, "spec": template["spec"], "status": {"phase": "Running"}}
    world.objects[("Pod", "team", "first-train-pod")] = pod
    world.apply_as_user(merged(run_manifest(), suspend=True))
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.SUSPENDED
    world.apply_as_user(merged(run_manifest(), suspend=False))
    await settle(world)
    assert "first-train-pod" in condition(world, "TrainingRun", "first")["message"]
    assert world.created_jobs["first-train-2"] == 0
    del world.objects[("Pod", "team", "first-train-pod")]
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED


async def test_a_candidate_whose_sidecar_reports_another_dna_never_takes_over() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    world.hold_jobs.add("first-certify")
    await settle(world)
    world.hold_jobs.clear()

    async def lying(ip: str) -> SidecarState:
        return SidecarState(dna=None, base_name="tiny", ready=True, open_connections=0)

    world.state = lying  # type: ignore[method-assign]
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "current" not in status
    assert status["versions"][0]["state"] == "Rejected"
    assert status["quarantine"][0]["reason"] == names.PROBE_FAILED
    assert "was answered by the base model" in status["quarantine"][0]["message"]
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
    assert f"{old}-0" in world.draining
    world.open_connections.clear()
    await settle(world)
    assert ("Deployment", "team", old) not in world.objects


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


def flipped_ago(world: World, seconds: float) -> None:
    """Make the Service's last flip that old."""
    past = datetime.now(UTC) - timedelta(seconds=seconds)
    service = world.objects[("Service", "team", "zero")]
    service["metadata"]["annotations"][names.ANNOTATION_FLIPPED_AT] = past.strftime("%Y-%m-%dT%H:%M:%SZ")


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


async def test_a_transition_that_the_ledger_refuses_holds_no_other_back_and_is_said() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.refused_transitions = {"train"}
    world.apply_as_user(run_manifest())
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert [entry.type for entry in world.ledger.values()] == ["certify", "promote"]
    assert [item["type"] for item in status["outbox"]] == ["train"], "never dropped in silence"
    recorded = condition(world, "OneSeekModel", "zero", "RecordsAvailable")
    assert (recorded["status"], recorded["reason"]) == ("False", names.TRANSITION_REFUSED)
    assert "train" in recorded["message"]
    world.refused_transitions = set()
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", "RecordsAvailable")["reason"] == "Recorded"
    assert world.objects[("OneSeekModel", "team", "zero")]["status"]["outbox"] == []


def test_a_full_outbox_keeps_the_oldest_and_names_what_it_drops() -> None:
    entries = [transition(f"k{number}") for number in range(ledger.OUTBOX_LIMIT + 2)]
    kept, dropped = ledger.outbox(entries[:-3], ["k0"], entries[-3:])
    assert [item.idempotency_key for item in (kept[0], kept[-1])] == ["k1", f"k{ledger.OUTBOX_LIMIT}"]
    assert [item.idempotency_key for item in dropped] == [f"k{ledger.OUTBOX_LIMIT + 1}"]


async def test_a_run_without_a_model_says_so_and_goes_on_when_the_model_comes() -> None:
    world = World()
    world.apply_as_user(run_manifest())
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.MODEL_NOT_FOUND
    assert condition(world, "TrainingRun", "first", "Stalled") == {}, "not yet: they may have been applied together"
    past = datetime.now(UTC) - timedelta(seconds=31)
    meta = world.objects[("TrainingRun", "team", "first")]["metadata"]
    meta["creationTimestamp"] = past.strftime("%Y-%m-%dT%H:%M:%SZ")
    await settle(world)
    assert condition(world, "TrainingRun", "first", "Stalled")["reason"] == names.MODEL_NOT_FOUND
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED


async def test_a_model_deleted_under_a_run_fails_the_run() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.remove(world.objects[("OneSeekModel", "team", "zero")])
    await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.MODEL_DELETED
    assert ("Job", "team", "first-train") not in world.objects


async def test_a_crash_as_the_model_goes_leaves_no_job_of_its_run_at_work() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.remove(world.objects[("OneSeekModel", "team", "zero")])
    world.crash_at, world.crash_after_effect = sum(world.writes.values()) + 1, True
    with pytest.raises(Crash):
        await settle(world)
    assert condition(world, "TrainingRun", "first")["reason"] == names.MODEL_DELETED
    await settle(world)
    assert ("Job", "team", "first-train") not in world.objects


async def test_a_claim_that_is_not_there_is_named() -> None:
    world = World()
    world.apply_as_user(model_manifest(storage={"claimName": "mine"}))
    await settle(world)
    stalled = condition(world, "OneSeekModel", "zero", "Stalled")
    assert stalled["reason"] == names.CLAIM_NOT_FOUND
    assert "'mine'" in stalled["message"]


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


HELDOUT = {"evaluation": {"dataset": {"name": "heldout", "source": {"configMap": {"name": "h", "key": "h.jsonl"}}}}}


async def test_every_run_is_measured_where_the_model_names_a_held_out_set() -> None:
    world = World()
    world.apply_as_user(model_manifest(training=HELDOUT))
    world.apply_as_user(run_manifest())
    await settle(world)
    assert world.created_jobs["first-evaluate"] == 1
    assert world.objects[("TrainingRun", "team", "first")]["status"]["scores"]["factsContained"] == 0.9
    model = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert model["versions"][0]["scores"]["factsContained"] == 0.9


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


async def test_every_transition_is_in_the_ledger_once() -> None:
    world = World()
    world.scores = {"first": 0.9, "second": 0.1}
    gate = {"gate": {"minimumScores": {"factsContained": 0.5}}}
    world.apply_as_user(model_manifest(training=HELDOUT, promotion=gate))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    dna = world.objects[("OneSeekModel", "team", "zero")]["status"]["current"]["dna"]
    world.tampered.add(dna)
    await settle(world)
    steps = [entry.type for entry in world.ledger.values()]
    assert steps == [
        "train",
        "evaluate",
        "certify",
        "promote",
        "train",
        "evaluate",
        "certify",
        "reject",
        "quarantine",
        "rollback",
    ]
    promoted = next(entry for entry in world.ledger.values() if entry.type == "promote")
    assert (promoted.from_, promoted.to, promoted.object.kind) == (None, dna, "OneSeekModel")
    trained = next(entry for entry in world.ledger.values() if entry.type == "train")
    assert (trained.object.kind, trained.object.name) == ("TrainingRun", "first")
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["outbox"] == []
    assert status["ledger"]["height"] == len(world.ledger) + 1


async def test_answered_questions_that_raise_the_ledgers_head_write_no_status() -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"mode": "Manual"}))
    world.apply_as_user(run_manifest())
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["candidate"]["dna"], "it waits to be promoted, and the ledger is asked while it does"
    heights = itertools.count(100)

    async def rising(model: OneSeekModel) -> LedgerHead:
        return LedgerHead(height=next(heights), head="1" * 64)

    world.head = rising  # type: ignore[method-assign]
    before = sum(world.writes.values())
    for _ in range(10):
        await round_trip(world)
    assert next(heights) > 100, "it was asked"
    assert sum(world.writes.values()) == before


async def test_records_in_firestore_without_an_image_for_them_are_said_and_serving_goes_on() -> None:
    world = World()
    firestore = {"projectID": "team-records", "emulatorHost": "emulator:8080"}
    world.apply_as_user(model_manifest(records={"firestore": firestore}))
    await settle(world)
    told = condition(world, "OneSeekModel", "zero", "RecordsAvailable")
    assert (told["status"], told["reason"]) == ("False", names.RECORDS_UNAVAILABLE)
    assert "set the chart's images.firestore" in told["message"]
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "the base model answers"
    assert ("StatefulSet", "team", "zero-records") not in world.objects


async def test_a_ledger_that_never_answered_is_asked_again_though_nothing_waits_for_it() -> None:
    world = World()
    world.records_away = True
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", "RecordsAvailable")["status"] == "False"
    assert world.objects[("OneSeekModel", "team", "zero")]["status"]["outbox"] == []
    told = await reconcile_model("team", "zero", cluster=world, sidecars=world, records=world, settings=SETTINGS)
    assert told is not None
    assert told <= 10


async def test_with_the_ledger_away_serving_goes_on_and_promotion_waits() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.records_away = True
    world.apply_as_user(run_manifest())
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "current" not in status
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "the base model answers"
    assert condition(world, "OneSeekModel", "zero", "Reconciling")["reason"] == names.RECORDS_UNAVAILABLE
    assert condition(world, "OneSeekModel", "zero", "RecordsAvailable")["status"] == "False"
    assert [item["type"] for item in status["outbox"]] == ["train", "certify"]
    world.records_away = False
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert [entry.type for entry in world.ledger.values()] == ["train", "certify", "promote"]


async def test_with_the_ledger_away_going_back_from_a_bad_version_does_not_wait() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    before = world.objects[("OneSeekModel", "team", "zero")]["status"]
    world.records_away = True
    world.tampered.add(before["current"]["dna"])
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"] == before["previous"]["dna"]
    assert [item["type"] for item in status["outbox"]] == ["quarantine", "rollback"]


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
