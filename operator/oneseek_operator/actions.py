"""What a decision has the reconciler do. Plain values, carried out in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.handover import Handover
from oneseek_core.serving.sidecar import WarmVersion
from oneseek_core.serving.swap import SwapRequest
from oneseek_operator.resources.pod_access import Part, Written

__all__ = [
    "Action",
    "Analyse",
    "Apply",
    "Create",
    "Decision",
    "Delete",
    "Event",
    "HandOver",
    "MakeAccess",
    "MakeKeys",
    "MakeRecordsSecret",
    "MarkRecords",
    "Previous",
    "RemoveAnnotations",
    "Replace",
    "Reserve",
    "Scale",
    "Swap",
]

Status = TypeVar("Status")


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object unless one of that name exists."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply: create an object, or set the fields that the operator owns."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reserve:
    """Check that nobody else owns the name of an object that is created later."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, by uid."""

    kind: str
    name: str
    uid: str
    grace: int | None = None  # seconds; None: the pod's own grace period


@dataclass(frozen=True, slots=True)
class HandOver:
    """Order a pod to pass new requests on to the pods that serve now, or (None) to answer them again."""

    ip: str
    handover: Handover | None


@dataclass(frozen=True, slots=True)
class Analyse:
    """Order a pod to run an analysis: to ask its own engine the questions of a promotion."""

    ip: str
    request: AnalysisRequest


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the replicas of a Deployment and leave its template alone."""

    name: str
    replicas: int
    uid: str


@dataclass(frozen=True, slots=True)
class Swap:
    """Order a pod to load another version, or to serve it."""

    ip: str
    request: SwapRequest


@dataclass(frozen=True, slots=True)
class Previous:
    """Tell a serving pod where the previous version can be asked, or (None) that it cannot."""

    ip: str
    warm: WarmVersion | None


@dataclass(frozen=True, slots=True)
class RemoveAnnotations:
    """Remove annotations of the object itself, as it was read."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MakeKeys:
    """Create a model's signing keys: the Secret, and the public key for verifiers."""

    model: OneSeekModel
    pending: bool  # the public half of an unfinished attempt exists


@dataclass(frozen=True, slots=True)
class MakeRecordsSecret:
    """Create the Secret of the records service unless it exists; `known`: one that exists is the model's."""

    model: OneSeekModel
    known: bool


@dataclass(frozen=True, slots=True)
class MarkRecords:
    """Mark the Secret of the records service as the model's own."""

    model: OneSeekModel


@dataclass(frozen=True, slots=True)
class MakeAccess:
    """Write the Secrets of a model's pods: tokens, the certificates of `parts`, and then the ConfigMap of what to trust."""

    model: OneSeekModel
    tokens: dict[str, Any]  # the Secret; one that exists is left as it is
    parts: tuple[Part, ...]
    written: Written  # without the certificates of `parts`
    bundle: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Write an object as it was read and changed; a conflict if it changed since."""

    manifest: dict[str, Any]


Action = (
    Replace
    | Reserve
    | MakeAccess
    | MakeKeys
    | MakeRecordsSecret
    | MarkRecords
    | Create
    | Apply
    | Delete
    | HandOver
    | Analyse
    | Scale
    | Swap
    | Previous
    | RemoveAnnotations
)


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to make about the object."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision(Generic[Status]):
    """Actions, then the status, then actions that need the status to be written first.

    An order to a pod in `before` must reach it, or the status is not written; one in `after` is repeated by the next reconcile.
    `asks_service`: only the answer to a fresh connection through the Service is missing. `again_after`: seconds until the next
    reconcile if no event comes; None: only on events.
    """

    status: Status
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    again_after: float | None = None
    events: tuple[Event, ...] = ()
    asks_service: bool = False
