"""The Jobs of a run: each mounts what it needs, and `spec.pod` reaches only the pods that train and evaluate."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_operator.resources import run as build_run
from oneseek_operator.resources import serving
from support.breaches import REFUSED_ENV, TAKEN_ENV
from support.makers import SETTINGS
from support.manifests import AS_ASKED, GPU, jobs, model, mounts, pods, run, templates

ASKED: dict[str, Any] = {
    "nodeSelector": {"gpu": "yes"},
    "tolerations": [GPU],
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "labels": {"team": "nlp", "sidecar.istio.io/inject": "true", "azure.workload.identity/use": "true"},
    "annotations": {"kueue.x-k8s.io/podset-required-topology": "rack", "sidecar.istio.io/inject": "true"},
    "env": [
        {"name": name, "value": "1"} for name in ("NCCL_DEBUG", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD", "NCCL_NET_PLUGIN")
    ],
}


@pytest.mark.parametrize("name", sorted(set(templates()) - AS_ASKED))
def test_what_a_run_asks_for_its_pods_reaches_no_pod_with_a_token_or_a_key(name: str) -> None:
    plain, asked = templates()[name], templates(**ASKED)[name]
    asked["spec"].pop("tolerations", None)  # of a claim for one node: see below
    for found in (plain, asked):  # the request holds the spec's digest
        container = found["spec"]["containers"][0]
        container["env"] = [item["name"] for item in container["env"]]
    assert asked == plain


@pytest.mark.parametrize("name", sorted(AS_ASKED))
def test_it_reaches_the_pods_that_train_and_evaluate(name: str) -> None:
    found = templates(**ASKED)[name]
    spec = found["spec"]
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"gpu": "yes"}, [GPU])
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("high", "nvidia")
    assert found["metadata"]["labels"]["team"] == "nlp"
    assert found["metadata"]["annotations"]["kueue.x-k8s.io/podset-required-topology"] == "rack"


def test_variables_that_tune_reach_the_trainer_and_the_evaluator_gets_its_devices_alone() -> None:
    def told(name: str) -> list[str]:
        (container,) = templates(**ASKED)[name]["spec"]["containers"]
        return [item["name"] for item in container["env"] if item["name"] != names.REQUEST_ENV]

    assert told("train") == ["NCCL_DEBUG", "CUDA_VISIBLE_DEVICES"]
    assert told("evaluate") == ["CUDA_VISIBLE_DEVICES"]


def test_other_pods_of_a_run_bear_its_taints_where_the_claim_may_lie_on_such_a_node() -> None:
    assert templates(**ASKED)["certify"]["spec"]["tolerations"] == [GPU]
    shared = model(storage={"size": "1Gi", "accessMode": "ReadWriteMany"})
    assert "tolerations" not in build_run.certify_job(run(pod=ASKED), shared, SETTINGS)["spec"]["template"]["spec"]


def test_an_image_that_a_user_names_is_asked_of_its_registry_each_time_and_copied_within_limits() -> None:
    dataset = {"name": "d", "source": {"image": {"reference": "registry.example/data:1", "path": "rows.jsonl"}}}
    prepared = build_run.prepare_job(run(datasets=[dataset]), model(), SETTINGS)["spec"]["template"]["spec"]
    engine = {"engine": {"image": "registry.example/engine:1"}}
    colour = serving.colour_of(model(serving=engine), SETTINGS, dna=None, digest=None)
    served = next(item for item in colour.template["spec"]["initContainers"] if item["name"] == "engine")
    copying = [templates()["import"]["spec"]["initContainers"][0], prepared["initContainers"][0]]
    for container in (*copying, served):
        assert container["imagePullPolicy"] == "Always"
    for container in copying:
        assert container["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    local = SETTINGS.model_copy(update={"user_image_pull_policy": "IfNotPresent"})
    of_a_dataset = build_run.prepare_job(run(datasets=[dataset]), model(), local)["spec"]["template"]["spec"]
    assert of_a_dataset["initContainers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("name", TAKEN_ENV)
def test_variables_that_tune_are_taken(name: str) -> None:
    (container,) = templates(env=[{"name": name, "value": "1"}])["train"]["spec"]["containers"]
    assert {"name": name, "value": "1"} in container["env"]


@pytest.mark.parametrize("name", REFUSED_ENV)
def test_a_variable_that_decides_what_code_runs_reaches_no_pod(name: str) -> None:
    (container,) = templates(env=[{"name": name, "value": "1"}])["train"]["spec"]["containers"]
    assert {"name": name, "value": "1"} not in container["env"]


def test_the_train_pod_writes_only_its_adapter_folder() -> None:
    assert mounts(pods()["train"]) == {
        "/models/base": ("basemodeller/tiny", True),
        "/staging/data": (".staging/u-1/data", True),
        "/staging/adapter": (".staging/u-1/adapter", False),
    }


@pytest.mark.parametrize("legacy", [True, False])
def test_the_certify_request_says_whether_old_readers_are_served(legacy: bool) -> None:
    wanted = model(certification={"legacyLayout": legacy})
    (main,) = build_run.certify_job(run(), wanted, SETTINGS)["spec"]["template"]["spec"]["containers"]
    request = next(item["value"] for item in main["env"] if item["name"] == names.REQUEST_ENV)
    assert CertifyRequest.model_validate_json(request).legacy_layout is legacy


def test_the_certify_pod_cannot_change_what_training_left() -> None:
    assert mounts(pods()["certify"])["/staging"] == (".staging/u-1", True)


def test_a_users_image_sees_a_scratch_folder_and_not_the_claim() -> None:
    copy_container = pods()["base"]["initContainers"][0]
    assert [item["name"] for item in copy_container["volumeMounts"]] == ["import"]


def test_jobs_are_not_cleaned_away_and_final_errors_are_not_tried_again() -> None:
    for job in jobs().values():
        assert "ttlSecondsAfterFinished" not in job["spec"]
        rules = job["spec"]["podFailurePolicy"]["rules"]
        assert rules[0]["action"] == "Ignore", "an evicted pod does not count"
        assert rules[1]["onExitCodes"]["values"] == list(names.FINAL_EXIT_CODES)
    assert jobs()["train"]["spec"]["backoffLimit"] == 0


def test_the_spec_digest_leaves_suspend_out() -> None:
    assert build_run.spec_digest(run()) == build_run.spec_digest(run(suspend=True))
    assert build_run.spec_digest(run()) != build_run.spec_digest(run(epochs=9))
