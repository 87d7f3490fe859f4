"""What a decision asks to be done. Plain values: the reconciler carries them out in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.serving.sidecar import WarmVersion
from oneseek_core.serving.swap import SwapRequest

__all__ = [
    "Action",
    "Apply",
    "Create",
    "Decision",
    "Delete",
    "Drain",
    "MakeKeys",
    "MakeRecordsSecret",
    "Previous",
    "RemoveAnnotations",
    "Replace",
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
class Delete:
    """Delete an object of ours."""

    kind: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Drain:
    """Have a pod's sidecar let its clients go, or take them again."""

    ip: str
    on: bool = True


@dataclass(frozen=True, slots=True)
class Scale:
    """Give a Deployment another number of replicas and leave its template alone."""

    name: str
    replicas: int


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
    """Make the Secret of a model's records service unless it exists."""

    model: OneSeekModel
    token: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Write an object as it was read and changed; a conflict where somebody else changed it since."""

    manifest: dict[str, Any]


Action = (
    Replace
    | MakeKeys
    | MakeRecordsSecret
    | Create
    | Apply
    | Delete
    | Drain
    | Scale
    | Swap
    | Previous
    | RemoveAnnotations
)


@dataclass(frozen=True, slots=True)
class Decision(Generic[Status]):
    """Actions, then the status, then what may only be done once that status is written.

    `again_after`: seconds until the object is looked at again even if nothing happens; None: only on events.
    """

    status: Status
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    again_after: float | None = None
    events: tuple[tuple[bool, str, str], ...] = field(default=())
