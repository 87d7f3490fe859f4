"""The ServiceAccount of a model's sidecars and its rights. Pure.

Account, role and binding are owned by the model. Reviewing tokens is a cluster-scoped right: the chart installs one binding
for it, in which the operator may only add and remove these accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.digest import canonical_json
from oneseek_operator.resources import common
from oneseek_operator.resources.model import labels

__all__ = ["objects", "subject", "token_mount", "token_volume", "with_subject", "without_subject"]

Manifest = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_TOKEN_SECONDS = 3600  # the kubelet renews it well before; the sidecar reads the file for each request


def objects(model: OneSeekModel, *, policy: bool) -> list[Manifest]:
    """ServiceAccount, Role and RoleBinding, in the order in which they are created; each is annotated with its hash.

    `policy`: the admission policy exists, without which whoever may patch a OneSeekModel may patch all of it.
    """
    name = names.sidecar_account(model.metadata.name)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": False}
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "rules": _rules(model, policy=policy)}
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [subject(model)],
    }
    made = []
    for item in (account, role, binding):
        meta = common.meta(model, name, labels(model, "sidecar"))
        meta["annotations"] = {names.ANNOTATION_TEMPLATE: names.short_hash(canonical_json(item).decode(), length=16)}
        made.append({**item, "metadata": meta})
    return made


def _rules(model: OneSeekModel, *, policy: bool) -> list[Manifest]:
    own = {"apiGroups": [names.GROUP], "resources": [names.MODELS], "resourceNames": [model.metadata.name]}
    return [
        {**own, "verbs": ["get", "list", "watch", *(["patch"] if policy else [])]},  # patch: annotations that ask
        {"apiGroups": [names.GROUP], "resources": [names.TRAINING_RUNS], "verbs": ["list", "watch"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"], "verbs": ["create"]},
    ]


def subject(model: OneSeekModel) -> Manifest:
    """The account as bindings name it."""
    name = names.sidecar_account(model.metadata.name)
    return {"kind": "ServiceAccount", "name": name, "namespace": model.metadata.namespace}


def with_subject(binding: Mapping[str, Any], entry: Manifest) -> Manifest:
    """The binding with an account in it; unchanged if it has it."""
    there = without_subject(binding, entry)["subjects"]
    if len(there) < len(binding.get("subjects") or []):
        return dict(binding)
    return {**binding, "subjects": [*there, entry]}


def without_subject(binding: Mapping[str, Any], entry: Manifest) -> Manifest:
    """The binding without an account."""
    rest = [item for item in binding.get("subjects") or [] if not entry.items() <= item.items()]
    return {**binding, "subjects": rest}


def token_volume() -> Manifest:
    """A token of the account for the API server, which the kubelet renews, and the API server's certificate."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    return {"name": "api-token", "projected": {"sources": sources, "defaultMode": 0o440}}


def token_mount() -> Manifest:
    """Its mount in the sidecar, and in no other container."""
    return {"name": "api-token", "mountPath": names.API_ACCESS_PATH, "readOnly": True}
