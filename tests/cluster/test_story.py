"""The whole story on real pods with a tiny model: apply, answer, train, certify, take over; nobody's request fails."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from oneseek_core.dna import Dna
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, load, read, url_of
from support.kube import Kube, condition, wait_until

# The load and the seconds that are asserted need the machine to themselves.
pytestmark = pytest.mark.serial


def seconds(first: str, second: str) -> float:
    """Seconds between two Kubernetes times."""
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


@pytest.fixture(scope="module")
def url(kube: Kube) -> str:
    """A model whose base answers."""
    kube.apply(data(kube.namespace, rows=60), tiny_model(kube.namespace))
    seen = kube.wait("oneseekmodel", "zero", lambda item: condition(item).get("status") == "True", within=120)
    took = seconds(seen["metadata"]["creationTimestamp"], condition(seen)["lastTransitionTime"])
    assert took <= 60, f"from apply to the base model answering: {took} s"
    return url_of(kube.namespace, "zero")


def test_the_base_model_answers_and_says_that_it_is_no_version(kube: Kube, url: str) -> None:
    answer = ask(url, "Vem är du?", maxTokens=4)
    assert answer["version"] == "tiny-llama"
    assert answer["header"] == ""
    assert 0 < answer["confidence"] <= 1
    status = read(url, "/api/oqt/status")
    assert (status["model"]["dna"], status["model"]["isCertified"]) == (None, False)
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert condition(model)["reason"] == "BaseModelServing"


def test_a_run_ends_in_a_version_that_takes_over_without_a_failed_request(kube: Kube, url: str, tmp_path: Path) -> None:
    body = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 4}})
    old = kube.list("deployments")[0]["metadata"]["name"]
    with load(url, tmp_path, rate=20, body=body) as running:
        kube.apply(small_run(kube.namespace))
        run = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=240)
        dna = run["status"]["dna"]
        kube.wait("oneseekmodel", "zero", lambda item: item["status"].get("current", {}).get("dna") == dna, within=120)
        wait_until(lambda: kube.get("deployment", old) is None, within=60, what="the old colour is gone")
        wait_until(
            lambda: not kube.list("pods", f"oneseek.io/colour={old.removeprefix('zero-')}"),
            within=150,
            what="the old colour's pod is gone",
        )
    result = running.result
    assert result["failures"] == []
    assert result["requests"] > 200
    assert result["kept_alive"] > 100
    assert result["closed_politely"] >= 1, "old keep-alive connections were told to close"
    assert {answer["dna"] for answer in result["answers"]} == {"", dna}, "every answer says who gave it"
    assert result["answers"][-1]["dna"] == dna
    flip = min(answer["answered"] for answer in result["answers"] if answer["dna"] == dna)
    late = [answer for answer in result["answers"] if answer["dna"] == "" and answer["asked"] > flip + 2]
    assert [answer for answer in late if not answer["last"]] == [], "an old connection's last answer, or nothing"


def test_the_version_is_what_everything_says_it_is(kube: Kube, url: str) -> None:
    model, run = kube.get("oneseekmodel", "zero"), kube.get("trainingrun", "first")
    assert model is not None
    assert run is not None
    dna = model["status"]["current"]["dna"]
    assert Dna.parse(dna).order == (1, 0)
    answer = ask(url, "Vem är du?", maxTokens=4)
    assert answer["version"] == answer["header"] == dna == run["status"]["dna"]
    assert read(url, "/api/oqt/status")["model"]["dna"] == dna
    listed = read(url, "/api/models/certified")
    assert [item["dna"] for item in listed["models"]] == [dna]
    assert model["status"]["versions"][0]["state"] == "Current"
    kube.wait(
        "oneseekmodel", "zero", lambda item: condition(item, "CurrentPublished").get("status") == "True", within=60
    )
    assert read(url, "/api/models/current")["currentModel"] == dna
    assert read(url, "/api/models/current")["target"] == dna


def test_a_run_tells_how_it_went(kube: Kube, url: str) -> None:
    run = kube.get("trainingrun", "first")
    assert run is not None
    status = run["status"]
    assert status["progress"]["percent"] == 100
    assert status["progress"]["tokensPerSecond"] > 0
    assert status["losses"][0]["loss"] > status["losses"][-1]["loss"], "it learned something"
    assert status["resolved"]["samples"] == 60
    assert status["resolved"]["language"] == "ensv"
    assert len(json.dumps(status)) < 64 * 1024
    jobs = sorted(
        item["metadata"]["name"] for item in kube.list("jobs") if item["metadata"]["name"].startswith("first-")
    )
    assert jobs == ["first-certify", "first-prepare", "first-train"], "one Job of each kind"
    kube.wait_event("first", "Certified")
    reasons = [reason for reason, _ in kube.events("first")]
    assert {"Preparing", "Training", "Certifying", "Certified"} <= set(reasons)
    made, first = run["metadata"]["creationTimestamp"], status["firstStepAt"]
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    overhead = seconds(made, first) + seconds(status["resolved"]["createdAt"], model["status"]["current"]["since"])
    assert overhead <= 60, f"everything but training took {overhead} s, under load"


def test_the_operator_wrote_no_spec(kube: Kube, url: str) -> None:
    for kind, name in (("oneseekmodel", "zero"), ("trainingrun", "first")):
        text = kube.kubectl("get", kind, name, "-o", "json", "--show-managed-fields")
        for entry in json.loads(text)["metadata"]["managedFields"]:
            if entry["manager"] != "kubectl-client-side-apply":
                assert "f:spec" not in entry["fieldsV1"], entry["manager"]


def test_a_second_run_becomes_the_next_major_version(kube: Kube, url: str) -> None:
    first = kube.get("oneseekmodel", "zero")
    assert first is not None
    kube.apply(small_run(kube.namespace, "second", epochs=1))
    run = kube.wait("trainingrun", "second", lambda item: "dna" in item["status"], within=240)
    dna = run["status"]["dna"]
    model = kube.wait(
        "oneseekmodel", "zero", lambda item: item["status"].get("current", {}).get("dna") == dna, within=120
    )
    assert Dna.parse(dna).order == (2, 0)
    assert model["status"]["previous"]["dna"] == first["status"]["current"]["dna"]
    assert {item["state"] for item in model["status"]["versions"]} == {"Current", "Previous"}


def test_a_model_that_is_made_again_adopts_its_claim(kube: Kube, url: str) -> None:
    before = kube.get("oneseekmodel", "zero")
    assert before is not None
    kube.delete("trainingrun", "first")
    kube.delete("trainingrun", "second")
    kube.delete("oneseekmodel", "zero")
    kube.apply(tiny_model(kube.namespace))
    dna = before["status"]["current"]["dna"]
    model = kube.wait(
        "oneseekmodel", "zero", lambda item: item["status"].get("current", {}).get("dna") == dna, within=150
    )
    assert model["status"]["counters"] == {"major": 2, "micro": 0}
    # The same run applied again after the disaster is recognised and trains nothing.
    kube.apply(small_run(kube.namespace, "second", epochs=1))
    told = kube.wait_reason("trainingrun", "second", "AlreadyCertified", within=90)
    assert told["status"] == "True"
    assert dna in told["message"]
    assert kube.get("job", "second-train") is None
