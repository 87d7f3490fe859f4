"""What users get wrong in runs, on a real cluster: a condition with reason and message, an Event, and nothing lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.kube import Kube, condition

DIGEST = "sha256:" + "0" * 64
IDLE = {"replicas": 0}  # nothing answers: these tests are about training
SOURCE = {"configMap": {"name": "data", "key": "oneseek_identity_v1.jsonl"}}


@pytest.fixture(scope="module")
def model(kube: Kube) -> str:
    """A model whose base is imported and which serves nothing."""
    kube.apply(data(kube.namespace), tiny_model(kube.namespace, "quiet", serving=IDLE))
    kube.wait("oneseekmodel", "quiet", lambda item: "baseModel" in item["status"], within=120)
    return "quiet"


def ended(kube: Kube, name: str, reason: str, *words: str, within: float = 90) -> dict[str, Any]:
    """The run failed for good with this reason; its message and an Event say so."""
    ready = kube.wait_reason("trainingrun", name, reason, within=within)
    run = kube.get("trainingrun", name)
    assert run is not None
    assert ready["status"] == "False"
    assert condition(run, "Stalled")["status"] == "True"
    for word in words:
        assert word in ready["message"]
    kube.wait_event(name, reason, words[0])
    return run


DATA_CASES = [
    pytest.param("", "DatasetInvalid", ["no rows"], id="empty"),
    pytest.param('{"instruction": "a", "output": "b"}\nnot json\n', "DatasetInvalid", ["line 2"], id="not-jsonl"),
    pytest.param('{"instruction": "a", "output": "b"}\n\n{"x": 1}\n', "DatasetInvalid", ["line 3"], id="no-fields"),
    pytest.param('["a"]\n', "DatasetInvalid", ["line 1"], id="not-an-object"),
    pytest.param('{"instruction": "a", "output": "  "}\n', "DatasetInvalid", ["line 1"], id="empty-output"),
]


@pytest.mark.parametrize(("text", "reason", "words"), DATA_CASES)
def test_unusable_data_is_named(kube: Kube, model: str, text: str, reason: str, words: list[str]) -> None:
    name = f"bad-{abs(hash(text)) % 10_000}"
    kube.apply(data(kube.namespace, name, text))
    source = {"configMap": {"name": name, "key": "oneseek_identity_v1.jsonl"}}
    kube.apply(small_run(kube.namespace, name, model, datasets=[{"name": "mine", "source": source}]))
    ended(kube, name, reason, *words)
    assert kube.get("job", f"{name}-train") is None, "no train pod is started for bad data"


SOURCES = [
    pytest.param({"configMap": {"name": "nowhere", "key": "a"}}, "DatasetNotFound", "nowhere", id="no-config-map"),
    pytest.param({"configMap": {"name": "data", "key": "other"}}, "DatasetNotFound", "other", id="no-key"),
    pytest.param({"path": "sets/none.jsonl"}, "DatasetNotFound", "sets/none.jsonl", id="no-file-on-the-claim"),
]


@pytest.mark.parametrize(("source", "reason", "word"), SOURCES)
def test_data_that_is_not_there_is_named(
    kube: Kube, model: str, source: dict[str, Any], reason: str, word: str, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    kube.apply(small_run(kube.namespace, name, model, datasets=[{"name": "mine", "source": source}]))
    ended(kube, name, reason, word, within=150)


def test_a_hub_dataset_that_cannot_be_had_is_named(kube: Kube, model: str) -> None:
    """The hub is another test's: while it runs it knows no such dataset, otherwise it does not answer."""
    source = {"huggingFace": {"repo": "no/body", "file": "a.jsonl"}}
    kube.apply(small_run(kube.namespace, "hub", model, datasets=[{"name": "mine", "source": source}]))
    seen = kube.wait("trainingrun", "hub", lambda item: bool(condition(item, "Stalled")), within=240)
    stalled = condition(seen, "Stalled")
    assert stalled["reason"] in ("DatasetUnavailable", "DatasetNotFound")
    assert "no/body" in stalled["message"]


def test_drifted_data_is_refused(kube: Kube, model: str) -> None:
    datasets = [{"name": "mine", "source": SOURCE, "digest": DIGEST}]
    kube.apply(small_run(kube.namespace, "drifted", model, datasets=datasets))
    ended(kube, "drifted", "DatasetDigestDiffers", DIGEST)


def test_out_of_memory_says_the_limit(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "small", model, resources={"limits": {"memory": "150Mi"}}))
    ended(kube, "small", "OutOfMemory", "150Mi", "raise", within=120)


def test_an_error_in_training_says_its_sentence(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "modules", model, lora={"targetModules": ["no_such_layer"]}))
    run = ended(kube, "modules", "TargetModulesNotFound", "no_such_layer", within=120)
    assert "no_such_layer" in run["status"]["exitReason"]


def test_a_run_over_its_deadline_is_stopped(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "late", model, epochs=1000, activeDeadlineSeconds=12))
    ended(kube, "late", "DeadlineExceeded", "activeDeadlineSeconds", within=180)


def test_an_unschedulable_pod_says_why_and_deleting_the_run_lets_the_next_one_go(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "nowhere", model, pod={"nodeSelector": {"gpu": "none"}}))
    told = kube.wait_reason("trainingrun", "nowhere", "Unschedulable", within=60)
    assert "node(s)" in told["message"]
    kube.wait_event("nowhere", "Unschedulable")
    kube.apply(small_run(kube.namespace, "behind", model))
    told = kube.wait_reason("trainingrun", "behind", "Queued", within=60)
    assert "'nowhere'" in told["message"]
    kube.delete("trainingrun", "nowhere")
    kube.wait("trainingrun", "behind", lambda item: "prepare" in item["status"].get("jobs", {}), within=60)
    kube.delete("trainingrun", "behind")


def test_an_unknown_model_is_said_at_once_and_is_an_error_after_a_while(kube: Kube) -> None:
    kube.apply(small_run(kube.namespace, "orphan", "nobody"))
    told = kube.wait_reason("trainingrun", "orphan", "ModelNotFound", within=30)
    assert "'nobody'" in told["message"]
    seen = kube.wait("trainingrun", "orphan", lambda item: bool(condition(item, "Stalled")), within=60)
    assert condition(seen, "Stalled")["reason"] == "ModelNotFound"


def test_a_job_deleted_from_outside_is_not_run_again(kube: Kube, model: str) -> None:
    kube.apply(small_run(kube.namespace, "robbed", model, epochs=1000))
    kube.wait("trainingrun", "robbed", lambda item: "train" in item["status"].get("jobs", {}), within=90)
    kube.delete("job", "robbed-train")
    ended(kube, "robbed", "JobVanished", "robbed-train", within=60)


def test_nothing_on_the_claim_was_lost(kube: Kube, model: str) -> None:
    """After all of the above the model still trains."""
    kube.apply(small_run(kube.namespace, "fine", model, epochs=1))
    run = kube.wait("trainingrun", "fine", lambda item: "dna" in item["status"], within=120)
    assert condition(run)["reason"] == "Certified"
    assert json.dumps(run["status"])
