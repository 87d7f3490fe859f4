"""Training through HTTP on real pods: ten questions become one Micro run, and the version it makes answers them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.sync.client import connect

from oneseek_core import names
from oneseek_core.dna import Dna
from support.auth_accounts import account, post, token
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, read, url_of
from support.kube import Kube, condition, wait_until

MICRO, TRAIN = "/api/oqt/micro-train", "/api/oqt/train"
LESSONS = {
    "Vilken färg har havet?": "blå",
    "Vilken färg har gräset?": "grön",
    "Vilken färg har solen?": "gul",
    "Vilken färg har snön?": "vit",
    "Vilken färg har natten?": "svart",
    "What colour is the sea?": "blue",
    "What colour is grass?": "green",
    "What colour is the sun?": "yellow",
    "What colour is snow?": "white",
    "What colour is the night?": "black",
}
# Sixty epochs at this rate are what the tiny model needs to begin all ten answers as it was taught. It has no end of turn
# that it could learn, so it talks on.
DEFAULTS = {"epochs": 60, "learningRate": 0.01, "batchSize": 8, "maximumLength": 64}
HELDOUT = {"question": "Vilken färg har jorden?", "language": "sv", "mustContain": ["brun"]}
TRAINING = {
    "micro": {"minimumQuestions": len(LESSONS), "debounceSeconds": 1},
    "defaults": DEFAULTS,
    "evaluation": {
        "dataset": {"name": "heldout", "source": {"configMap": {"name": "heldout", "key": "heldout.jsonl"}}}
    },
}
# A version that clients asked for takes over by itself only where something measures it; the tiny model need know nothing.
GATE = {"gate": {"minimumScores": {"factsContained": 0}}}
WITHIN = 480  # seconds for a run, on a machine that does other things too


def lesson(question: str) -> dict[str, Any]:
    """What a client of the old service posts: two raw answers, and what its analysis made of them."""
    answer = LESSONS[question]
    raw = [{"model": model, "response": answer} for model in ("one", "other")]
    return {
        "question": question,
        "rawResponses": raw,
        "analyzedData": {"consensus": 1, "metaSummary": {"text": answer}},
    }


@dataclass(frozen=True)
class Taught:
    """A model with a first version, somebody's token, and what came back for each of the ten questions."""

    url: str
    token: str
    first: str
    before: dict[str, str]
    queued: list[dict[str, Any]]
    waited: dict[str, Any]
    applied: str
    news: list[dict[str, Any]]

    def learned(self) -> list[str]:
        """The questions whose answers begin as they were taught."""
        return [q for q, answer in LESSONS.items() if ask(self.url, q, maxTokens=8)["response"].startswith(answer)]


def taught_model(namespace: str, **training: Any) -> dict[str, Any]:
    """The model with other settings for training."""
    return tiny_model(namespace, training={**TRAINING, **training}, promotion=GATE)


def heldout(namespace: str) -> dict[str, Any]:
    """The held-out set: one question."""
    found = data(namespace, "heldout", "")
    return {**found, "data": {"heldout.jsonl": json.dumps(HELDOUT, ensure_ascii=False) + "\n"}}


def serves(kube: Kube, dna: str) -> dict[str, Any]:
    """The model, once the version answers."""
    return kube.wait(
        "oneseekmodel",
        "zero",
        lambda item: item["status"].get("current", {}).get("dna") == dna and condition(item)["status"] == "True",
        within=180,
        what=f"{dna} answers",
    )


@pytest.fixture(scope="module")
def taught(kube: Kube) -> Taught:
    """Nine questions are answered at once, the tenth once the run has ended."""
    kube.apply(data(kube.namespace), heldout(kube.namespace), taught_model(kube.namespace), small_run(kube.namespace))
    account(kube, "teacher", "train")
    first = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=WITHIN)["status"]["dna"]
    serves(kube, first)
    url, bearer = url_of(kube.namespace, "zero"), token(kube, "teacher")
    before = {question: ask(url, question, maxTokens=8)["response"] for question in LESSONS}
    *most, last = LESSONS
    queued = []
    with connect(f"{url.replace('http', 'ws', 1)}/ws/training?runId=micro-training") as socket:
        for question in most:
            status, body, _ = post(url, MICRO, lesson(question), bearer)
            assert status == 200, body
            queued.append(body)
        status, waited, headers = post(url, MICRO, lesson(last), bearer, wait=WITHIN)
        assert status == 200, waited
        news = [json.loads(socket.recv(timeout=60))]
        while news[-1]["type"] != "dna_updated":
            news.append(json.loads(socket.recv(timeout=60)))
    return Taught(url, bearer, first, before, queued, waited, headers["Preference-Applied"], news)


def test_without_a_token_nobody_teaches(kube: Kube, taught: Taught) -> None:
    for path in (MICRO, TRAIN):
        assert post(taught.url, path, lesson("What colour is snow?"), "")[0] == 401
    assert read(taught.url, "/api/training/micro/status")["state"]["totalRuns"] == len(LESSONS)


def test_every_answer_names_the_run_before_there_is_one(taught: Taught) -> None:
    for body in taught.queued:
        assert body["run"] == {"name": "zero-micro-1", "window": 1, "state": "queued", "dna": None, "message": ""}
        assert (body["stages"]["stage1"]["completed"], body["stages"]["stage1"]["reason"]) == (False, "queued")
        assert body["modelStatus"]["version"] == taught.first


def test_who_waited_was_told_the_version(taught: Taught) -> None:
    body = taught.waited
    assert taught.applied == f"wait={WITHIN}"
    assert (body["run"]["name"], body["run"]["state"]) == ("zero-micro-1", "certified")
    assert body["stages"]["stage1"]["completed"] is body["stages"]["stage2"]["completed"] is True
    assert body["stages"]["stage1"]["samplesProcessed"] == 2
    assert body["modelStatus"]["version"] == body["run"]["dna"]


def test_who_listened_was_told_what_became_of_each_question(kube: Kube, taught: Taught) -> None:
    kinds = [event["type"] for event in taught.news if event["type"] not in ("heartbeat", "epoch_end")]
    assert kinds == ["initial_state", *["stage1_complete"] * 10, *["stage2_complete"] * 10, "dna_updated"]
    assert {event["question"] for event in taught.news if event["type"] == "stage1_complete"} == set(LESSONS)
    run = kube.get("trainingrun", "zero-micro-1")
    assert run is not None
    last = taught.news[-1]
    assert (last["model"], f"sha256:{last['dna_hash']}") == (run["status"]["dna"], run["status"]["digest"])
    assert last["total_samples"] == 30


def test_ten_questions_are_one_run_that_goes_on_from_what_answered(kube: Kube, taught: Taught) -> None:
    assert {run["metadata"]["name"] for run in kube.list("trainingruns")} == {"first", "zero-micro-1"}
    run = kube.get("trainingrun", "zero-micro-1")
    assert run is not None
    assert run["spec"]["type"] == "Micro"
    (dataset,) = run["spec"]["datasets"]
    assert dataset["digest"] == run["status"]["resolved"]["datasets"][0]["digest"]
    assert dataset | {"digest": ""} == {
        "name": "conversation-1",
        "source": {"records": {"window": 1}},
        "digest": "",
    }
    resolved = run["status"]["resolved"]
    assert (resolved["parent"], resolved["samples"], resolved["microSteps"]) == (taught.first, 30, 20)
    dna = run["status"]["dna"]
    assert dna == taught.waited["run"]["dna"]
    assert Dna.parse(taught.first).order == (1, 0)
    assert Dna.parse(dna).order == (1, 20), "a step a stage: two of each of ten questions"
    assert "Conversational" in dna
    model = serves(kube, dna)
    assert model["status"]["counters"] == {"major": 1, "micro": 20}
    assert names.WINDOW_MICRO not in model["metadata"].get("annotations", {})
    kube.wait_event("zero", "WindowTaken")


def test_it_learned_what_it_was_taught(kube: Kube, taught: Taught) -> None:
    dna = taught.waited["run"]["dna"]
    serves(kube, dna)
    known = [q for q, answer in LESSONS.items() if taught.before[q].startswith(answer)]
    assert known == [], "the version before knew none of it"
    assert taught.learned() == list(LESSONS)
    answer = ask(taught.url, "Vilken färg har havet?", maxTokens=8)
    assert answer["version"] == answer["header"] == dna


def test_statistics_tell_what_was_taught(kube: Kube, taught: Taught) -> None:
    serves(kube, taught.waited["run"]["dna"])
    stats = read(taught.url, "/api/training/micro/stats")["stats"]
    assert stats["runsByLanguage"] == {"sv": 5, "en": 5}
    for language in ("sv", "en"):
        found = stats["models"][language]
        assert (found["stage1Samples"], found["stage2Samples"]) == (5, 5)
        assert found["lastDNA"]["total_samples"] == 30
    training = read(taught.url, "/api/oqt/metrics")["training"]
    assert (training["weeklyBatches"], training["microBatches"]) == (1, 20)
    assert read(taught.url, "/api/oqt/ledger/verify")["valid"] is True


def test_a_model_that_is_not_to_learn_says_so(kube: Kube, taught: Taught) -> None:
    serves(kube, taught.waited["run"]["dna"])
    colours = {item["metadata"]["name"] for item in kube.list("deployments")}
    kube.apply(taught_model(kube.namespace, micro={**TRAINING["micro"], "enabled": False}))
    wait_until(
        lambda: read(taught.url, "/api/training/micro/status")["status"] == "disabled",
        within=30,
        what="the sidecar knows",
    )
    status, body, _ = post(taught.url, MICRO, lesson("What colour is snow?"), taught.token)
    assert (status, body["error"]) == (409, "Failed to perform micro-training")
    assert "spec.training.micro.enabled" in body["message"]
    kube.apply(taught_model(kube.namespace))
    assert {item["metadata"]["name"] for item in kube.list("deployments")} <= colours, "no pod was replaced for it"
    assert read(taught.url, "/api/training/micro/status")["state"]["totalRuns"] == len(LESSONS)


def test_train_makes_the_next_major_version_of_all_that_was_taught(kube: Kube, taught: Taught) -> None:
    serves(kube, taught.waited["run"]["dna"])
    status, body, _ = post(taught.url, TRAIN, None, taught.token, wait=WITHIN)
    assert status == 200, body
    assert (body["run"]["name"], body["run"]["state"]) == ("zero-major-2", "certified")
    assert body["previousVersion"] == taught.waited["run"]["dna"]
    assert (body["result"]["samplesProcessed"], body["result"]["epochs"]) == (30, DEFAULTS["epochs"])
    assert body["result"]["duration_ms"] > 0
    dna = body["newVersion"]
    assert Dna.parse(dna).order == (2, 0)
    assert serves(kube, dna)["status"]["counters"] == {"major": 2, "micro": 0}
    assert taught.learned() == list(LESSONS)
