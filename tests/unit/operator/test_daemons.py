"""The loop of an object ends with it, whatever it was waiting for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.deps import Deps
from oneseek_operator.handlers import deletion
from oneseek_operator.handlers.daemons import child_changed, keep_model, model_changed, run_changed
from oneseek_operator.reconcile.run import reconcile as reconcile_run
from support.driver import settle
from support.makers import SETTINGS, model_manifest, run_manifest
from support.world import World

CLAIM = ("PersistentVolumeClaim", "team", "zero-models")


class Stopped:
    """As Kopf tells a daemon to stop."""

    def __init__(self) -> None:
        self.on = False

    def __bool__(self) -> bool:
        return self.on


async def waiting() -> tuple[World, asyncio.Task[None], Stopped]:
    """A model's loop, in the midst of a reconcile that asks a pod which never answers."""
    world = World()
    world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    await settle(world)
    asked = asyncio.Event()

    async def silent(ip: str) -> SidecarState:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    world.state = silent  # type: ignore[method-assign]
    port = cast("Any", world)
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port)
    stopped = Stopped()
    body = world.objects[("OneSeekModel", "team", "zero")]
    told = {"body": body, "stopped": stopped, "memo": SimpleNamespace(deps=deps)}
    task = asyncio.create_task(keep_model("team", "zero", **told))  # type: ignore[arg-type]
    await asked.wait()
    return world, task, stopped


async def test_a_model_deleted_while_a_pod_is_asked_leaves_what_its_spec_says() -> None:
    world, task, stopped = await waiting()
    world.objects[("OneSeekModel", "team", "zero")]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    stopped.on = True
    task.cancel()
    await task
    assert CLAIM not in world.objects, "reclaimPolicy Delete"
    reviewers = world.objects[("ClusterRoleBinding", "", "token-reviewers")]
    assert reviewers.get("subjects") == [], "its account may review no tokens any more"


async def test_a_model_deleted_while_no_operator_ran_is_seen_off_by_the_next_one() -> None:
    world = World()
    world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    await settle(world)
    port = cast("Any", world)
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port)
    body = world.objects[("OneSeekModel", "team", "zero")]
    told = {"namespace": "team", "name": "zero", "body": body, "memo": SimpleNamespace(deps=deps)}
    await model_changed(type="MODIFIED", **told)
    assert CLAIM in world.objects, "it lives"
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await model_changed(type=cast("str", None), **told)
    assert CLAIM not in world.objects
    assert world.objects[("ClusterRoleBinding", "", "token-reviewers")].get("subjects") == []


async def test_a_run_that_is_deleted_as_soon_as_it_is_certified_leaves_its_version_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deletion, "_COUNTED_SECONDS", 0)
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest("first"))
    run = world.objects[("TrainingRun", "team", "first")]
    while "completedAt" not in run["status"]:
        await reconcile_run("team", "first", cluster=world, settings=SETTINGS)
        world.tick()
    port = cast("Any", world)
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port)
    run["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    told = {"namespace": "team", "name": "first", "body": run, "memo": SimpleNamespace(deps=deps)}
    letting_go = asyncio.create_task(run_changed(type="MODIFIED", **told))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not letting_go.done(), "the model has not seen it"
    await settle(world)
    await letting_go
    world.remove(run)
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"] == run["status"]["dna"]
    assert [entry.type for entry in world.ledger.values()] == ["train", "certify", "promote"]


async def test_an_operator_that_ends_while_a_pod_is_asked_touches_nothing() -> None:
    world, task, stopped = await waiting()
    stopped.on = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert CLAIM in world.objects


async def test_a_model_whose_finalizer_somebody_took_off_before_deleting_it_ends_like_any_other() -> None:
    world = World()
    world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    await settle(world)
    port = cast("Any", world)
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port)
    body = world.objects[("OneSeekModel", "team", "zero")]
    told = {"body": body, "memo": SimpleNamespace(deps=deps)}
    task = asyncio.create_task(keep_model("team", "zero", stopped=Stopped(), **told))  # type: ignore[arg-type]
    while ("OneSeekModel", "team", "zero") not in deps.flags:  # noqa: ASYNC110 - it begins in this loop
        await asyncio.sleep(0)
    world.remove(body)
    await model_changed(namespace="team", name="zero", type="DELETED", **told)
    async with asyncio.timeout(5):
        await task  # Kopf does not stop it
    assert CLAIM not in world.objects
    assert world.objects[("ClusterRoleBinding", "", "token-reviewers")].get("subjects") == []
    assert (deps.flags, deps.gone) == ({}, set())


async def test_a_model_created_again_while_the_loop_of_the_one_before_still_asks_a_pod_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = ("OneSeekModel", "team", "zero")
    answered, reconciled = asyncio.Event(), {"uid-1": asyncio.Event(), "uid-2": asyncio.Event()}

    async def reconcile(*_: object, **__: object) -> None:
        uid = world.objects[key]["metadata"]["uid"]
        reconciled[uid].set()
        if uid == "uid-1":
            await answered.wait()

    monkeypatch.setattr("oneseek_operator.reconcile.model.reconcile", reconcile)
    world = World()
    port = cast("Any", world)
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port)
    memo, loops = SimpleNamespace(deps=deps), []
    for uid, began in reconciled.items():
        manifest = model_manifest()
        manifest["metadata"]["uid"] = uid
        told = {"namespace": "team", "name": "zero", "body": world.apply_as_user(manifest), "memo": memo}
        loops.append(asyncio.create_task(keep_model(stopped=Stopped(), **told)))  # type: ignore[arg-type]
        await began.wait()
        if uid == "uid-1":
            world.remove(told["body"])  # somebody had taken its finalizer off
            await model_changed(type="DELETED", **told)
    answered.set()
    await loops[0]
    reconciled["uid-2"].clear()
    await model_changed(type="MODIFIED", **told)
    async with asyncio.timeout(5):
        await reconciled["uid-2"].wait()
    loops[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await loops[1]


async def test_only_objects_with_a_loop_are_remembered() -> None:
    port = cast("Any", World())
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port)
    memo = SimpleNamespace(deps=deps)
    for number in range(100):
        labels = {"oneseek.io/model": f"any-word-{number}"}
        await child_changed(namespace="team", labels=labels, memo=memo)
        await model_changed(namespace="team", name=f"m-{number}", body={}, type="DELETED", memo=memo)  # type: ignore[arg-type]
    assert (deps.flags, deps.runs_of_model) == ({}, {})
