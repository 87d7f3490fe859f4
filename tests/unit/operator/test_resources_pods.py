"""What holds for every pod that the operator creates: security standard, placement, ownership."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import run as build_run
from support.makers import SETTINGS
from support.manifests import DNA, GPU, jobs, model, pods, run, templates


@pytest.mark.parametrize("name", sorted(pods()))
def test_every_pod_meets_the_restricted_standard_and_has_no_token(name: str) -> None:
    spec = pods()[name]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    allowed = {"emptyDir", "persistentVolumeClaim", "configMap", "secret"}
    for volume in spec["volumes"]:
        projected = {"projected"} if name.endswith("serving") else set()
        assert set(volume) - {"name"} <= allowed | projected
        for source in volume.get("projected", {}).get("sources", []):
            held = [item["key"] for item in source.get("secret", {}).get("items", [])]
            assert held in ([], ["sidecar"]), "of the tokens its own role's"
        secret = volume.get("secret", {})
        keys = [item["key"] for item in secret.get("items", [])]
        assert not secret or name == "certify" or keys == ["token"], "only certify holds the private keys"


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_on_a_claim_for_one_node_run_on_one_node(name: str) -> None:
    term = pods()[name]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == {names.LABEL_CLAIM: "zero-models"}


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


@pytest.mark.parametrize("name", sorted(templates()))
def test_no_pod_that_does_a_job_or_keeps_records_lets_anybody_s_container_in(name: str) -> None:
    metadata = templates(**ASKED)[name]["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"]["linkerd.io/inject"] == "disabled"
    assert metadata["annotations"]["vault.hashicorp.com/agent-inject"] == "false"
    assert "azure.workload.identity/use" not in metadata["labels"]


def test_pods_on_a_shared_claim_run_anywhere() -> None:
    shared = model(storage={"size": "1Gi", "accessMode": "ReadWriteMany"})
    assert "affinity" not in build_model.base_job(shared, SETTINGS)["spec"]["template"]["spec"]


def test_pods_that_must_share_the_engines_node_bear_its_taints() -> None:
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    tainted = {"engine": {"tolerations": [gpu]}}

    def tolerated(wanted: OneSeekModel, trained: TrainingRun) -> list[Any]:
        made = (
            build_model.base_job(wanted, SETTINGS),
            build_model.tree_job(wanted, SETTINGS, name="tree", dna=DNA, quarantine=[]),
            build_run.prepare_job(trained, wanted, SETTINGS),
        )
        return [job["spec"]["template"]["spec"].get("tolerations") for job in made]

    same = run(pod={"tolerations": [gpu]})
    assert tolerated(model(serving=tainted), run()) == [[gpu]] * 3
    assert tolerated(model(serving=tainted), same) == [[gpu]] * 3
    assert tolerated(model(), same) == [None, None, [gpu]]
    anywhere = model(serving=tainted, storage={"size": "1Gi", "accessMode": "ReadWriteMany"})
    assert tolerated(anywhere, run()) == [None] * 3


def test_equal_inputs_give_equal_manifests_and_touch_nothing() -> None:
    given = model()
    before = copy.deepcopy(given.model_dump())
    assert build_model.base_job(given, SETTINGS) == build_model.base_job(given, SETTINGS)
    assert given.model_dump() == before


def test_owned_objects_go_with_their_owner_and_claims_do_not() -> None:
    for job in jobs().values():
        assert job["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert "ownerReferences" not in build_model.claim(model())["metadata"]
