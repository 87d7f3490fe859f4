"""Everybody who tries: accounts with the rights they are said to have, and pods as the model's own code makes them."""

from __future__ import annotations

import base64
import copy
import json
from tempfile import NamedTemporaryFile
from typing import Any

from kubernetes import client

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import Resolved, TrainingRun, TrainingRunStatus
from oneseek_operator.resources.run import certify_job, train_job
from oneseek_operator.settings import Settings
from support.auth_accounts import RBAC
from support.images import images
from support.kube import Kube
from support.makers import DIGEST
from support.tenant.attempt import Who

__all__ = ["ACCOUNTS", "PODS", "account", "accounts", "api_of", "certify_pod", "pod", "train_pod"]

Object = dict[str, Any]
# The account of each who has one, and the ClusterRole whose rules it has in the namespace.
ACCOUNTS = {
    Who.EDIT: ("editor", "edit"),
    Who.AUTHOR: ("author", "oneseek-edit"),
    Who.PROMOTER: ("promoter", "oneseek-promoter"),
    Who.VIEWER: ("viewer", "oneseek-view"),
}
PODS = {
    Who.NOBODY: "nobody",
    Who.CLIENT: "nobody",
    Who.HERE: "nobody",
    Who.LOOKALIKE: "lookalike",
    Who.WRITER: "writer",
    Who.TRAINER: "trainer",
    Who.EDIT: "impostor",
}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_WAIT = ["python", "-c", "import time; time.sleep(3600)"]


def accounts(kube: Kube) -> list[Object]:
    """Accounts, roles and bindings in the model's namespace."""
    found: list[Object] = []
    for name, rights in ACCOUNTS.values():
        found += account(kube, name, rights)
    return found


def account(kube: Kube, name: str, of: str) -> list[Object]:
    """An account that may what a ClusterRole allows, in this namespace, but nothing with Secrets."""
    meta = {"name": name, "namespace": kube.namespace}
    given = json.loads(kube.kubectl("get", "clusterrole", of, "-o", "json"))["rules"]
    rules = [
        {**rule, "resources": kept}
        for rule in given
        if (kept := [one for one in rule.get("resources", []) if not one.startswith("secrets")])
    ]
    role = {"apiGroup": RBAC, "kind": "Role", "name": name}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
    ]


def api_of(kube: Kube, token: str) -> client.ApiClient:
    """The API server for the bearer of a token, and for nobody else."""
    view = json.loads(kube.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    cluster = view["clusters"][0]["cluster"]
    with NamedTemporaryFile("wb", suffix=".crt", delete=False) as file:
        file.write(base64.b64decode(cluster["certificate-authority-data"]))
    found = client.Configuration(host=cluster["server"])
    found.ssl_ca_cert = file.name
    found.api_key = {"authorization": f"Bearer {token}"}
    return client.ApiClient(found)


def pod(kube: Kube, name: str, labels: dict[str, str] | None = None, **claims: str) -> Object:
    """A pod that waits for an attacker's orders; under `restricted`, with no token, with claims as folders."""
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {}}]
    volumes += [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in claims.items()]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    main = {
        "name": "main",
        "image": images()["slim"],
        "command": _WAIT,
        "volumeMounts": mounts,
        "securityContext": _RESTRICTED,
    }
    user = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": kube.namespace, "labels": labels or {}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [main],
            "volumes": volumes,
        },
    }


def train_pod(model: Object, run: Object) -> Object:
    """The pod that `build.run` makes for the run's training, with the attacker's command in place of ours."""
    found = _pod_of(train_job(_resolved(run), OneSeekModel.model_validate(model), _settings(), attempt=1))
    main = found["spec"]["containers"][0]
    main["command"] = _WAIT
    main.pop("args")
    found["metadata"]["name"] = PODS[Who.TRAINER]
    return found


def certify_pod(model: Object, run: Object) -> Object:
    """The pod that `build.run` makes to certify what the run's training left."""
    found = _pod_of(certify_job(_resolved(run), OneSeekModel.model_validate(model), _settings()))
    found["metadata"]["name"] = "certify"
    return found


def _settings() -> Settings:
    return Settings(slim_image=images()["slim"], runtime_image=images()["runtime"])


def _resolved(run: Object) -> TrainingRun:
    resolved = Resolved(
        spec_digest=DIGEST,
        data_digest=DIGEST,
        base_model_digest=DIGEST,
        created_at="2026-09-01T10:11:12.345Z",
        major=9,
        language="sv",
        tags=["Identity"],
    )
    return TrainingRun.model_validate(run).model_copy(update={"status": TrainingRunStatus(resolved=resolved)})


def _pod_of(job: Object) -> Object:
    template = copy.deepcopy(job["spec"]["template"])
    template["metadata"]["namespace"] = job["metadata"]["namespace"]
    template["spec"]["terminationGracePeriodSeconds"] = 0
    return {"apiVersion": "v1", "kind": "Pod", **template}
