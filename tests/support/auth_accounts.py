"""Accounts, their tokens, and posts that carry one, on the real cluster."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from support.kube import Kube

RBAC = "rbac.authorization.k8s.io"


def account(kube: Kube, name: str, *verbs: str) -> None:
    """A service account with rights on models and runs of its namespace."""
    meta = {"name": name, "namespace": kube.namespace}
    rules = [{"apiGroups": ["oneseek.io"], "resources": ["oneseekmodels", "trainingruns"], "verbs": list(verbs)}]
    kube.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
    )


def token(kube: Kube, name: str, audience: str = "oneseek") -> str:
    """A token as a person makes one."""
    return kube.kubectl("create", "token", name, "--audience", audience, "--duration", "10m").strip()


def post(url: str, path: str, body: Any, bearer: str, *, wait: int = 0) -> tuple[int, dict[str, Any], Any]:
    """Status, body and headers of a post; `wait` is for what the client prefers to wait for."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    if wait:
        headers["Prefer"] = f"wait={wait}"
    data = b"" if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60 + wait) as response:
            return response.status, json.loads(response.read()), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers
