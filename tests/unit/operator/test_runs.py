"""What becomes of runs: queued, failed, deleted under the operator, suspended and taken up again, measured."""

from __future__ import annotations

import contextlib
import copy
from datetime import UTC, datetime, timedelta

import pytest

from oneseek_core import names
from support.driver import condition, settle
from support.makers import HELDOUT, merged, model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash
from support.world.nodes import failed


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


async def test_every_run_is_measured_where_the_model_names_a_held_out_set() -> None:
    world = World()
    world.apply_as_user(model_manifest(training=HELDOUT))
    world.apply_as_user(run_manifest())
    await settle(world)
    assert world.created_jobs["first-evaluate"] == 1
    assert world.objects[("TrainingRun", "team", "first")]["status"]["scores"]["factsContained"] == 0.9
    model = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert model["versions"][0]["scores"]["factsContained"] == 0.9
