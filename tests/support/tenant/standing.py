"""How things stand: everything an attempt may aim at, as texts that can be compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from support.kube import Kube

__all__ = ["Standing", "differences", "of"]

Object = dict[str, Any]
Standing = dict[str, str]

_SPECIFIED = (
    "data",
    "stringData",
    "spec",
    "rules",
    "roleRef",
    "subjects",
    "type",
    "secrets",
    "automountServiceAccountToken",
)
_KINDS = (
    "secret",
    "configmap",
    "service",
    "serviceaccount",
    "role",
    "rolebinding",
    "networkpolicy",
    "deployment",
    "statefulset",
    "pvc",
)
_TOLD = ("current", "previous", "candidate", "colour", "quarantine", "versions", "selection", "counters")


def of(kube: Kube, claim: Path) -> Standing:
    """The model's objects and those of others beside it, what the model says, its pods' processes, its claim's versions."""
    found: Standing = {}
    for kind in _KINDS:
        for item in kube.list(kind):
            meta = item["metadata"]
            kept = [meta.get("labels"), meta.get("ownerReferences"), *(item.get(part) for part in _SPECIFIED)]
            found[f"{kind} {meta['name']}"] = f"{meta['uid']} {_hash(kept)}"
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    meta, status = model["metadata"], model.get("status", {})
    found["the model"] = f"{meta['uid']} {_hash([model['spec'], meta.get('finalizers'), meta.get('ownerReferences')])}"
    found |= {f"status.{part}": json.dumps(status.get(part), sort_keys=True) for part in _TOLD}
    for pod in kube.list("pods", "oneseek.io/model=zero"):
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") not in ("serving", "records"):
            continue  # a Job's
        if not pod["metadata"].get("ownerReferences"):
            continue  # an attacker's own
        states = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
        restarts = {item["name"]: item["restartCount"] for item in states}
        found[f"pod {pod['metadata']['name']}"] = f"{pod['metadata']['uid']} {json.dumps(restarts, sort_keys=True)}"
    for pod in Kube("oneseek-system").list("pods"):
        restarts = {item["name"]: item["restartCount"] for item in pod["status"].get("containerStatuses", [])}
        found[f"operator {pod['metadata']['uid']}"] = json.dumps(restarts)
    found |= _versions(claim)
    return found


def _versions(claim: Path) -> Standing:
    """What lies in the versions' folder and in the base model: names, sizes, times. Not CURRENT: tree Jobs write it anew."""
    found: Standing = {}
    for root in ("oneseek-certified", "basemodeller"):
        for path in sorted((claim / root).rglob("*")):
            stat = path.lstat()
            if path.is_file() and not path.is_symlink() and "-CURRENT" not in path.name:
                found[f"file {path.relative_to(claim)}"] = f"{stat.st_size} {stat.st_mtime_ns}"
    return found


def differences(before: Standing, now: Standing) -> list[str]:
    """What was there and is another or gone. What is new is not looked at: attackers may make objects of their own."""
    return [
        f"{name}: {was[:300]} -> {now.get(name, 'gone')[:300]}" for name, was in before.items() if now.get(name) != was
    ]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
