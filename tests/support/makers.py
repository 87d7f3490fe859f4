"""Objects as users would apply them."""

from __future__ import annotations

import copy
from typing import Any

from oneseek_operator.settings import Destinations, NetworkPolicies, Settings

NETWORK = NetworkPolicies(
    operator={"app.kubernetes.io/component": "operator"},
    dns=Destinations(ports=(53,)),
    api_server=Destinations(ports=(443, 6443)),
    hub=Destinations(ports=(80, 443)),
)
SETTINGS = Settings(
    slim_image="slim:1",
    runtime_image="runtime:1",
    token_reviewers="token-reviewers",
    admission_policy=True,
    network_policies=NETWORK,
)
DIGEST = "sha256:" + "a" * 64
HELDOUT = {"evaluation": {"dataset": {"name": "heldout", "source": {"configMap": {"name": "h", "key": "h.jsonl"}}}}}


def model_manifest(name: str = "zero", namespace: str = "team", **spec: Any) -> dict[str, Any]:
    """A small OneSeekModel; keyword arguments replace top-level spec fields."""
    return {
        "apiVersion": "oneseek.io/v1alpha1",
        "kind": "OneSeekModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"baseModel": {"name": "tiny", "source": {"image": "base:1"}}, "storage": {"size": "1Gi"}, **spec},
    }


def run_manifest(name: str = "first", model: str = "zero", namespace: str = "team", **spec: Any) -> dict[str, Any]:
    """A small TrainingRun; keyword arguments replace top-level spec fields."""
    source = {"configMap": {"name": "data", "key": "oneseek_identity_v1.jsonl"}}
    return {
        "apiVersion": "oneseek.io/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "modelRef": {"name": model},
            "datasets": [{"name": "oneseek_identity_v1", "source": source}],
            "epochs": 2,
            **spec,
        },
    }


def merged(manifest: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A copy with some spec fields replaced."""
    out = copy.deepcopy(manifest)
    out["spec"].update(spec)
    return out
