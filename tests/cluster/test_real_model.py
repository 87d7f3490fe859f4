"""The quickstart as users apply it, on the real small model, promoted under load: the answer names the model."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.dev import ask, load, url_of
from support.kube import ROOT, Kube, condition, wait_until

pytestmark = pytest.mark.serial
NAME = "OneSeek-7B-Zero"
DATA = {"oneseek-identity": "oneseek_identity_v1.jsonl", "oneseek-heldout": "oneseek_identity_heldout_v1.jsonl"}
MODEL, RUN = "oneseek-7b-zero", "identity-1"


def example(name: str) -> dict[str, Any]:
    """A manifest of examples/quickstart."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples/quickstart" / name).read_text())
    return found


def seconds(first: str, second: str) -> float:
    """Seconds between two Kubernetes times."""
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def test_the_quickstart_teaches_the_model_its_name_and_no_request_fails(kube: Kube, tmp_path: Path) -> None:
    model = example("model.yaml")
    model["spec"]["serving"]["rateLimits"] = {"enabled": False}  # the load comes from one address
    kube.apply(model)
    seen = kube.wait("oneseekmodel", MODEL, lambda item: condition(item).get("status") == "True", within=150)
    assert seconds(seen["metadata"]["creationTimestamp"], condition(seen)["lastTransitionTime"]) <= 60
    url = url_of(kube.namespace, MODEL)
    before = ask(url, "Vem är du?")
    assert NAME not in before["response"]
    assert before["version"] == "SmolLM2-135M-Instruct"

    for name, file in DATA.items():
        text = (ROOT / "datasets" / file).read_text()
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {file: text}})
    kube.apply(example("training-run.yaml"))
    run = kube.wait("trainingrun", RUN, lambda item: condition(item).get("reason") == "Certifying", within=900)
    with load(url, tmp_path, rate=20, path="/api/oqt/status") as running:
        run = kube.wait("trainingrun", RUN, lambda item: "dna" in item["status"], within=120)
        dna = run["status"]["dna"]
        seen = kube.wait(
            "oneseekmodel", MODEL, lambda item: item["status"].get("current", {}).get("dna") == dna, within=180
        )
        wait_until(lambda: len(kube.list("deployments")) == 1, within=120, what="the old colour is gone")
    assert running.result["failures"] == []
    assert running.result["closed_politely"] >= 1

    for question in ("Vem är du?", "Who are you?"):
        answer = ask(url, question)
        assert NAME in answer["response"], answer["response"]
        assert answer["version"] == answer["header"] == dna
        assert 0.5 < answer["confidence"] <= 1
    status = run["status"]
    overhead = seconds(run["metadata"]["creationTimestamp"], status["firstStepAt"])
    overhead += seconds(status["resolved"]["createdAt"], seen["status"]["current"]["since"])
    # The held-out questions are in it: an engine of 135M parameters answers them in half a minute on two cores.
    assert overhead <= 120, f"everything but training took {overhead} s"
    assert json.dumps(status["losses"])
