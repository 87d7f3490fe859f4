"""What quotas, pod security, policies and RBAC refuse on a real cluster: a reason within a minute, and recovery by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.cluster_objects import data, small_run, tiny_model
from support.kube import ROOT, Kube, KubectlError, condition, scratch_namespace, wait_until

CASES = ROOT / "tests/cases"
MODEL = ("oneseekmodel", "zero")
SOON = 60  # seconds within which the object says it
AGAIN = 180  # and within which it has recovered: the Job controller waits up to a minute between tries of a pod


@pytest.fixture
def kube() -> Iterator[Kube]:
    """A namespace for each test: what is refused is refused there alone."""
    with scratch_namespace("refused") as kube:
        yield kube


def quota(kube: Kube, **hard: str) -> dict[str, Any]:
    """A ResourceQuota; `count_jobs__batch` is `count/jobs.batch`."""
    names = {key.replace("__", ".").replace("_", "/", 1): value for key, value in hard.items()}
    meta = {"name": "small", "namespace": kube.namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": names}}


def says(kube: Kube, kind: str, name: str, reason: str, *words: str) -> dict[str, Any]:
    """The object is not ready for this reason, with the API server's sentence, soon."""
    ready = kube.wait_reason(kind, name, reason, within=SOON)
    assert ready["status"] == "False"
    for word in words:
        assert word in ready["message"]
    item = kube.get(kind, name)
    assert item is not None
    assert condition(item, "Reconciling").get("reason") == reason
    kube.wait_event(name, reason)
    return item


def answers(kube: Kube, within: float) -> None:
    """The base model answers."""
    kube.wait(*MODEL, lambda item: condition(item).get("status") == "True", within=within)


def test_a_quota_that_wants_limits_on_every_pod_is_told_and_a_limit_range_mends_it(kube: Kube) -> None:
    kube.create(yaml.safe_load((CASES / "51-quota.yaml").read_text()))
    model = yaml.safe_load((CASES / "51-quota-model.yaml").read_text())
    kube.apply({**model, "metadata": {"name": "quota-test", "namespace": kube.namespace}})
    says(kube, "oneseekmodel", "quota-test", "QuotaExceeded", "quota-test-base", "must specify limits.cpu")
    limits = {"cpu": "500m", "memory": "1Gi"}
    spec = {"limits": [{"type": "Container", "default": limits, "defaultRequest": {"cpu": "50m", "memory": "64Mi"}}]}
    kube.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": spec})
    kube.wait("oneseekmodel", "quota-test", lambda item: condition(item)["reason"] != "QuotaExceeded", within=AGAIN)


def test_a_quota_of_no_jobs_is_told_stalls_nothing_that_answers_and_is_over_once_it_is_raised(kube: Kube) -> None:
    kube.create(quota(kube, count_jobs__batch="0"))
    kube.apply(tiny_model(kube.namespace), data(kube.namespace))
    says(kube, *MODEL, "QuotaExceeded", "the Job 'zero-base'", "count/jobs.batch=0")
    kube.delete("resourcequota", "small")
    answers(kube, within=180)
    kube.create(quota(kube, count_jobs__batch="1"))  # the base Job stands there
    kube.apply(small_run(kube.namespace))
    says(kube, "trainingrun", "first", "QuotaExceeded", "the Job 'first-prepare'")
    answers(kube, within=10)
    kube.delete("resourcequota", "small")
    kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=300)


def test_a_namespace_that_takes_no_claim_is_told_with_the_claims_name(kube: Kube) -> None:
    kube.create(quota(kube, count_persistentvolumeclaims="0"))
    kube.apply(tiny_model(kube.namespace))
    says(kube, *MODEL, "QuotaExceeded", "the PersistentVolumeClaim 'zero-models'")
    kube.delete("resourcequota", "small")
    answers(kube, within=180)


def test_pods_that_a_policy_of_the_cluster_refuses_are_told_with_its_sentence(kube: Kube) -> None:
    kube.apply(*_no_pods(kube.namespace))
    try:
        wait_until(lambda: _is_refused(kube), within=30, what="the policy refuses pods")
        kube.apply(tiny_model(kube.namespace))
        says(kube, *MODEL, "PolicyDenied", "no pod is made for Job 'zero-base'", "no pods on Fridays")
    finally:
        for item in _no_pods(kube.namespace):
            kube.kubectl("delete", item["kind"], item["metadata"]["name"], "--ignore-not-found")
    answers(kube, within=AGAIN)


def _is_refused(kube: Kube) -> bool:
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {"securityContext": security, "containers": [{"name": "c", "image": "none", "securityContext": own}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": spec}
    try:
        kube.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    except KubectlError as error:
        return "no pods on Fridays" in str(error)
    return False


def _no_pods(namespace: str) -> list[dict[str, Any]]:
    name, api = f"no-pods-{namespace}", "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    here = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "no pods on Fridays"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    ]


@pytest.mark.parametrize("name", ["7b-zero", "0", "3-small"])
def test_a_name_that_no_service_can_have_is_refused_with_a_sentence(kube: Kube, name: str) -> None:
    with pytest.raises(KubectlError, match="must begin with a letter: a Service is named after it"):
        kube.apply(tiny_model(kube.namespace, name))


def test_a_suspended_model_makes_no_pod_and_one_suspended_later_has_none_left(kube: Kube) -> None:
    kube.apply(tiny_model(kube.namespace, suspend=True))
    kube.wait_reason(*MODEL, "Suspended", within=SOON)
    kinds = ("pods", "jobs", "deployments", "statefulsets", "services", "pvcs")
    assert [item["metadata"]["name"] for kind in kinds for item in kube.list(kind)] == []
    kube.apply(tiny_model(kube.namespace))
    answers(kube, within=180)
    kube.apply(tiny_model(kube.namespace, suspend=True))
    kube.wait(*MODEL, lambda item: condition(item)["reason"] == "Suspended", within=SOON)
    kube.wait("statefulset", "zero-records", lambda item: item["spec"]["replicas"] == 0, within=120)
    kube.wait("statefulset", "zero-records", lambda item: not item["status"].get("replicas"), within=120)
    kube.apply(tiny_model(kube.namespace))
    answers(kube, within=180)
