"""One engine's room: the running pod takes over the next version, and the one before it, without a failed request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, load, url_of
from support.flips import watched, wrong
from support.kube import Kube, condition

# The load needs the machine to itself.
pytestmark = pytest.mark.serial

# A node of two cores takes one such engine, and never two.
ONE_AT_A_TIME = {
    "serviceType": "NodePort",
    "rateLimits": {"enabled": False},
    "engine": {"resources": {"requests": {"cpu": "1100m"}}},
}
BODY = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 2}})


def current(item: dict[str, Any]) -> str:
    """The DNA in status.current."""
    found: str = item["status"].get("current", {}).get("dna", "")
    return found


def serving_pods(kube: Kube) -> set[str]:
    """The pods with an engine."""
    return {pod["metadata"]["name"] for pod in kube.list("pods", "app.kubernetes.io/component=serving")}


def test_without_room_for_two_auto_gives_way_and_the_pod_that_answers_takes_the_version_over(
    kube: Kube, tmp_path: Path
) -> None:
    kube.apply(data(kube.namespace, rows=60), tiny_model(kube.namespace, serving=ONE_AT_A_TIME))
    kube.wait("oneseekmodel", "zero", lambda item: condition(item).get("status") == "True", within=120)
    url = url_of(kube.namespace, "zero")
    before = serving_pods(kube)
    with load(url, tmp_path, rate=10, body=BODY) as running, watched(kube, url) as names:
        names.ask()
        kube.apply(small_run(kube.namespace))
        run = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=240)
        dna = run["status"]["dna"]
        model = kube.wait("oneseekmodel", "zero", lambda item: current(item) == dna, within=240)
    assert running.result["failures"] == []
    assert {answer["dna"] for answer in running.result["answers"]} == {"", dna}
    assert names.failures == names.wrong() == []
    assert wrong(running.result, names.named) == []
    used = model["status"]["strategy"]
    assert (used["name"], used["reason"]) == ("HotSwap", "NoRoom"), used
    assert before & serving_pods(kube), "the pod that answered answers on"
    assert ask(url, "Vem är du?", maxTokens=1)["header"] == dna


def test_going_back_swaps_at_once_and_a_new_pod_comes_up_with_what_answered(kube: Kube) -> None:
    url = url_of(kube.namespace, "zero")
    kube.kubectl("annotate", "oneseekmodel", "zero", "oneseek.io/rollback=base")
    kube.wait(
        "oneseekmodel", "zero", lambda item: item["status"].get("request", {}).get("outcome") == "Succeeded", within=60
    )
    assert ask(url, "Vem är du?", maxTokens=1)["version"] == "tiny-llama"
    kube.kubectl("annotate", "oneseekmodel", "zero", "oneseek.io/release=all")
    model = kube.wait("oneseekmodel", "zero", lambda item: current(item) != "", within=120)
    kube.kubectl("delete", "pods", "-l", "app.kubernetes.io/component=serving", "--wait=false")
    kube.wait("oneseekmodel", "zero", lambda item: condition(item)["status"] == "False", within=60)
    kube.wait("oneseekmodel", "zero", lambda item: condition(item)["status"] == "True", within=180)
    assert ask(url, "Vem är du?", maxTokens=1)["header"] == current(model)
