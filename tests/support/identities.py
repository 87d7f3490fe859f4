"""The test cluster as somebody else sees it: an impersonated user with extra fields, or the holder of a token."""

from __future__ import annotations

import copy
import uuid
from pathlib import Path
from typing import Any

import yaml

from support.kube import Kube

POD_NAME = "authentication.kubernetes.io/pod-name"  # the API server says so of whoever has a token bound to a pod


def impersonating(kube: Kube, folder: Path, user: str, **extra: str) -> Kube:
    """The administrator, who may impersonate anybody, as a user with fields that `--as` cannot give."""
    fields = {POD_NAME if key == "pod" else key: [value] for key, value in extra.items()}
    return _with(kube, folder, lambda known: {**known, "as": user, "as-user-extra": fields})


def holding(kube: Kube, folder: Path, token: str) -> Kube:
    """Whoever has a token, and nothing else."""
    return _with(kube, folder, lambda _: {"token": token})


def _with(kube: Kube, folder: Path, change: Any) -> Kube:
    config = yaml.safe_load(kube.kubeconfig.read_text())
    for entry in config["users"]:
        entry["user"] = change(entry["user"])
    other = copy.copy(kube)
    other.kubeconfig = folder / f"{uuid.uuid4().hex}.kubeconfig"
    other.kubeconfig.touch(mode=0o600)
    other.kubeconfig.write_text(yaml.safe_dump(config))
    return other
