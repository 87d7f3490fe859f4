"""Which pods are a model's own, by their controllers; labels prove nothing, since whoever creates a pod writes them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from oneseek_core import names
from oneseek_operator.observe.objects import DeploymentView
from oneseek_operator.observe.pods import PodView

__all__ = ["askable", "foreign"]


def foreign(pod: PodView, replica_sets: Mapping[str, str], deployments: Sequence[DeploymentView]) -> bool:
    """Whether a pod labelled as a serving pod is somebody else's. `replica_sets`: their controllers' uids, by uid.

    Unknown, and so not foreign, if its ReplicaSet is gone or not seen yet: that is deleted before its pods.
    """
    if names.LABEL_COLOUR not in pod.labels:
        return False
    if pod.owner_kind != "ReplicaSet":
        return True
    owner = replica_sets.get(pod.owner)
    if owner is None:
        return False
    return owner not in {item.uid for item in deployments} and not pod.terminating


def askable(
    pods: Sequence[PodView],
    replica_sets: Mapping[str, str],
    deployments: Sequence[DeploymentView],
    known: Collection[str],
) -> list[PodView]:
    """The pods that may be asked, of those that are not foreign: known as the model's now or before (`known`, uids).

    Of the others only terminating ones that get no token before they proved themselves: by TLS, or as the previous release,
    which gets none.
    """
    own = {item.uid for item in deployments}
    return [
        pod
        for pod in pods
        if replica_sets.get(pod.owner) in own
        or pod.uid in known
        or (pod.terminating and pod.speaks in ("tls", "before"))
    ]
