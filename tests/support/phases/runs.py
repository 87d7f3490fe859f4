"""A run from the apply to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from oneseek_core import names
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import success_message
from oneseek_core.jobs.prepare import PrepareReport
from support.driver import round_trip, settle
from support.makers import HELDOUT, merged, model_manifest, run_manifest
from support.phases.phase import Means, Phases
from support.phases.scenes import (
    LONG_AGO,
    MODEL,
    NO_IMAGE,
    PODS_QUOTA,
    RUN,
    delete,
    long_since,
    refuse_jobs,
    stuck_pod,
    world_of,
)
from support.world import World
from support.world.nodes import failed

__all__ = ["PHASES"]

PHASES = Phases()


@PHASES.add("run-fresh", "just applied; only the status that the schema defaults", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.apply_as_user(run_manifest())
    return world


@PHASES.add("run-model-not-yet", "applied together with its model, seen first", Means.UNDER_WAY)
async def _() -> World:
    return await world_of(run_manifest())


@PHASES.add("run-model-not-found", "`modelRef` names no model", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(run_manifest())
    world.objects[RUN]["metadata"]["creationTimestamp"] = LONG_AGO
    await settle(world)
    return world


@PHASES.add("run-model-not-ready", "the model's base is still being imported", Means.UNDER_WAY)
async def _() -> World:
    return await world_of(model_manifest(), run_manifest(), hold="zero-base")


@PHASES.add("run-model-stalled", "the model's base could not be imported", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["zero-base"] = failed(names.BASE_UNAVAILABLE, "there is no repository owner/name at the hub")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


def _queued(*, first_suspended: bool = False) -> Callable[[], Awaitable[World]]:
    async def bring_about() -> World:
        world = await world_of(model_manifest(), run_manifest("ahead"), hold="ahead-train")
        world.objects[("TrainingRun", "team", "ahead")]["metadata"]["creationTimestamp"] = LONG_AGO
        if first_suspended:
            world.apply_as_user(run_manifest("ahead", suspend=True))
            await settle(world)
        world.apply_as_user(run_manifest())
        await settle(world)
        return world

    return bring_about


PHASES.add("run-queued", "another run of the model goes first", Means.UNDER_WAY)(_queued())
PHASES.add("run-queued-behind-suspended", "the run that goes first is suspended", Means.NEEDS_A_PERSON)(
    _queued(first_suspended=True)
)


@PHASES.add("run-suspended", "`suspend` before it started", Means.STOPPED)
async def _() -> World:
    return await world_of(model_manifest(), run_manifest(suspend=True))


@PHASES.add("run-suspended-midway", "`suspend` while it trained", Means.STOPPED)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-train")
    world.apply_as_user(merged(run_manifest(), suspend=True))
    await settle(world)
    return world


def _step(step: str, **spec: Any) -> Callable[[], Awaitable[World]]:
    async def bring_about() -> World:
        return await world_of(model_manifest(**spec), run_manifest(), hold=f"first-{step}")

    return bring_about


PHASES.add("run-preparing", "fetching and checking the data", Means.UNDER_WAY)(_step("prepare"))


@PHASES.add("run-training", "training", Means.UNDER_WAY)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-train")
    stuck_pod(world, "first-train", {})
    world.objects[("Pod", "team", "first-train-pod")]["status"] = {"phase": "Running"}

    async def log_tail(namespace: str, pod: str, *, container: str, lines: int) -> str:
        del namespace, pod, container, lines
        return (
            '{"percent":40,"step":40,"steps":100,"epoch":1,"epochs":2,"loss":1.25,"tokensPerSecond":812.5,'
            '"etaSeconds":90,"curve":[]}'
        )

    world.log_tail = log_tail  # type: ignore[method-assign]
    await settle(world)
    return world


@PHASES.add("run-image-unavailable", "the train pod's image cannot be pulled, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-train")
    stuck_pod(world, "first-train", NO_IMAGE)
    await settle(world)
    return world


PHASES.add("run-evaluating", "answering the held-out questions", Means.UNDER_WAY)(_step("evaluate", training=HELDOUT))
PHASES.add("run-certifying", "checking, signing and sealing", Means.UNDER_WAY)(_step("certify"))


@PHASES.add("run-certified", "certified", Means.DONE)
async def _() -> World:
    return await world_of(model_manifest(), run_manifest())


@PHASES.add("run-already-certified", "the claim holds a version this very run made before", Means.DONE)
async def _() -> World:
    before = await world_of(model_manifest(), run_manifest())
    status = before.objects[RUN]["status"]
    version = CertifiedVersion(dna=status["dna"], digest=status["digest"], created_at=LONG_AGO, run="first")
    world = World()
    report = world._report
    found = success_message(PrepareReport(already_certified=version))
    world._report = lambda job: found if "-prepare" in job["metadata"]["name"] else report(job)  # type: ignore[method-assign]
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@PHASES.add("run-bad-data", "the data is bad", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["first-prepare"] = failed(names.DATASET_INVALID, "oneseek_identity_v1: line 3 is not JSON")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@PHASES.add("run-out-of-memory", "the train pod was killed at its memory limit", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["first-train"] = {"exitCode": 137, "reason": "OOMKilled", "message": ""}
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@PHASES.add("run-model-deleted", "its model was deleted under it", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-train")
    world.remove(world.objects[MODEL])
    await settle(world)
    return world


@PHASES.add("run-model-suspended", "its model is suspended", Means.STOPPED)
async def _() -> World:
    world = await world_of(model_manifest())
    world.apply_as_user(model_manifest(suspend=True))
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@PHASES.add("run-model-reset", "a reset of its model stopped it", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest("before"))
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    return world


@PHASES.add("run-retried", "failed, and tried again by request", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.job_failures["first-train"] = {"exitCode": 1, "reason": "Error", "message": "no space"}
    world.hold_jobs.add("first-train-2")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    return world


@PHASES.add("run-deleting", "being deleted", Means.LEAVING)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-train")
    delete(world, RUN)
    await round_trip(world)
    return world


async def _train_refused() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-prepare")
    refuse_jobs(world)
    world.hold_jobs.clear()
    await settle(world)
    return world


@PHASES.add("run-job-refused", "a quota refuses the train Job", Means.UNDER_WAY)
async def _() -> World:
    return await _train_refused()


@PHASES.add("run-job-refused-for-long", "the same, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _train_refused()
    long_since(world, RUN)
    await settle(world)
    return world


@PHASES.add("run-pods-refused", "a quota lets no pod of the train Job be made, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-train")
    world.pods_refused = PODS_QUOTA
    world.hold_jobs.clear()
    await settle(world)
    long_since(world, RUN)
    await settle(world)
    return world
