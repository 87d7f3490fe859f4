"""Nothing is taken by name: every name that the operator needs, with somebody else's object under it."""

from __future__ import annotations

import copy
import re
from datetime import timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_operator.errors import NameTakenError
from oneseek_operator.observe.ownership import refuse_foreign
from oneseek_operator.reconcile import model as models
from support.driver import age, condition, round_trip, settle
from support.makers import DIGEST, HELDOUT, SETTINGS, model_manifest, run_manifest
from support.world import World
from support.world.api_server import key_of

Object = dict[str, Any]
Key = tuple[str, str, str]
DNA = "OneSeek-7B-Zero.v9.0.sv.dsIdentity.8f3a1c9d.2e7f4b1a"
MODEL = ("OneSeekModel", "team", "zero")
SOON = 12  # rounds within which it is said that a name is taken
NAMES = {
    "PersistentVolumeClaim zero-models",
    "Secret zero-signing-keys",
    "ConfigMap zero-trusted-keys",
    "ConfigMap zero-access",
    "NetworkPolicy zero-denied",
    "NetworkPolicy zero-serving",
    "NetworkPolicy zero-records",
    "NetworkPolicy zero-prepare",
    "ServiceAccount oneseek-sidecar-zero",
    "Role oneseek-sidecar-zero",
    "RoleBinding oneseek-sidecar-zero",
    "Secret zero-records",
    "Service zero-records",
    "StatefulSet zero-records",
    "Job zero-base",
    "ConfigMap zero-#-wanted",
    "Deployment zero-#",
    "Service zero",
    "Job RUN-prepare",
    "Job RUN-train",
    "Job RUN-evaluate",
    "Job RUN-certify",
    "Job zero-tree-#",
    "Job zero-prune-#",
    "Job zero-import-#",
    "Job zero-reset-#",
    "TrainingRun zero-micro-1",
    "TrainingRun zero-major-2",
}


def place(key: Key) -> str:
    """Kind and name, without hashes, and with one word for all runs, whose Jobs are made by the same functions."""
    name = re.sub("^(first|zero-micro-1|zero-major-2)-(?=[a-z]+$)", "RUN-", key[2])
    return f"{key[0]} {re.sub('[0-9a-f]{8}', '#', name)}"


def foreign(key: Key, **meta: Any) -> Object:
    """An object in which nothing is ours but the name."""
    manifest: Object = {"kind": key[0], "spec": {}, "data": {"key": "value"}}
    if key[0] == "TrainingRun":
        manifest = {**run_manifest(key[2]), "status": {"observedGeneration": -1}}
    labels = {names.LABEL_MANAGED_BY: "Helm"}
    told = {"uid": "somebody's", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels, **meta}
    manifest["metadata"] = {"name": key[2], "namespace": key[1], **told}
    return manifest


def untouched(world: World, planted: Object) -> bool:
    """Whether the object is as it was, what its own controllers and we say in a status aside."""
    there = copy.deepcopy(world.objects.get(key_of(planted), {"metadata": {}}))
    for item in (there, planted):
        item.pop("status", None)
        for key in ("resourceVersion", "creationTimestamp", "generation"):
            item["metadata"].pop(key, None)
    return there == planted


def said(world: World) -> list[Object]:
    """The conditions of all objects that say that a name is taken."""
    told = [one for item in world.objects.values() for one in item.get("status", {}).get("conditions", [])]
    return [one for one in told if one.get("reason") == names.NAME_TAKEN]


class Crowded(World):
    """Whatever the operator is about to make for the first time, somebody else has made a moment before."""

    def __init__(self) -> None:
        super().__init__()
        self.met: set[str] = set()
        self.planted: Object | None = None

    def _is_planted(self, manifest: Object) -> None:
        key = key_of(manifest)
        if place(key) in self.met or self.planted is not None or key in self.objects:
            return
        if key[0] == "Secret" and "#" in place(key):
            return  # a digest of the model's uid is in it: nobody else has that name
        self.met.add(place(key))
        self.planted = foreign(key)
        self.objects[key] = copy.deepcopy(self.planted)
        self.stamp(self.objects[key])

    async def create(self, manifest: Object, *, dry_run: bool = False) -> bool:
        self._is_planted(manifest)
        return await super().create(manifest, dry_run=dry_run)

    async def apply(self, manifest: Object) -> None:
        self._is_planted(manifest)
        await super().apply(manifest)

    async def cleared(self) -> None:
        """Until nothing is in the way any more: each object is left alone and said, and then taken away by a person."""
        quiet = 0
        while quiet < 3:
            before = sum(self.writes.values())
            for left in range(SOON, -1, -1):
                await round_trip(self)
                if self.planted is None or said(self):
                    break
                assert left, f"nobody says that the name of {place(key_of(self.planted))} is taken"
            if self.planted is not None:
                self._is_left_alone(self.planted)
                self.planted = None
            quiet = quiet + 1 if sum(self.writes.values()) == before else 0

    def _is_left_alone(self, planted: Object) -> None:
        kind, name = planted["kind"], planted["metadata"]["name"]
        assert untouched(self, planted)
        for told in said(self):
            assert f"the {kind} {name!r} is there already" in told["message"]
            assert "rename the" in told["message"]
            assert f"remove the {kind}" in told["message"]
            assert kind == "Secret" or "app.kubernetes.io/managed-by=Helm" in told["message"], "whose it seems to be"
        del self.objects[key_of(planted)]


async def test_every_name_that_an_operator_needs_is_left_to_whoever_has_it_and_used_once_it_is_free() -> None:
    world = Crowded()
    spec: Object = {"training": HELDOUT}
    world.apply_as_user(model_manifest(**spec))
    await world.cleared()
    world.apply_as_user(run_manifest())
    await world.cleared()
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED
    elsewhere = CertifiedVersion(dna=DNA, digest=DIGEST, created_at="2026-01-01T00:00:00.000Z", run="elsewhere")
    world.importable["path from-elsewhere"] = elsewhere
    more: Object = {"imports": [{"path": "from-elsewhere"}], "retention": {"keepVersions": 1}, **spec}
    world.apply_as_user(model_manifest(**more))
    await world.cleared()
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1", major_window="2")
    await world.cleared()
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await world.cleared()
    assert world.objects[MODEL]["status"]["request"]["outcome"] == "Succeeded"
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"
    assert world.met == NAMES, "a name that is new here is tried, too; write it down"


FIRST = [
    ("PersistentVolumeClaim", "zero-models"),
    ("Secret", "zero-signing-keys"),
    ("ConfigMap", "zero-trusted-keys"),
    ("ServiceAccount", "oneseek-sidecar-zero"),
    ("Secret", "zero-records"),
    ("PersistentVolumeClaim", "data-zero-records-0"),
    ("Service", "zero-records"),
    ("StatefulSet", "zero-records"),
    ("Service", "zero"),
    ("Job", "zero-base"),
]
WHOSE: list[Object] = [
    {"labels": {"app": "shop"}},
    {"labels": {}, "managedFields": [{"manager": "kcm", "subresource": "status"}, {"manager": "kubectl-create"}]},
    {"labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_MODEL: "other"}},
    {
        "labels": {names.LABEL_MODEL: "zero"},
        "ownerReferences": [{"kind": "Shop", "name": "a", "uid": "b", "controller": True}],
    },
]


@pytest.mark.parametrize(("kind", "name"), FIRST, ids=[f"{kind} {name}" for kind, name in FIRST])
async def test_a_model_whose_name_is_taken_stalls_and_what_it_met_survives_it(kind: str, name: str) -> None:
    for meta in WHOSE:
        world, key = World(), (kind, "team", name)
        there = foreign(key, **meta)
        world.objects[key] = copy.deepcopy(there)
        world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
        await settle(world)
        ready = condition(world, "OneSeekModel", "zero")
        assert (ready["status"], ready["reason"]) == ("False", names.NAME_TAKEN)
        assert f"the {kind} {name!r} is there already" in ready["message"]
        assert ("zero", names.NAME_TAKEN) in {(who, reason) for who, reason, _ in world.events}
        assert name == "zero-base" or not world.created_jobs, "before anything long begins"
        age(world, MODEL, timedelta(minutes=6))
        await settle(world)
        assert condition(world, "OneSeekModel", "zero", "Stalled")["reason"] == names.NAME_TAKEN
        await delete(world)
        assert untouched(world, there)


async def delete(world: World) -> None:
    """`kubectl delete oneseekmodel zero`."""
    model = OneSeekModel.model_validate(world.objects[MODEL])
    await models.finish_deletion(model, cluster=world, settings=SETTINGS)
    world.remove(world.objects[MODEL])


async def test_a_claim_goes_with_the_model_only_if_it_was_made_for_it() -> None:
    world, key = World(), ("PersistentVolumeClaim", "team", "zero-models")
    world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    await settle(world)
    await delete(world)
    assert key not in world.objects
    world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    await settle(world)
    world.objects[key] = foreign(key)
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "what answers goes on"
    assert condition(world, "OneSeekModel", "zero", "Reconciling")["reason"] == names.NAME_TAKEN
    await delete(world)
    assert key in world.objects


async def test_a_model_that_is_made_again_finds_what_its_predecessor_left() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    kinds = ("Secret", "PersistentVolumeClaim")
    left = {
        key: item
        for key, item in world.objects.items()
        if key[0] in kinds and "ownerReferences" not in item["metadata"]
    }
    await delete(world)
    assert {key for key in world.objects if key[0] != "ClusterRoleBinding"} == {
        *left,
        ("ConfigMap", "team", "zero-trusted-keys"),
    }
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
    assert all(world.objects[key] is item for key, item in left.items())


async def test_what_a_release_before_made_is_known_as_the_models_own() -> None:
    world, keys = World(), ("ConfigMap", "team", "zero-trusted-keys")
    world.apply_as_user(model_manifest())
    await settle(world)
    del world.objects[keys]["metadata"]["annotations"][names.ANNOTATION_RECORDS]
    await settle(world)
    assert world.objects[keys]["metadata"]["annotations"][names.ANNOTATION_RECORDS] == "made", "of a model that lives"
    del world.objects[keys]["metadata"]["annotations"][names.ANNOTATION_RECORDS]
    await delete(world)
    tags = {names.LABEL_MODEL: "zero", names.LABEL_COMPONENT: "records"}  # as the StatefulSet controller labels it
    claim = foreign(("PersistentVolumeClaim", "team", "data-zero-records-0"), labels=tags)
    world.objects[key_of(claim)] = claim
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING, "and of one that was deleted"


async def test_what_a_deleted_model_of_the_name_owned_is_waited_for() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    old = {key: copy.deepcopy(item) for key, item in world.objects.items() if item["metadata"].get("ownerReferences")}
    await delete(world)
    for key in (("Service", "team", "zero"), ("Role", "team", "oneseek-sidecar-zero"), ("Job", "team", "zero-base")):
        world.objects[key] = old[key]
        world.apply_as_user(model_manifest())
        await settle(world)
        ready = condition(world, "OneSeekModel", "zero")
        assert ready["reason"] == names.BEING_REMOVED
        assert f"waiting for the {key[0]} {key[2]!r} of a deleted OneSeekModel of this name to go" in ready["message"]
        assert world.objects[key] == old[key]
        del world.objects[key]
        await settle(world)
        assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
        await delete(world)


async def test_public_keys_that_somebody_else_wrote_are_not_believed() -> None:
    world, key = World(), ("ConfigMap", "team", "zero-trusted-keys")
    world.objects[key] = {
        **foreign(key, annotations={names.ANNOTATION_KEYS: "ready"}),
        "data": {"model.pub": "-----BEGIN PUBLIC KEY-----"},
    }
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.NAME_TAKEN
    assert ("Secret", "team", "zero-signing-keys") not in world.objects


async def test_a_job_that_only_says_it_is_the_runs_is_not() -> None:
    world, key = World(), ("Job", "team", "first-prepare")
    world.apply_as_user(model_manifest())
    await settle(world)
    world.objects[key] = foreign(key, labels={names.LABEL_RUN: "first", names.LABEL_MODEL: "zero"})
    world.apply_as_user(run_manifest())
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    ready = condition(world, "TrainingRun", "first")
    assert (ready["status"], ready["reason"]) == ("False", names.NAME_TAKEN)
    assert "the Job 'first-prepare' is there already and is not this TrainingRun's" in ready["message"]
    assert condition(world, "TrainingRun", "second")["reason"] == names.QUEUED
    age(world, ("TrainingRun", "team", "first"), timedelta(minutes=6))
    await settle(world)
    assert condition(world, "TrainingRun", "first", "Stalled")["reason"] == names.NAME_TAKEN
    assert "completedAt" in world.objects["TrainingRun", "team", "first"]["status"]
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED, "the queue goes on"
    assert key in world.objects


async def test_a_pod_that_only_says_it_is_the_jobs_reports_nothing() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.add("first-prepare")
    world.apply_as_user(run_manifest())
    await settle(world)
    labels = {names.LABEL_MODEL: "zero", names.LABEL_RUN: "first", "batch.kubernetes.io/job-name": "first-prepare"}
    key = ("Pod", "team", "first-prepare-0")
    for state in (
        {"exitCode": 0, "message": '{"report":{"alreadyCertified":null}}'},
        {"exitCode": 11, "message": "no"},
    ):
        told = {"name": "main", "state": {"terminated": state}}
        phase = "Failed" if state["exitCode"] else "Succeeded"
        status = {"phase": phase, "containerStatuses": [told]}
        world.objects[key] = {**foreign(key, labels=labels), "status": status}
        job = world.objects["Job", "team", "first-prepare"]
        kind = "Failed" if state["exitCode"] else "Complete"
        job["status"] = {"conditions": [{"type": kind, "status": "True"}], "completionTime": "2026-01-01T00:00:00Z"}
        await settle(world)
        message = condition(world, "TrainingRun", "first")["message"]
        assert "its report is gone or cannot be used" in message or "the prepare pod failed" in message
        world.objects["TrainingRun", "team", "first"]["status"].pop("completedAt")


@pytest.mark.parametrize(
    ("number", "whose"), [(0, "nothing in it says whose it is"), (1, "it was made with kubectl-create")]
)
def test_who_made_an_object_is_read_off_it_and_not_off_its_status(number: int, whose: str) -> None:
    key = ("Service", "team", "zero")
    with pytest.raises(NameTakenError, match=whose):
        refuse_foreign(foreign(key, **WHOSE[number]), {"kind": key[0], "metadata": {"name": key[2], "labels": {}}})
