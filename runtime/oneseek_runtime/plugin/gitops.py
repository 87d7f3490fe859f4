"""Finds the GitOps controller that owns a field and would revert a manual change. Pure.

A GitOps controller reapplies its manifests within minutes, so a change of a field that they contain is refused with the
place to change it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Owner", "in_manifest", "owner_of"]

_FLUX = ("kustomize-controller", "helm-controller")
_ARGO = ("argocd-controller", "argocd-application-controller")
_DEPLOYERS = ("helm",)  # it writes with Update, and brings its manifest back with every upgrade
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_FLUX_LABELS = {
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
}
_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"


@dataclass(frozen=True, slots=True)
class Owner:
    """A GitOps controller; `source` names the object (Application, Kustomization) that configures it, if known."""

    manager: str
    source: str

    def __str__(self) -> str:
        return f"{self.manager} ({self.source})" if self.source else self.manager


def owner_of(found: Mapping[str, Any], field: Sequence[str]) -> Owner | None:
    """The GitOps controller that would undo a change of the field; `found` comes with its managedFields."""
    for entry in found["metadata"].get("managedFields", []):
        manager = entry.get("manager", "")
        if manager not in (*_FLUX, *_ARGO) or entry.get("subresource"):
            continue
        # An Update owns defaults too, which stand in no manifest and are not put back.
        if _has(entry.get("fieldsV1", {}), field) and (entry.get("operation") == "Apply" or _stated(found, field)):
            return Owner(manager, _source(found["metadata"], argo=manager in _ARGO))
    return None


def in_manifest(found: Mapping[str, Any], annotation: str) -> bool:
    """Whether a manifest carries the annotation, as the operator judges it; `found` comes with its managedFields."""
    path = ("metadata", "annotations", annotation)
    if _LAST_APPLIED in found["metadata"].get("annotations", {}) and _stated(found, path):
        return True
    return any(
        _has(entry.get("fieldsV1", {}), path)
        for entry in found["metadata"].get("managedFields", [])
        if entry.get("operation") == "Apply" or entry.get("manager") in _DEPLOYERS
    )


def _has(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    for part in path:
        if f"f:{part}" not in fields:
            return False
        fields = fields[f"f:{part}"]
    return True


def _stated(found: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the last-applied manifest has the field; True if there is no such annotation."""
    text = found["metadata"].get("annotations", {}).get(_LAST_APPLIED)
    if text is None:
        return True
    try:
        value = json.loads(text)
        for part in path:
            value = value[part]
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _source(meta: Mapping[str, Any], *, argo: bool) -> str:
    """The object that tells the controller what to apply."""
    labels, annotations = meta.get("labels", {}), meta.get("annotations", {})
    if argo:
        application = annotations.get(_ARGO_TRACKING, "").partition(":")[0] or labels.get(
            "app.kubernetes.io/instance", ""
        )
        return f"Application {application}" if application else ""
    for kind, prefix in _FLUX_LABELS.items():
        if name := labels.get(f"{prefix}/name"):
            return f"{kind} {labels.get(f'{prefix}/namespace', '')}/{name}"
    return ""
