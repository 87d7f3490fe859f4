"""The operator killed with SIGKILL in the middle of things: the story ends the same, with one Job of each kind."""

from __future__ import annotations

import pytest

from support import operator_process
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, url_of
from support.kube import Kube, condition

pytestmark = pytest.mark.serial


def test_killed_while_training_while_certifying_and_while_rolling_out(kube: Kube) -> None:
    kube.apply(data(kube.namespace, rows=60), tiny_model(kube.namespace))
    kube.wait("oneseekmodel", "zero", lambda item: condition(item).get("status") == "True", within=150)
    kube.apply(small_run(kube.namespace, epochs=4))

    kube.wait("trainingrun", "first", lambda item: "train" in item["status"].get("jobs", {}), within=120)
    operator_process.kill()
    kube.wait_reason("trainingrun", "first", "Certifying", within=240)
    operator_process.kill()
    run = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=240)
    kube.wait("oneseekmodel", "zero", lambda item: "candidate" in item["status"], within=240)
    operator_process.kill()

    dna = run["status"]["dna"]
    kube.wait("oneseekmodel", "zero", lambda item: item["status"].get("current", {}).get("dna") == dna, within=300)
    model = kube.wait(
        "oneseekmodel", "zero", lambda item: condition(item, "CurrentPublished").get("status") == "True", within=120
    )
    assert condition(model)["reason"] == "Serving"
    assert ask(url_of(kube.namespace, "zero"), "Vem är du?", maxTokens=4)["version"] == dna
    jobs = sorted(item["metadata"]["name"].split("-tree-")[0] for item in kube.list("jobs"))
    assert jobs == ["first-certify", "first-prepare", "first-train", "zero", "zero-base"]
    assert all(item["status"].get("succeeded") == 1 for item in kube.list("jobs"))
    operator_process.wait_running()
