"""A model from the apply to its end: the base model, versions, the spec and the nodes it runs on."""

from __future__ import annotations

from oneseek_core import names
from oneseek_core.serving.sidecar import SidecarState
from support.driver import round_trip, settle
from support.makers import HELDOUT, model_manifest, run_manifest
from support.phases.phase import Means, Phases
from support.phases.scenes import (
    IMPORT_JOB,
    IMPORTS,
    LONG_AGO,
    MODEL,
    PODS_QUOTA,
    UNSCHEDULABLE,
    ask_for_an_impossible_node,
    delete,
    long_since,
    refuse_jobs,
    serving_pods,
    stuck_pod,
    two_versions,
    world_of,
)
from support.world import World
from support.world.nodes import failed

__all__ = ["PHASES"]

PHASES = Phases()


@PHASES.add("model-fresh", "just applied; only the status that the schema defaults", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.apply_as_user(model_manifest())
    return world


@PHASES.add("model-importing", "the base model is being imported", Means.UNDER_WAY)
async def _() -> World:
    return await world_of(model_manifest(), hold="zero-base")


@PHASES.add("model-import-unschedulable", "no node takes the import's pod, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest(), hold="zero-base")
    stuck_pod(world, "zero-base", UNSCHEDULABLE)
    await settle(world)
    return world


@PHASES.add("model-import-failed", "the base model could not be imported", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["zero-base"] = failed(names.BASE_UNAVAILABLE, "there is no repository owner/name at the hub")
    world.apply_as_user(model_manifest())
    await settle(world)
    return world


@PHASES.add("model-job-refused", "a quota refuses the import's Job", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    refuse_jobs(world)
    world.apply_as_user(model_manifest())
    await settle(world)
    return world


@PHASES.add("model-job-refused-for-long", "the same, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    refuse_jobs(world)
    world.apply_as_user(model_manifest())
    await settle(world)
    long_since(world, MODEL)
    await settle(world)
    return world


@PHASES.add("model-tree-job-refused", "a quota refuses the Job that moves CURRENT", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest(), hold="first-certify")
    refuse_jobs(world)
    world.hold_jobs.clear()
    await settle(world)
    return world


@PHASES.add("model-pods-refused", "a quota lets no pod of the import be made, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.pods_refused = PODS_QUOTA
    world.apply_as_user(model_manifest())
    await settle(world)
    long_since(world, MODEL)
    await settle(world)
    return world


@PHASES.add("model-suspended-from-the-first", "`suspend` before anything was made", Means.STOPPED)
async def _() -> World:
    return await world_of(model_manifest(suspend=True))


@PHASES.add("model-claim-missing", "`storage.claimName` names no claim", Means.NEEDS_A_PERSON)
async def _() -> World:
    return await world_of(model_manifest(storage={"claimName": "mine"}))


@PHASES.add("model-engine-starting", "the first engine is loading the base model", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.sidecar_overrides[None] = SidecarState(dna=None, base_name="tiny", ready=False, open_connections=0)
    world.apply_as_user(model_manifest())
    await settle(world)
    return world


@PHASES.add("model-engine-crashing", "the only engine crashes", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest())
    for pod in serving_pods(world):
        ended = {"exitCode": 1, "reason": "Error", "message": "RuntimeError: no kernel image for this device"}
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        pod["status"]["containerStatuses"] = [
            {"name": "engine", "restartCount": 7, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
        ]
    await settle(world)
    return world


@PHASES.add("model-engine-unschedulable", "no node takes the only engine, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await world_of(model_manifest())
    for pod in serving_pods(world):
        pod["metadata"]["creationTimestamp"] = LONG_AGO
        pod["status"] = {"phase": "Pending", **UNSCHEDULABLE}
    await settle(world)
    return world


@PHASES.add("model-base-serving", "no version yet: the base model answers", Means.DONE)
async def _() -> World:
    return await world_of(model_manifest())


@PHASES.add(
    "model-spec-changed", "Git changed the spec and the operator has not looked yet", Means.UNDER_WAY, answers=False
)
async def _() -> World:
    world = await world_of(model_manifest())
    world.apply_as_user(model_manifest(serving={"replicas": 2}))
    return world


async def _rolling_out() -> World:
    world = await world_of(model_manifest())
    world.apply_as_user(run_manifest())
    world.hold_jobs.add("first-certify")
    await settle(world)
    world.hold_jobs.clear()
    real = world.state

    async def loading(ip: str) -> SidecarState:
        state = await real(ip)
        return state.model_copy(update={"ready": state.dna is None})

    world.state = loading  # type: ignore[method-assign]
    await settle(world)
    return world


@PHASES.add(
    "model-rolling-out", "a new version is being brought up; the old one answers", Means.UNDER_WAY, answers=True
)
async def _() -> World:
    return await _rolling_out()


@PHASES.add("model-serving", "a certified version answers", Means.DONE)
async def _() -> World:
    return await world_of(model_manifest(), run_manifest())


@PHASES.add("model-gate-missed", "the newest version missed the gate; the old one answers", Means.DONE)
async def _() -> World:
    world = World()
    world.scores = {"first": 0.9, "second": 0.6}
    gate = {"gate": {"minimumScores": {"factsContained": 0.5}, "maximumRegression": 0.1}}
    world.apply_as_user(model_manifest(training=HELDOUT, promotion=gate))
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    return world


@PHASES.add("model-quarantined", "a tampered version was taken out; the one before it answers", Means.DONE)
async def _() -> World:
    world = await two_versions()
    world.tampered.add(world.objects[MODEL]["status"]["current"]["dna"])
    await settle(world)
    return world


@PHASES.add(
    "model-template-unschedulable",
    "Git asks for a node that is not there; the base model answers as before",
    Means.NEEDS_A_PERSON,
    answers=True,
)
async def _() -> World:
    return await ask_for_an_impossible_node(await world_of(model_manifest()))


@PHASES.add(
    "model-version-template-unschedulable",
    "the same while a version answers; it is not the version's fault",
    Means.NEEDS_A_PERSON,
    answers=True,
)
async def _() -> World:
    world = await ask_for_an_impossible_node(await two_versions())
    world.objects[MODEL]["status"]["candidate"]["since"] = LONG_AGO
    await settle(world)
    return world


@PHASES.add("model-taking-in", "a version of `spec.imports` is being taken in", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await world_of(model_manifest(), hold=IMPORT_JOB)
    world.apply_as_user(model_manifest(imports=IMPORTS))
    await settle(world)
    return world


@PHASES.add("model-import-refused", "a version of `spec.imports` is refused", Means.NEEDS_A_PERSON, answers=True)
async def _() -> World:
    world = await world_of(model_manifest())
    world.job_failures[IMPORT_JOB] = failed(
        names.SIGNATURE_UNTRUSTED, "made with the key 0a1b…, which is not trusted", 15
    )
    world.apply_as_user(model_manifest(imports=IMPORTS))
    await settle(world)
    return world


@PHASES.add(
    "model-records-away", "a promotion waits for the ledger; the old version answers", Means.UNDER_WAY, answers=True
)
async def _() -> World:
    world = await world_of(model_manifest())
    world.records_away = True
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@PHASES.add("model-scaled-to-zero", "`serving.replicas` is 0", Means.STOPPED)
async def _() -> World:
    world = await world_of(model_manifest())
    world.apply_as_user(model_manifest(serving={"replicas": 0}))
    await settle(world)
    return world


@PHASES.add("model-deleting", "being deleted", Means.LEAVING)
async def _() -> World:
    world = await world_of(model_manifest())
    delete(world, MODEL)
    await round_trip(world)
    return world
