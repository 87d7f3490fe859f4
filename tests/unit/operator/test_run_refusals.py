"""What the API server refuses of a run: it waits, or ends at once or after a while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oneseek_core import names
from oneseek_operator.errors import ClusterError
from support.driver import age, condition, round_trip, settle
from support.makers import HELDOUT, model_manifest, run_manifest
from support.refusals import JOBS_QUOTA, POLICY, RBAC, SECURITY, SILENT
from support.world import World


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate", "certify"])
async def test_a_run_whose_job_is_refused_says_so_is_stalled_and_goes_on(step: str) -> None:
    world = World()
    world.apply_as_user(model_manifest(training=HELDOUT))
    before = {"train": "prepare", "evaluate": "train", "certify": "evaluate"}.get(step)
    world.hold_jobs |= {f"first-{before}"} if before else set()
    await settle(world)
    world.apply_as_user(run_manifest())
    if before:
        await settle(world)
    world.refused["create", "Job"] = ClusterError(JOBS_QUOTA.replace("zero-base", f"first-{step}"), status=403)
    world.hold_jobs.clear()
    await settle(world)
    key = ("TrainingRun", "first")
    assert condition(world, *key)["reason"] == names.QUOTA_EXCEEDED
    assert f"the Job 'first-{step}'" in condition(world, *key)["message"]
    assert condition(world, *key, "Reconciling")["reason"] == names.QUOTA_EXCEEDED
    age(world, ("TrainingRun", "team", "first"), timedelta(minutes=6))
    await settle(world)
    assert condition(world, *key, "Stalled")["reason"] == names.QUOTA_EXCEEDED
    world.refused.clear()
    await settle(world)
    assert condition(world, *key)["reason"] == names.CERTIFIED
    assert condition(world, *key, "Applied") == {}


INVALID = 'Job.batch "first-train" is invalid: spec.template.spec.nodeSelector: Invalid value: "gpu!": a valid label must be an empty string or consist of alphanumeric characters'


RUN = ("TrainingRun", "team", "first")


async def ready_to_train(*, held: str = "") -> World:
    """A model that answers, and two runs, of which the first has come to the Job `held`."""
    world = World()
    world.hold_jobs |= {held} if held else set()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    return world


@pytest.mark.parametrize(("step", "before"), [("prepare", ""), ("train", "first-prepare"), ("certify", "first-train")])
async def test_a_job_that_is_invalid_ends_the_run_at_once_and_frees_the_queue(step: str, before: str) -> None:
    world = World()
    world.hold_jobs |= {before} if before else set()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    if before:
        await settle(world)
    world.apply_as_user(run_manifest("second"))
    sentence = INVALID.replace("first-train", f"first-{step}")
    world.refused["create", "Job"] = ClusterError(sentence, status=422)
    world.hold_jobs.clear()
    for _ in range(3):
        await round_trip(world)
        world.refused = {} if "completedAt" in world.objects[RUN]["status"] else world.refused
    status = world.objects[RUN]["status"]
    assert condition(world, *RUN[::2], "Stalled")["reason"] == names.INVALID
    assert f"the API server refuses the Job 'first-{step}': {sentence}" in status["exitReason"]
    assert "oneseek.io/retry" in condition(world, *RUN[::2])["message"]
    assert condition(world, *RUN[::2], "Applied") == {}
    await settle(world)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    assert condition(world, *RUN[::2])["reason"] == names.CERTIFIED, "and it can be retried"


LASTING = [(POLICY, names.POLICY_DENIED), (SECURITY, names.POD_SECURITY_VIOLATION), (RBAC, names.FORBIDDEN)]


PASSING = [(403, JOBS_QUOTA, names.QUOTA_EXCEEDED), (500, SILENT, names.WEBHOOK_FAILED)]


@pytest.mark.parametrize(("message", "reason"), LASTING, ids=[row[1] for row in LASTING])
async def test_a_refusal_that_no_waiting_mends_ends_the_run_after_a_while(message: str, reason: str) -> None:
    world = await ready_to_train(held="first-prepare")
    world.refused["create", "Job"] = ClusterError(message, status=403)
    world.hold_jobs.clear()
    await settle(world)
    assert condition(world, *RUN[::2], "Reconciling")["reason"] == reason, "a person may mend it meanwhile"
    assert condition(world, "TrainingRun", "second")["reason"] == names.QUEUED
    age(world, RUN, timedelta(minutes=6))
    await round_trip(world)
    assert condition(world, *RUN[::2], "Stalled")["reason"] == reason
    assert message[:50] in world.objects[RUN]["status"]["exitReason"]
    world.refused.clear()
    await settle(world)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED


async def test_a_refusal_that_is_mended_while_no_operator_ran_ends_nothing() -> None:
    world = await ready_to_train(held="first-prepare")
    world.refused["create", "Job"] = ClusterError(POLICY, status=403)
    world.hold_jobs.clear()
    await settle(world)
    age(world, RUN, timedelta(hours=6))
    world.refused.clear()
    await settle(world)
    assert condition(world, *RUN[::2])["reason"] == names.CERTIFIED


@pytest.mark.parametrize(("status", "message", "reason"), PASSING, ids=[row[2] for row in PASSING])
async def test_a_refusal_that_passes_is_waited_for_and_the_queue_says_what_is_the_matter(
    status: int, message: str, reason: str
) -> None:
    world = await ready_to_train(held="first-prepare")
    world.refused["create", "Job"] = ClusterError(message, status=status)
    world.hold_jobs.clear()
    await settle(world)
    age(world, RUN, timedelta(hours=6))
    await settle(world)
    assert condition(world, *RUN[::2], "Stalled")["reason"] == reason
    assert "completedAt" not in world.objects[RUN]["status"]
    queued = condition(world, "TrainingRun", "second", "Stalled")
    assert queued["reason"] == names.QUEUED
    assert (
        f"waiting for the run 'first': a model trains one run at a time, and that one is stuck ({reason}: "
        in queued["message"]
    )
    assert "mend that, or delete 'first'" in queued["message"]
    world.refused.clear()
    await settle(world)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED


@pytest.mark.parametrize("step", ["prepare", "train", "certify"])
async def test_a_pod_that_is_refused_for_good_ends_the_run_and_its_job(step: str) -> None:
    world = await ready_to_train(held=f"first-{step}")
    world.pods_refused = SECURITY
    world.hold_jobs.clear()
    await settle(world)
    assert condition(world, *RUN[::2], "Reconciling")["reason"] == names.POD_SECURITY_VIOLATION
    age(world, RUN, timedelta(minutes=6))
    await round_trip(world)
    status = world.objects[RUN]["status"]
    assert condition(world, *RUN[::2], "Stalled")["reason"] == names.POD_SECURITY_VIOLATION
    assert f"no pod is made for Job 'first-{step}'" in status["exitReason"]
    world.pods_refused = ""
    await settle(world)
    assert ("Job", "team", f"first-{step}") not in world.objects
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED
