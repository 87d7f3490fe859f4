"""Every phase of a OneSeekModel and a TrainingRun, as objects that the operator's own reconciles bring about.

A phase says what it means to somebody who waits; `support.readers` asks the real readers what they make of it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from oneseek_core import names
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import success_message
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.serving.sidecar import ProbeAnswer, SidecarState
from support.driver import round_trip, settle
from support.makers import merged, model_manifest, run_manifest
from support.world import Object, World, failed

__all__ = ["PHASES", "Means", "Phase", "record"]

MODEL, RUN = ("OneSeekModel", "team", "zero"), ("TrainingRun", "team", "first")
HELDOUT = {"evaluation": {"dataset": {"name": "heldout", "source": {"configMap": {"name": "h", "key": "h.jsonl"}}}}}
LONG_AGO = "2025-01-01T00:00:00Z"
_COLOUR = "0123abcd"  # a colour is a hash of the pod template, which is nobody's business here
_POD = re.compile(r"(pod zero-)[0-9a-f]{8}(?=-)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Means(Enum):
    """What a phase is to somebody who waits for the object."""

    DONE = "done"
    UNDER_WAY = "under way"
    NEEDS_A_PERSON = "needs a person"
    WAITS = "waits to be promoted"
    STOPPED = "stopped on purpose"
    LEAVING = "being deleted"


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: the object's key, how it comes about, what it means."""

    slug: str
    says: str
    means: Means
    bring_about: Callable[[], Awaitable[World]]
    key: tuple[str, str, str]
    answers: bool = False  # the model serves, whatever else is under way: Ready is True


PHASES: list[Phase] = []


def _phase(
    slug: str, says: str, means: Means, *, answers: bool | None = None
) -> Callable[[Callable[[], Awaitable[World]]], Callable[[], Awaitable[World]]]:
    key = RUN if slug.startswith("run-") else MODEL
    ready = means in (Means.DONE, Means.WAITS) if answers is None else answers

    def add(bring_about: Callable[[], Awaitable[World]]) -> Callable[[], Awaitable[World]]:
        PHASES.append(Phase(slug, says, means, bring_about, key, ready))
        return bring_about

    return add


async def record(phase: Phase) -> Object:
    """The object in that phase, without what differs from one recording to the next or has no reader."""
    world = await phase.bring_about()
    found = copy.deepcopy(world.objects[phase.key])
    found["metadata"].pop("resourceVersion")
    if phase.key[0] == "TrainingRun":
        found["spec"].setdefault("type", "Major")  # as the schema does
    found["metadata"]["uid"] = f"uid-of-{phase.key[2]}"
    status = found.get("status", {})
    for name in ("outbox", "ledger", "counters", "jobs"):
        status.pop(name, None)
    if "resolved" in status:
        status["resolved"].pop("specDigest")
    if "strategy" in status:
        status["strategy"]["colour"] = _COLOUR
    if "request" in status:
        status["request"]["id"] = "0123456789abcdef"
    text = json.dumps(found)
    if colour := status.get("colour"):
        text = text.replace(colour, _COLOUR)
    steady: Object = json.loads(_POD.sub(rf"\g<1>{_COLOUR}", _MOMENT.sub("2026-01-01T00:00:00Z", text)))
    return steady


async def _world(*manifests: Object, hold: str = "") -> World:
    """The manifests applied and everything come to rest; Jobs whose names are held do not end."""
    world = World()
    world.hold_jobs.update(hold.split())
    for manifest in manifests:
        world.apply_as_user(manifest)
    await settle(world)
    return world


def _stuck_pod(world: World, job: str, status: Object) -> None:
    """A pod of a held Job that does not start, and has not for a long time."""
    owner = world.objects[("Job", "team", job)]
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": f"{job}-pod",
            "namespace": "team",
            "uid": f"uid-{job}-pod",
            "resourceVersion": "1",
            "creationTimestamp": LONG_AGO,
            "labels": owner["spec"]["template"]["metadata"]["labels"] | {"batch.kubernetes.io/job-name": job},
        },
        "spec": owner["spec"]["template"]["spec"],
        "status": {"phase": "Pending", **status},
    }
    world.objects[("Pod", "team", pod["metadata"]["name"])] = pod


UNSCHEDULABLE = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
            "lastTransitionTime": LONG_AGO,
        }
    ]
}
NO_IMAGE = {
    "containerStatuses": [
        {
            "name": "main",
            "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image base:1"}},
        }
    ]
}


def _serving_pods(world: World) -> list[Object]:
    return [item for key, item in world.objects.items() if key[0] == "Pod" and "-pod" not in key[2]]


def _deleting(world: World, key: tuple[str, str, str]) -> None:
    """What the API server does to an object with a finalizer when somebody deletes it."""
    meta = world.objects[key]["metadata"]
    meta["deletionTimestamp"] = LONG_AGO
    meta["finalizers"] = ["oneseek.io/operator"]
    meta["generation"] += 1


# -- models ------------------------------------------------------------------------------------------------------------


@_phase("model-fresh", "just applied; only the status that the schema defaults", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.apply_as_user(model_manifest())
    return world


@_phase("model-importing", "the base model is being imported", Means.UNDER_WAY)
async def _() -> World:
    return await _world(model_manifest(), hold="zero-base")


@_phase("model-import-unschedulable", "no node takes the import's pod, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(model_manifest(), hold="zero-base")
    _stuck_pod(world, "zero-base", UNSCHEDULABLE)
    await settle(world)
    return world


@_phase("model-import-failed", "the base model could not be imported", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["zero-base"] = failed(names.BASE_UNAVAILABLE, "there is no repository owner/name at the hub")
    world.apply_as_user(model_manifest())
    await settle(world)
    return world


@_phase("model-claim-missing", "`storage.claimName` names no claim", Means.NEEDS_A_PERSON)
async def _() -> World:
    return await _world(model_manifest(storage={"claimName": "mine"}))


@_phase("model-engine-starting", "the first engine is loading the base model", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.sidecar_overrides[None] = SidecarState(dna=None, base_name="tiny", ready=False, open_connections=0)
    world.apply_as_user(model_manifest())
    await settle(world)
    return world


@_phase("model-engine-crashing", "the only engine crashes", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(model_manifest())
    for pod in _serving_pods(world):
        ended = {"exitCode": 1, "reason": "Error", "message": "RuntimeError: no kernel image for this device"}
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        pod["status"]["containerStatuses"] = [
            {"name": "engine", "restartCount": 7, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
        ]
    await settle(world)
    return world


@_phase("model-engine-unschedulable", "no node takes the only engine, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(model_manifest())
    for pod in _serving_pods(world):
        pod["metadata"]["creationTimestamp"] = LONG_AGO
        pod["status"] = {"phase": "Pending", **UNSCHEDULABLE}
    await settle(world)
    return world


@_phase("model-base-serving", "no version yet: the base model answers", Means.DONE)
async def _() -> World:
    return await _world(model_manifest())


@_phase(
    "model-spec-changed", "Git changed the spec and the operator has not looked yet", Means.UNDER_WAY, answers=False
)
async def _() -> World:
    world = await _world(model_manifest())
    world.apply_as_user(model_manifest(serving={"replicas": 2}))
    return world


async def _rolling_out() -> World:
    world = await _world(model_manifest())
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


@_phase("model-rolling-out", "a new version is being brought up; the old one answers", Means.UNDER_WAY, answers=True)
async def _() -> World:
    return await _rolling_out()


@_phase("model-serving", "a certified version answers", Means.DONE)
async def _() -> World:
    return await _world(model_manifest(), run_manifest())


@_phase("model-gate-missed", "the newest version missed the gate; the old one answers", Means.DONE)
async def _() -> World:
    world = World()
    world.scores = {"first": 0.9, "second": 0.6}
    gate = {"gate": {"minimumScores": {"factsContained": 0.5}, "maximumRegression": 0.1}}
    world.apply_as_user(model_manifest(training=HELDOUT, promotion=gate))
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    return world


@_phase("model-quarantined", "a tampered version was taken out; the one before it answers", Means.DONE)
async def _() -> World:
    world = await _two_versions()
    world.tampered.add(world.objects[MODEL]["status"]["current"]["dna"])
    await settle(world)
    return world


async def _two_versions(**spec: Any) -> World:
    world = await _world(model_manifest(**spec), run_manifest("first"))
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    return world


@_phase(
    "model-template-unschedulable",
    "Git asks for a node that is not there; the base model answers as before",
    Means.NEEDS_A_PERSON,
    answers=True,
)
async def _() -> World:
    return await _impossible_template(await _world(model_manifest()))


@_phase(
    "model-version-template-unschedulable",
    "the same while a version answers; it is not the version's fault",
    Means.NEEDS_A_PERSON,
    answers=True,
)
async def _() -> World:
    world = await _impossible_template(await _two_versions())
    world.objects[MODEL]["status"]["candidate"]["since"] = LONG_AGO
    await settle(world)
    return world


async def _impossible_template(world: World) -> World:
    """Git asks for a node that is not there, for all that is made from now on."""
    good = world.objects[MODEL]["status"]["colour"]
    move = world.tick

    def tick() -> None:
        move()
        for pod in _serving_pods(world):
            if pod["metadata"]["labels"].get(names.LABEL_COLOUR) not in (None, good):
                pod["metadata"]["creationTimestamp"] = LONG_AGO
                pod["status"] = {"phase": "Pending", **UNSCHEDULABLE}

    world.tick = tick  # type: ignore[method-assign]
    world.apply_as_user(model_manifest(serving={"engine": {"nodeSelector": {"gpu": "yes"}}}))
    await settle(world)
    return world


IMPORTS = [{"image": "registry.example/versions:v3"}]
IMPORT_JOB = "zero-import-" + names.short_hash(f"image {IMPORTS[0]['image']}")


@_phase("model-taking-in", "a version of `spec.imports` is being taken in", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await _world(model_manifest(), hold=IMPORT_JOB)
    world.apply_as_user(model_manifest(imports=IMPORTS))
    await settle(world)
    return world


@_phase("model-import-refused", "a version of `spec.imports` is refused", Means.NEEDS_A_PERSON, answers=True)
async def _() -> World:
    world = await _world(model_manifest())
    world.job_failures[IMPORT_JOB] = failed(
        names.SIGNATURE_UNTRUSTED, "made with the key 0a1b…, which is not trusted", 15
    )
    world.apply_as_user(model_manifest(imports=IMPORTS))
    await settle(world)
    return world


@_phase(
    "model-records-away", "a promotion waits for the ledger; the old version answers", Means.UNDER_WAY, answers=True
)
async def _() -> World:
    world = await _world(model_manifest())
    world.records_away = True
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@_phase("model-scaled-to-zero", "`serving.replicas` is 0", Means.STOPPED)
async def _() -> World:
    world = await _world(model_manifest())
    world.apply_as_user(model_manifest(serving={"replicas": 0}))
    await settle(world)
    return world


@_phase("model-deleting", "being deleted", Means.LEAVING)
async def _() -> World:
    world = await _world(model_manifest())
    _deleting(world, MODEL)
    await round_trip(world)
    return world


# -- pins, requests, and what people choose ----------------------------------------------------------------------------


def _dna(world: World, run: str) -> str:
    found: str = world.objects[("TrainingRun", "team", run)]["status"]["dna"]
    return found


def _candidate_loads(world: World) -> None:
    """From now on no pod but those there are gets ready."""
    there = {pod["metadata"]["name"] for pod in _serving_pods(world)}
    real = world.state

    async def loading(ip: str) -> SidecarState:
        state = await real(ip)
        return state if ip in there else state.model_copy(update={"ready": False})

    world.state = loading  # type: ignore[method-assign]


@_phase("model-suspended", "`suspend`", Means.STOPPED)
async def _() -> World:
    world = await _two_versions()
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    return world


@_phase("model-waiting-for-promotion", "`promotion.mode: Manual`: a candidate has proved itself", Means.WAITS)
async def _() -> World:
    return await _world(model_manifest(promotion={"mode": "Manual"}), run_manifest())


@_phase("model-probe-failed", "the newest version answered its probe wrongly; the old one answers", Means.DONE)
async def _() -> World:
    promotion = {"probes": [{"question": "Vem är du?", "mustContain": ["OneSeek"]}]}
    world = await _world(model_manifest(promotion=promotion), run_manifest("first"))
    first, probe = _dna(world, "first"), world.probe

    async def wrong(ip: str, question: str) -> ProbeAnswer:
        answer = await probe(ip, question)
        return answer if answer.dna in (None, first) else answer.model_copy(update={"text": "Jag är ChatGPT."})

    world.probe = wrong  # type: ignore[method-assign]
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    return world


@_phase("model-watch-failed", "the newest version failed while it was watched; the old one answers again", Means.DONE)
async def _() -> World:
    world = await _two_versions()
    world.counts[_dna(world, "second")] = (100, 30)
    await settle(world)
    return world


@_phase(
    "model-quarantine-full", "the quarantine is full: nothing is promoted by itself", Means.NEEDS_A_PERSON, answers=True
)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest())
    held = {"reason": names.ROLLED_BACK, "message": "by hand", "since": LONG_AGO}
    world.objects[MODEL]["status"]["quarantine"] = [
        {"dna": f"OneSeek-7B-Zero.v0.{number}", **held} for number in range(64)
    ]
    await settle(world)
    return world


async def _pinned(run: str, **spec: Any) -> World:
    world = await _two_versions(**spec)
    world.apply_as_user(model_manifest(version=_dna(world, run), **spec))
    await settle(world)
    return world


@_phase("model-pinned", "the version that Git pins answers", Means.DONE)
async def _() -> World:
    return await _pinned("first")


@_phase("model-pin-rolling-out", "Git pins another version; it is being brought up", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await _two_versions()
    _candidate_loads(world)
    world.apply_as_user(model_manifest(version=_dna(world, "first")))
    await settle(world)
    return world


UNKNOWN = "OneSeek-7B-Zero.v9.0.sv.dsIdentity.00000000.00000000"


@_phase("model-pin-unknown", "Git pins what is no version of this model", Means.NEEDS_A_PERSON)
async def _() -> World:
    return await _world(model_manifest(version=UNKNOWN))


@_phase("model-pin-coming-in", "Git pins a version that an import is taking in", Means.UNDER_WAY)
async def _() -> World:
    return await _world(model_manifest(version=UNKNOWN, imports=IMPORTS), hold=IMPORT_JOB)


@_phase("model-pin-rejected", "Git pins a version that missed the gate", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.scores = {"first": 0.9, "second": 0.6}
    spec: dict[str, Any] = {"training": HELDOUT, "promotion": {"gate": {"maximumRegression": 0.1}}}
    world.apply_as_user(model_manifest(**spec))
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    world.apply_as_user(model_manifest(version=_dna(world, "second"), **spec))
    await settle(world)
    return world


@_phase("model-pin-rolled-back", "rolled back while Git still pins the version that was left", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _pinned("second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    return world


@_phase(
    "model-pin-released",
    "rolled back, then released: Git wins, and its version is being brought up",
    Means.UNDER_WAY,
    answers=True,
)
async def _() -> World:
    world = await _pinned("second")
    second = _dna(world, "second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    _candidate_loads(world)
    world.annotate_as_user("OneSeekModel", "zero", release=second)
    await settle(world)
    return world


@_phase("model-rolling-back", "a rollback is under way; the version to leave answers", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await _two_versions(promotion={"strategy": "BlueGreen"})  # another way it would be done at once
    _candidate_loads(world)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    return world


@_phase("model-rolled-back", "a rollback has been carried out", Means.DONE)
async def _() -> World:
    world = await _two_versions()
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    return world


@_phase("model-request-refused", "a request was refused; nothing has changed", Means.DONE)
async def _() -> World:
    world = await _two_versions()
    world.annotate_as_user("OneSeekModel", "zero", reset="yes")
    await settle(world)
    return world


@_phase("model-reset-waits", "a reset waits for the ledger", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await _two_versions()
    world.records_away = True
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    return world


@_phase("model-reset", "a reset has been carried out: the base model answers", Means.DONE)
async def _() -> World:
    world = await _two_versions()
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    return world


# -- runs --------------------------------------------------------------------------------------------------------------


@_phase("run-fresh", "just applied; only the status that the schema defaults", Means.UNDER_WAY)
async def _() -> World:
    world = World()
    world.apply_as_user(run_manifest())
    return world


@_phase("run-model-not-yet", "applied together with its model, seen first", Means.UNDER_WAY)
async def _() -> World:
    return await _world(run_manifest())


@_phase("run-model-not-found", "`modelRef` names no model", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(run_manifest())
    world.objects[RUN]["metadata"]["creationTimestamp"] = LONG_AGO
    await settle(world)
    return world


@_phase("run-model-not-ready", "the model's base is still being imported", Means.UNDER_WAY)
async def _() -> World:
    return await _world(model_manifest(), run_manifest(), hold="zero-base")


@_phase("run-model-stalled", "the model's base could not be imported", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["zero-base"] = failed(names.BASE_UNAVAILABLE, "there is no repository owner/name at the hub")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


def _queued(*, first_suspended: bool = False) -> Callable[[], Awaitable[World]]:
    async def bring_about() -> World:
        world = await _world(model_manifest(), run_manifest("ahead"), hold="ahead-train")
        world.objects[("TrainingRun", "team", "ahead")]["metadata"]["creationTimestamp"] = LONG_AGO
        if first_suspended:
            world.apply_as_user(run_manifest("ahead", suspend=True))
            await settle(world)
        world.apply_as_user(run_manifest())
        await settle(world)
        return world

    return bring_about


_phase("run-queued", "another run of the model goes first", Means.UNDER_WAY)(_queued())
_phase("run-queued-behind-suspended", "the run that goes first is suspended", Means.NEEDS_A_PERSON)(
    _queued(first_suspended=True)
)


@_phase("run-suspended", "`suspend` before it started", Means.STOPPED)
async def _() -> World:
    return await _world(model_manifest(), run_manifest(suspend=True))


@_phase("run-suspended-midway", "`suspend` while it trained", Means.STOPPED)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest(), hold="first-train")
    world.apply_as_user(merged(run_manifest(), suspend=True))
    await settle(world)
    return world


def _step(step: str, **spec: Any) -> Callable[[], Awaitable[World]]:
    async def bring_about() -> World:
        return await _world(model_manifest(**spec), run_manifest(), hold=f"first-{step}")

    return bring_about


_phase("run-preparing", "fetching and checking the data", Means.UNDER_WAY)(_step("prepare"))


@_phase("run-training", "training", Means.UNDER_WAY)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest(), hold="first-train")
    _stuck_pod(world, "first-train", {})
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


@_phase("run-image-unavailable", "the train pod's image cannot be pulled, for a while now", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest(), hold="first-train")
    _stuck_pod(world, "first-train", NO_IMAGE)
    await settle(world)
    return world


_phase("run-evaluating", "answering the held-out questions", Means.UNDER_WAY)(_step("evaluate", training=HELDOUT))
_phase("run-certifying", "checking, signing and sealing", Means.UNDER_WAY)(_step("certify"))


@_phase("run-certified", "certified", Means.DONE)
async def _() -> World:
    return await _world(model_manifest(), run_manifest())


@_phase("run-already-certified", "the claim holds a version this very run made before", Means.DONE)
async def _() -> World:
    before = await _world(model_manifest(), run_manifest())
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


@_phase("run-bad-data", "the data is bad", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["first-prepare"] = failed(names.DATASET_INVALID, "oneseek_identity_v1: line 3 is not JSON")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@_phase("run-out-of-memory", "the train pod was killed at its memory limit", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.job_failures["first-train"] = {"exitCode": 137, "reason": "OOMKilled", "message": ""}
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@_phase("run-model-deleted", "its model was deleted under it", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest(), hold="first-train")
    world.remove(world.objects[MODEL])
    await settle(world)
    return world


@_phase("run-model-suspended", "its model is suspended", Means.STOPPED)
async def _() -> World:
    world = await _world(model_manifest())
    world.apply_as_user(model_manifest(suspend=True))
    world.apply_as_user(run_manifest())
    await settle(world)
    return world


@_phase("run-model-reset", "a reset of its model stopped it", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest("before"))
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    return world


@_phase("run-retried", "failed, and tried again by request", Means.UNDER_WAY)
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


@_phase("run-deleting", "being deleted", Means.LEAVING)
async def _() -> World:
    world = await _world(model_manifest(), run_manifest(), hold="first-train")
    _deleting(world, RUN)
    await round_trip(world)
    return world
