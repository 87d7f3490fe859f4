"""Nothing is taken by name, on a real cluster: what stands there stays as it is, is said, and survives the model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.kube import Kube, condition, wait_until

Object = dict[str, Any]
IDLE = {"replicas": 0}
SOON = 60
KINDS = {
    "pvc": ("v1", "PersistentVolumeClaim"),
    "secret": ("v1", "Secret"),
    "configmap": ("v1", "ConfigMap"),
    "service": ("v1", "Service"),
    "serviceaccount": ("v1", "ServiceAccount"),
    "statefulset": ("apps/v1", "StatefulSet"),
    "job": ("batch/v1", "Job"),
}
POD = {
    "metadata": {"labels": {"app": "shop"}},
    "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "none"}]},
}
ONCE = {**POD, "spec": {**POD["spec"], "restartPolicy": "Never"}}
CLAIM = {"storageClassName": "none", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
SPECS: dict[str, Object] = {
    "pvc": {"spec": CLAIM},
    "service": {"spec": {"selector": {"app": "shop"}, "ports": [{"port": 81}]}},
    "statefulset": {
        "spec": {"replicas": 0, "serviceName": "x", "selector": {"matchLabels": {"app": "shop"}}, "template": POD}
    },
    "job": {"spec": {"suspend": True, "template": ONCE}},
    "secret": {"stringData": {"token": "x", "signing.key": "x"}},
    "configmap": {"data": {"model.pub": "x"}},
}
TAKEN = [
    ("pvc", "{}-models"),
    ("secret", "{}-signing-keys"),
    ("configmap", "{}-trusted-keys"),
    ("serviceaccount", "oneseek-sidecar-{}"),
    ("secret", "{}-records"),
    ("pvc", "data-{}-records-0"),
    ("service", "{}-records"),
    ("statefulset", "{}-records"),
    ("service", "{}"),
    ("job", "{}-base"),
]


def foreign(kube: Kube, kind: str, name: str) -> Object:
    """Somebody's object that runs nothing."""
    api, long = KINDS[kind]
    meta = {"name": name, "namespace": kube.namespace, "labels": {"app": "shop"}}
    kube.create({"apiVersion": api, "kind": long, "metadata": meta, **SPECS.get(kind, {})})
    return seen(kube, kind, name)


def seen(kube: Kube, kind: str, name: str) -> Object:
    """What of an object nobody but its owner changes."""
    words = kube.kubectl(
        "get", kind, name, "-o", "jsonpath={.metadata.uid} {.metadata.labels} {.metadata.ownerReferences}"
    )
    managers = kube.kubectl(
        "get", kind, name, "-o", "jsonpath={.metadata.managedFields[*].manager}", "--show-managed-fields"
    )
    return {"words": words, "ours": "oneseek" in managers}


def test_a_model_takes_no_object_over_whatever_kind_it_is_and_deletes_none(kube: Kube) -> None:
    models = [f"taken-{number}" for number in range(len(TAKEN))]
    there = [(kind, name.format(model)) for (kind, name), model in zip(TAKEN, models, strict=True)]
    before = [foreign(kube, kind, name) for kind, name in there]
    storage = {"size": "1Gi", "reclaimPolicy": "Delete"}
    kube.apply(*(tiny_model(kube.namespace, model, storage=storage, serving=IDLE) for model in models))
    for model, (kind, name) in zip(models, there, strict=True):
        said = kube.wait_reason("oneseekmodel", model, "NameTaken", within=SOON)
        assert said["status"] == "False"
        assert f"the {KINDS[kind][1]} {name!r} is there already" in said["message"]
        kube.wait_event(model, "NameTaken")
    assert not [item for item in kube.list("jobs") if item["metadata"]["name"] != "taken-9-base"], (
        "nothing long was begun"
    )
    for model in models:
        kube.delete("oneseekmodel", model, timeout=60)
    assert [seen(kube, kind, name) for kind, name in there] == before
    assert not any(item["ours"] for item in before)


@pytest.fixture(scope="module")
def model(kube: Kube) -> str:
    """A model whose base is imported."""
    kube.apply(data(kube.namespace, rows=40), tiny_model(kube.namespace, "home", serving=IDLE))
    kube.wait("oneseekmodel", "home", lambda item: "baseModel" in item["status"], within=180)
    return "home"


def test_a_run_leaves_a_strangers_job_alone_and_goes_on_once_it_is_away(kube: Kube, model: str) -> None:
    before = foreign(kube, "job", "met-prepare")
    kube.apply(small_run(kube.namespace, "met", model, epochs=1))
    said = kube.wait_reason("trainingrun", "met", "NameTaken", within=SOON)
    assert "the Job 'met-prepare' is there already and is not this TrainingRun's" in said["message"]
    assert seen(kube, "job", "met-prepare") == before
    kube.delete("job", "met-prepare")
    kube.wait("trainingrun", "met", lambda item: "dna" in item["status"], within=180)


def test_a_run_whose_job_is_invalid_fails_with_the_sentence_and_the_next_has_its_turn(kube: Kube, model: str) -> None:
    wrong = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}  # no rule of the schema compares the two
    kube.apply(
        small_run(kube.namespace, "bad", model, resources=wrong), small_run(kube.namespace, "good", model, epochs=1)
    )
    failed = kube.wait("trainingrun", "bad", lambda item: "completedAt" in item["status"], within=120)
    assert condition(failed, "Stalled")["reason"] == "Invalid"
    assert "must be less than or equal to cpu limit" in failed["status"]["exitReason"]
    kube.wait("trainingrun", "good", lambda item: "dna" in item["status"], within=180)


def test_what_others_change_of_our_own_objects_is_set_back(kube: Kube, model: str) -> None:
    # In one write: a reconcile between two would set the first back, and see nothing of the second.
    change = [{"op": "remove", "path": "/metadata/annotations"}, {"op": "replace", "path": "/rules", "value": []}]
    kube.kubectl("patch", "role", f"oneseek-sidecar-{model}", "--type=json", "-p", json.dumps(change))
    kube.kubectl("annotate", "oneseekmodel", model, "example.org/wake=1")

    def healed() -> bool:
        return "oneseekmodels" in kube.kubectl("get", "role", f"oneseek-sidecar-{model}", "-o", "jsonpath={.rules}")

    wait_until(healed, within=SOON, what="the Role's rules are back, by force over kubectl")
