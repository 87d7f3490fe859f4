"""What several phases begin with: worlds that have come to rest, and what may go wrong in them."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.errors import ClusterError
from support.driver import settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Object

MODEL, RUN = ("OneSeekModel", "team", "zero"), ("TrainingRun", "team", "first")
LONG_AGO = "2025-01-01T00:00:00Z"
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
IMPORTS = [{"image": "registry.example/versions:v3"}]
IMPORT_JOB = "zero-import-" + names.short_hash(f"image {IMPORTS[0]['image']}")


PODS_QUOTA = 'pods "x" is forbidden: failed quota: small: must specify limits.cpu for: main; limits.memory for: main'
JOBS_QUOTA = 'jobs.batch "x" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0'


def refuse_jobs(world: World) -> None:
    """From now on a quota of the namespace takes no Job."""
    world.refused["create", "Job"] = ClusterError(JOBS_QUOTA, status=403)


def long_since(world: World, key: tuple[str, str, str]) -> None:
    """What is wrong has been so for long."""
    for item in world.objects[key]["status"]["conditions"]:
        item["lastTransitionTime"] = LONG_AGO
    for event in world.failed_creates:
        event["firstTimestamp"] = LONG_AGO
    for (kind, _, _), found in world.objects.items():
        if kind in ("Job", "StatefulSet"):
            found["metadata"]["creationTimestamp"] = LONG_AGO


async def world_of(*manifests: Object, hold: str = "") -> World:
    """The manifests applied and everything come to rest; Jobs whose names are held do not end."""
    world = World()
    world.hold_jobs.update(hold.split())
    for manifest in manifests:
        world.apply_as_user(manifest)
    await settle(world)
    return world


async def two_versions(**spec: Any) -> World:
    world = await world_of(model_manifest(**spec), run_manifest("first"))
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    return world


def serving_pods(world: World) -> list[Object]:
    return [item for key, item in world.objects.items() if key[0] == "Pod" and "-pod" not in key[2]]


def stuck_pod(world: World, job: str, status: Object) -> None:
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
            "ownerReferences": [{"kind": "Job", "uid": owner["metadata"]["uid"], "controller": True}],
        },
        "spec": owner["spec"]["template"]["spec"],
        "status": {"phase": "Pending", **status},
    }
    world.objects[("Pod", "team", pod["metadata"]["name"])] = pod


async def ask_for_an_impossible_node(world: World) -> World:
    """Git asks for a node that is not there, for all that is made from now on."""
    good = world.objects[MODEL]["status"]["colour"]
    move = world.tick

    def tick() -> None:
        move()
        for pod in serving_pods(world):
            if pod["metadata"]["labels"].get(names.LABEL_COLOUR) not in (None, good):
                pod["metadata"]["creationTimestamp"] = LONG_AGO
                pod["status"] = {"phase": "Pending", **UNSCHEDULABLE}

    world.tick = tick  # type: ignore[method-assign]
    world.apply_as_user(model_manifest(serving={"engine": {"nodeSelector": {"gpu": "yes"}}}))
    await settle(world)
    return world


def let_candidates_load(world: World) -> None:
    """From now on no pod but those there are gets ready."""
    there = {pod["metadata"]["name"] for pod in serving_pods(world)}
    real = world.state

    async def loading(ip: str) -> SidecarState:
        state = await real(ip)
        return state if ip in there else state.model_copy(update={"ready": False})

    world.state = loading  # type: ignore[method-assign]


def delete(world: World, key: tuple[str, str, str]) -> None:
    """What the API server does to an object with a finalizer when somebody deletes it."""
    meta = world.objects[key]["metadata"]
    meta["deletionTimestamp"] = LONG_AGO
    meta["finalizers"] = ["oneseek.io/operator"]
    meta["generation"] += 1
