"""Deletion ends, in any phase, within a minute, and leaves no pod, Job, Deployment or Service behind."""

from __future__ import annotations

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.kube import Kube, condition, wait_until

IDLE = {"replicas": 0}


def gone(kube: Kube, kind: str, name: str, selector: str) -> None:
    """The object goes within 60 s, and what it owned soon after."""
    kube.delete(kind, name, timeout=60)
    for child in ("jobs", "deployments", "services"):
        wait_until(lambda child=child: not kube.list(child, selector), within=60, what=f"{child} of {name} are gone")


@pytest.fixture(scope="module")
def model(kube: Kube) -> str:
    """A model whose base is imported."""
    kube.apply(data(kube.namespace, rows=40), tiny_model(kube.namespace, "home", serving=IDLE))
    kube.wait("oneseekmodel", "home", lambda item: "baseModel" in item["status"], within=120)
    return "home"


@pytest.mark.parametrize("step", ["prepare", "train", "certify"])
def test_a_run_can_be_deleted_at_every_step(kube: Kube, model: str, step: str) -> None:
    name = f"at-{step}"
    kube.apply(small_run(kube.namespace, name, model, epochs=1 if step == "certify" else 500))
    wait_until(lambda: kube.get("job", f"{name}-{step}") is not None, within=120, what=f"the {step} Job is there")
    gone(kube, "trainingrun", name, f"oneseek.io/run={name}")


def test_a_finished_run_can_be_deleted_and_its_version_stays(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "done", model, epochs=1))
    run = kube.wait("trainingrun", "done", lambda item: "dna" in item["status"], within=120)
    dna = run["status"]["dna"]
    kube.wait("oneseekmodel", model, lambda item: dna in [one["dna"] for one in item["status"]["versions"]], within=30)
    gone(kube, "trainingrun", "done", "oneseek.io/run=done")
    seen = kube.get("oneseekmodel", model)
    assert seen is not None
    assert dna in [one["dna"] for one in seen["status"]["versions"]]


def test_a_queued_run_can_be_deleted(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "ahead", model, epochs=500))
    kube.wait("trainingrun", "ahead", lambda item: "startedAt" in item["status"], within=60)
    kube.apply(small_run(kube.namespace, "queued", model))
    kube.wait_reason("trainingrun", "queued", "Queued", within=60)
    gone(kube, "trainingrun", "queued", "oneseek.io/run=queued")
    gone(kube, "trainingrun", "ahead", "oneseek.io/run=ahead")


def test_a_model_can_be_deleted_while_its_base_is_imported(kube: Kube) -> None:
    kube.apply(tiny_model(kube.namespace, "early", storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    wait_until(lambda: kube.get("job", "early-base") is not None, within=60, what="the base Job is there")
    gone(kube, "oneseekmodel", "early", "oneseek.io/model=early")
    wait_until(
        lambda: kube.get("pvc", "early-models") is None, within=90, what="the claim is gone: reclaimPolicy Delete"
    )


def test_a_model_can_be_deleted_while_its_engine_starts_and_its_claim_stays(kube: Kube) -> None:
    kube.apply(tiny_model(kube.namespace, "starting"))
    wait_until(lambda: bool(kube.list("deployments", "oneseek.io/model=starting")), within=90, what="a colour is there")
    gone(kube, "oneseekmodel", "starting", "oneseek.io/model=starting")
    assert kube.get("pvc", "starting-models") is not None, "reclaimPolicy Retain"


def test_a_model_can_be_deleted_under_a_run_which_then_fails(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "left", model, epochs=500))
    kube.wait("trainingrun", "left", lambda item: "train" in item["status"].get("jobs", {}), within=90)
    gone(kube, "oneseekmodel", model, f"oneseek.io/model={model},oneseek.io/run!=left")
    seen = kube.wait("trainingrun", "left", lambda item: bool(condition(item, "Stalled")), within=60)
    assert condition(seen)["reason"] == "ModelDeleted"
    wait_until(lambda: kube.get("job", "left-train") is None, within=60, what="the train Job is stopped")
