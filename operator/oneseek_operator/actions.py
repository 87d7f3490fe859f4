"""What a decision asks to be done. Plain values: the reconciler carries them out in order."""

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
    """Make an object unless one of that name exists."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Apply:
    """Make an object, or move the fields we own to the manifest's."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reserve:
    """See that nobody else has the name of an object that is made later."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object of ours."""

    kind: str
    name: str
    uid: str
    grace: int | None = None  # seconds; None: as the object says


@dataclass(frozen=True, slots=True)
class HandOver:
    """Have a pod's sidecar pass new requests on to the pods that answer now, or (None) answer them again."""

    ip: str
    handover: Handover | None


@dataclass(frozen=True, slots=True)
class Analyse:
    """Have a pod's sidecar ask itself the questions of a promotion."""

    ip: str
    request: AnalysisRequest


@dataclass(frozen=True, slots=True)
class Scale:
    """Give a Deployment another number of replicas and leave its template alone."""

    name: str
    replicas: int
    uid: str


@dataclass(frozen=True, slots=True)
class Swap:
    """Have a pod get ready to answer with another version, or answer with it."""

    ip: str
    request: SwapRequest


@dataclass(frozen=True, slots=True)
class Previous:
    """Tell a pod that answers where the version before it can still be asked, or (None) that it no longer can."""

    ip: str
    warm: WarmVersion | None


@dataclass(frozen=True, slots=True)
class RemoveAnnotations:
    """Take annotations off the object itself, as it was read."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MakeKeys:
    """Make a model's signing keys: the Secret, and the public half for the verifiers; both, whatever crashes between."""

    model: OneSeekModel
    pending: bool  # the public half of an unfinished attempt is there already


@dataclass(frozen=True, slots=True)
class MakeRecordsSecret:
    """Make the Secret of a model's records service unless it exists; where `known`, one that exists is the model's."""

    model: OneSeekModel
    known: bool


@dataclass(frozen=True, slots=True)
class MarkRecords:
    """Write down that the Secret of the records service is the model's own."""

    model: OneSeekModel


@dataclass(frozen=True, slots=True)
class MakeAccess:
    """Write what a model's parts know each other by: the tokens, certificates of `parts`, and then whom to trust."""

    model: OneSeekModel
    tokens: dict[str, Any]  # the Secret, which is left as it is where it is there
    parts: tuple[Part, ...]
    written: Written  # but for these certificates
    bundle: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Write an object as it was read and changed; a conflict where somebody else changed it since."""

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
    """Actions, then the status, then what may only be done once that status is written.

    What a pod is told in `before` must have reached it, or the status is not written; in `after` it is told again at
    the next look. `asks_service`: all that is missing is what a fresh connection through the Service is answered by.
    `again_after`: seconds until the object is looked at again even if nothing happens; None: only on events.
    """

    status: Status
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    again_after: float | None = None
    events: tuple[Event, ...] = ()
    asks_service: bool = False
