"""Access to the cluster: API client, informer of the model, and token reviewer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from oneseek_runtime.sidecar.cluster.client import Kube, NoKube
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.cluster.token_review import TokenReviewer

__all__ = ["ClusterAccess"]


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Made once at start; without an API server every call raises KubeUnavailableError."""

    kube: Kube
    informer: Informer
    reviewer: TokenReviewer

    @classmethod
    def through(cls, kube: Kube, model: str, clock: Callable[[], float] = time.monotonic) -> Self:
        """Access through one client."""
        return cls(kube, Informer(kube, model), TokenReviewer(kube, clock))

    @classmethod
    def none(cls) -> Self:
        """For a sidecar outside a cluster."""
        return cls.through(NoKube(), "")
