"""The GitOps examples, as kustomize would build them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from support.kube import ROOT

EXAMPLES = ROOT / "examples"
APPS = EXAMPLES / "gitops/apps"


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def overlaid(below: Any, above: Any) -> Any:
    """A strategic merge for what the examples use: maps are merged, all else is replaced (CRDs have no merge keys)."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: overlaid(below.get(key), value) for key, value in above.items()}
    return above


def built(environment: str) -> list[dict[str, Any]]:
    """What kustomize builds of apps/dev or apps/prod."""
    folder = APPS / environment
    plan = documents(folder / "kustomization.yaml")[0]
    base = [
        item
        for name in documents(APPS / "base/kustomization.yaml")[0]["resources"]
        for item in documents(APPS / "base" / name)
    ]
    found = [*base, *(item for name in plan["resources"] if name != "../base" for item in documents(folder / name))]
    for entry in plan.get("patches", []):
        patch = documents(folder / entry["path"])[0]
        found = [
            overlaid(item, patch)
            if (item["kind"], item["metadata"]["name"]) == (patch["kind"], patch["metadata"]["name"])
            else item
            for item in found
        ]
    return [overlaid(item, {"metadata": {"namespace": plan["namespace"]}}) for item in found]
