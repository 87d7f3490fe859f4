"""One question, several models, on real pods: what answers, what answered before, the base under both, and one elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from oneseek_core import names
from support.auth_accounts import post
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, read, url_of
from support.elsewhere import PORT, objects
from support.images import images
from support.kube import Kube, condition, wait_until

PATH = "/api/oqt/multi-model-query"
QUESTION = "Vilken färg har havet?"
KEY, OTHER_KEY = "first-key", "second-key"
TOKENS = 8
# What the tiny model needs to begin an answer as it was taught.
STRONG = {"epochs": 60, "learningRate": 0.01, "batchSize": 8}
WARM_SECONDS, SHORT = 60, 30
MODEL = {
    "promotion": {"strategy": "BlueGreen", "watch": {"seconds": WARM_SECONDS}},
    "serving": {
        "serviceType": "NodePort",
        "rateLimits": {"enabled": False},
        "externalModels": [
            {
                "name": "Elsewhere",
                "url": f"http://elsewhere:{PORT}/v1",
                "model": "big",
                "keySecret": {"name": "elsewhere", "key": "key"},
            },
            {"name": "Without key", "url": f"http://elsewhere:{PORT}/v1", "model": "big"},
            {"name": "Nowhere", "url": "http://nowhere/v1", "model": "big", "timeoutSeconds": 10},
        ],
    },
}


def secret(namespace: str, key: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "elsewhere", "namespace": namespace},
        "stringData": {"key": key},
    }


def taught(namespace: str, name: str, answer: str) -> list[dict[str, Any]]:
    """A run that teaches one answer to the question."""
    row = {"instruction": QUESTION, "input": "", "output": answer}
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for _ in range(8))
    source = {"configMap": {"name": name, "key": "oneseek_identity_v1.jsonl"}}
    sets = [{"name": "oneseek_identity_v1", "source": source}]
    return [data(namespace, name, text), small_run(namespace, name, datasets=sets, **STRONG)]


def compare(url: str, **wishes: Any) -> dict[str, Any]:
    """One multi-model query."""
    asked = {"question": QUESTION, "options": {"maxTokens": TOKENS}, "enableTraining": False, **wishes}
    status, body, headers = post(url, PATH, asked, "")
    assert status == 200, body
    body["header"] = headers.get("X-OneSeek-DNA", "")
    return body


def texts(body: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Role -> (model, text) of the models that are loaded."""
    loaded = [one for one in body["modelResponses"] if one["metadata"]["role"] != "external"]
    return {one["metadata"]["role"]: (one["model"], one["responsePreview"]) for one in loaded}


def elsewhere(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> entry of the models elsewhere."""
    return {one["model"]: one for one in body["modelResponses"] if one["metadata"]["role"] == "external"}


def said(url: str, model: str) -> str:
    """What a model of the engine says under its own name."""
    chat = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": TOKENS}
    status, body, _ = post(url, "/v1/chat/completions", chat, "")
    assert status == 200, body
    return str(body["choices"][0]["message"]["content"]).strip()


def with_strategy(namespace: str, strategy: str, *, watch: int) -> dict[str, Any]:
    """The model, whose versions take over in another way and are watched for so long."""
    promotion = {"strategy": strategy, "watch": {"seconds": watch}}
    return tiny_model(namespace, **{**MODEL, "promotion": promotion})


@dataclass(frozen=True)
class Deployed:
    """A model whose first version answers, and what it said."""

    url: str
    first: str
    answer: str


def serves(kube: Kube, run: str) -> str:
    """The run's DNA, once the model answers with it."""
    dna: str = kube.wait("trainingrun", run, lambda item: "dna" in item["status"], within=300)["status"]["dna"]
    kube.wait(
        "oneseekmodel",
        "zero",
        lambda item: item["status"].get("current", {}).get("dna") == dna and condition(item)["status"] == "True",
        within=180,
        what=f"{dna} answers",
    )
    return dna


@pytest.fixture(scope="module")
def deployed(kube: Kube) -> Deployed:
    kube.apply(
        secret(kube.namespace, KEY),
        *objects(kube.namespace, images()["slim"], key=KEY, text="Havet är djupt"),
        tiny_model(kube.namespace, **MODEL),
        *taught(kube.namespace, "first", "blå"),
    )
    dna, url = serves(kube, "first"), url_of(kube.namespace, "zero")
    return Deployed(url, dna, str(ask(url, QUESTION, maxTokens=TOKENS)["response"]))


def test_version_and_base_answer_each_with_its_own_text(deployed: Deployed) -> None:
    body = compare(deployed.url)
    found = texts(body)
    assert found["current"] == (deployed.first, deployed.answer)
    assert found["base"] == ("tiny-llama", said(deployed.url, "tiny-llama"))
    assert found["current"][1].startswith("blå")
    assert found["base"][1] != found["current"][1]
    assert body["version"] == body["header"] == deployed.first
    assert deployed.answer in body["response"]
    assert body["metadata"]["totalModels"] == len(found)
    listed = {row["id"] for row in read(deployed.url, "/v1/models")["data"]}
    assert {"tiny-llama", deployed.first} <= listed, "what is asked is listed"


def test_models_elsewhere_are_asked_when_wished_and_with_their_key(kube: Kube, deployed: Deployed) -> None:
    assert elsewhere(compare(deployed.url)) == {}
    wait_until(
        lambda: "error" not in elsewhere(compare(deployed.url, includeExternal=True))["Elsewhere"]["metadata"],
        within=60,
        what="the model elsewhere answers",
    )
    body = compare(deployed.url, includeExternal=True)
    found = elsewhere(body)
    assert found["Elsewhere"]["responsePreview"] == f"Havet är djupt ({QUESTION})"
    assert found["Elsewhere"]["metadata"]["tokens"] == 7
    assert found["Without key"]["metadata"]["error"] == "it answered with status 401"
    assert found["Nowhere"]["metadata"]["error"] in ("it cannot be reached", "no answer within 10 s")
    assert body["metadata"]["totalModels"] == len(texts(body)) + 1
    assert "Elsewhere" in [one["model"] for one in body["analysis"]["metaSummary"]["modelPerspectives"]]
    for pod in kube.list("pods", "app.kubernetes.io/component=serving"):
        assert KEY not in json.dumps(pod), "the key is in no object but its Secret"


def test_the_version_before_answers_beside_the_new_one_while_it_is_warm(kube: Kube, deployed: Deployed) -> None:
    kube.apply(*taught(kube.namespace, "second", "grön"))
    second = serves(kube, "second")

    wait_until(
        lambda: (
            "error" not in next(iter(compare(deployed.url)["modelResponses"][1:]))["metadata"]
            and len(texts(compare(deployed.url))) == 3
        ),
        within=30,
        what="the pods that answer know the warm ones",
    )
    body = compare(deployed.url)
    found = texts(body)
    assert list(found) == ["current", "previous", "base"]
    assert found["current"][0] == second
    assert found["current"][1].startswith("grön")
    assert found["previous"] == (deployed.first, deployed.answer)
    assert found["base"][0] == "tiny-llama"
    assert len({text for _, text in found.values()}) == 3, "each has its own text"
    assert body["metadata"]["totalModels"] == 3
    wait_until(
        lambda: list(texts(compare(deployed.url))) == ["current", "base"],
        within=WARM_SECONDS + 90,
        what="the version before is gone",
    )


def test_a_changed_key_needs_no_new_pod(kube: Kube, deployed: Deployed) -> None:
    pods = {pod["metadata"]["name"] for pod in kube.list("pods", "app.kubernetes.io/component=serving")}
    kube.apply(secret(kube.namespace, OTHER_KEY))
    wait_until(
        lambda: (
            elsewhere(compare(deployed.url, includeExternal=True))["Elsewhere"]["metadata"].get("error")
            == "it answered with status 401"
        ),
        within=150,
        every=2,
        what="the sidecar sends the new key, which the model elsewhere does not know",
    )
    assert {pod["metadata"]["name"] for pod in kube.list("pods", "app.kubernetes.io/component=serving")} <= pods


def test_queries_are_recorded_as_the_old_service_recorded_them(deployed: Deployed) -> None:
    body = compare(deployed.url)

    def recorded() -> list[dict[str, Any]]:
        found = read(deployed.url, "/api/oqt/queries?limit=20")["queries"]
        return [one for one in found if one["queryId"] == body["queryId"]]

    wait_until(lambda: bool(recorded()), within=30, what="the records have it")
    (query,) = recorded()
    assert (query["model"], query["version"], query["language"]) == ("OQT-1.0-MultiModel", body["version"], "sv")
    assert query["metadata"]["modelsUsed"] == [one["model"] for one in body["modelResponses"]]
    assert read(deployed.url, "/api/oqt/ledger/verify")["valid"] is True


def test_an_engine_that_took_a_version_over_keeps_the_one_before_as_long(kube: Kube, deployed: Deployed) -> None:
    before = str(ask(deployed.url, QUESTION, maxTokens=TOKENS)["header"])
    kube.apply(with_strategy(kube.namespace, "HotSwap", watch=SHORT))

    def one_that_swaps() -> bool:
        notes = [item["metadata"]["annotations"] for item in kube.list("deployments")]
        return len(notes) == 1 and names.ANNOTATION_TEMPLATE in notes[0]

    wait_until(one_that_swaps, within=180, what="pods that can take versions over have taken the others' place")
    kube.wait("oneseekmodel", "zero", lambda item: condition(item)["status"] == "True", within=60)
    wait_until(lambda: len(_pods(kube)) == 1, within=60, what="the pods whose place was taken have gone")
    (pod,) = _pods(kube)
    kube.apply(*taught(kube.namespace, "third", "svart"))
    third = serves(kube, "third")
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert model["status"]["strategy"]["name"] == "HotSwap"
    found = texts(compare(deployed.url))
    assert [(role, one) for role, (one, _) in found.items()] == [
        ("current", third),
        ("previous", before),
        ("base", "tiny-llama"),
    ]
    assert found["current"][1] == said(deployed.url, third)
    assert found["previous"][1].startswith("grön")
    assert len({text for _, text in found.values()}) == 3, "each has its own text"
    assert found["previous"][1] == said(deployed.url, before), "it can be asked by its name, as it is listed"
    wait_until(
        lambda: list(texts(compare(deployed.url))) == ["current", "base"],
        within=SHORT + 60,
        what="it is unloaded when it is no longer warm",
    )
    assert _pods(kube) == [pod], "the pod that answered answers on"


def _pods(kube: Kube) -> list[str]:
    """The serving pods that nobody told to go."""
    found = kube.list("pods", "app.kubernetes.io/component=serving")
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]
