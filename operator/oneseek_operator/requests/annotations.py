"""Requests: annotations that ask for one thing, which is done once, whatever crashes. Pure.

    annotation found -> status.request Pending -> annotation removed -> acted on -> outcome

While a request is Pending, the same annotation is the same request; another one waits. One that a manifest carries would
return with every apply, so it is refused once and then ignored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from oneseek_core import names
from oneseek_core.actors import actor_of
from oneseek_core.api.base import ObjectMeta
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.actions import Decision, Event, RemoveAnnotations
from oneseek_operator.conditions import ConditionRow, conditions_with, timestamp

__all__ = [
    "RequestAnnotation",
    "accepted",
    "find_manifest_request",
    "find_request",
    "new_request",
    "pending",
    "removal",
    "with_outcome",
]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DEPLOYERS = ("helm",)  # it writes with Update, not Apply, and applies its manifest again with every upgrade
_VALUE_LIMIT, _NAME_LIMIT = 253, 512


@dataclass(frozen=True, slots=True)
class RequestAnnotation:
    """A request annotation of an object."""

    verb: str
    value: str
    by: str  # who asks: `oneseek.io/requested-by`, else the field manager
    named: bool  # by `oneseek.io/requested-by`
    manifest: bool  # a manifest carries it

    @property
    def text(self) -> str:
        """`verb=value`."""
        return f"{self.verb}={self.value}"


def find_request(meta: ObjectMeta, verbs: Sequence[str]) -> RequestAnnotation | None:
    """The first of `verbs` that somebody requests by hand."""
    return next((item for item in _all(meta, verbs) if not item.manifest), None)


def find_manifest_request(meta: ObjectMeta, verbs: Sequence[str]) -> RequestAnnotation | None:
    """The first of `verbs` that a manifest carries."""
    return next((item for item in _all(meta, verbs) if item.manifest), None)


def _all(meta: ObjectMeta, verbs: Sequence[str]) -> list[RequestAnnotation]:
    return [_read(meta, verb) for verb in verbs if names.request_annotation(verb) in meta.annotations]


def _read(meta: ObjectMeta, verb: str) -> RequestAnnotation:
    key = names.request_annotation(verb)
    name = meta.annotations.get(names.ANNOTATION_REQUESTED_BY, "")
    by = name or next((str(entry.get("manager", "")) for entry in _owners(meta, key)), "")
    value = meta.annotations[key][:_VALUE_LIMIT]
    return RequestAnnotation(verb, value, by[:_NAME_LIMIT], named=bool(name), manifest=_in_manifest(meta, key))


def _in_manifest(meta: ObjectMeta, key: str) -> bool:
    """Whether an annotation comes from a manifest: applied, or written by a tool that applies it again."""
    try:
        applied = json.loads(meta.annotations.get(_LAST_APPLIED, "{}"))
        if key in (applied.get("metadata", {}).get("annotations") or {}):
            return True
    except (ValueError, AttributeError):
        pass  # not written by kubectl: the managers below decide
    return any(entry.get("operation") == "Apply" or entry.get("manager") in _DEPLOYERS for entry in _owners(meta, key))


def _owners(meta: ObjectMeta, key: str) -> list[dict[str, str]]:
    """The entries of `managedFields` that own the annotation."""
    owners = []
    for entry in meta.managed_fields:
        node = entry.get("fieldsV1", {})
        for part in ("f:metadata", "f:annotations"):
            node = node.get(part, {})
        if f"f:{key}" in node:
            owners.append(entry)
    return owners


def new_request(meta: ObjectMeta, found: RequestAnnotation, dna: str | None, now: datetime, *, policy: bool) -> Request:
    """The request before anything is done about it; `policy`: an admission policy checks `oneseek.io/requested-by`."""
    moment = timestamp(now)
    actor = actor_of(found.by if found.named else "", field_manager=found.by, admission_policy=policy)
    identity = names.short_hash(meta.uid, found.text, meta.resource_version, moment, length=16)
    return Request.model_validate(
        {
            "id": identity,
            "verb": found.verb,
            "value": found.value,
            "dna": dna,
            "requestedBy": found.by,
            "verified": actor.verified,
            "outcome": "Pending",
            "reason": names.REQUESTED,
            "message": f"{found.text} was asked for by {found.by or 'somebody'}",
            "createdAt": moment,
        }
    )


def accepted(item: OneSeekModel | TrainingRun, request: Request, now: datetime) -> Decision[Any]:
    """Write a new request into the status, with Reconciling=True."""
    row = ConditionRow(names.RECONCILING, names.REQUESTED, request.message)
    conditions = conditions_with(item.status.conditions, row, generation=item.metadata.generation, now=now)
    status = item.status.model_copy(update={"request": request, "conditions": conditions})
    return Decision(status, again_after=0.0, events=(Event(names.REQUESTED, request.message),))


def removal(item: OneSeekModel | TrainingRun, found: RequestAnnotation | None) -> Decision[Any] | None:
    """Remove the annotation of the Pending request; None if it is gone."""
    request = pending(item.status.request)
    if request is None or found is None or (request.verb, request.value) != (found.verb, found.value):
        return None
    keys = (names.request_annotation(found.verb), names.ANNOTATION_REQUESTED_BY)
    return Decision(item.status, (RemoveAnnotations(keys),), again_after=0.0)


def pending(request: Request | None) -> Request | None:
    """The request, if its outcome is Pending."""
    return request if request and request.outcome == "Pending" else None


def with_outcome(
    request: Request, outcome: Literal["Succeeded", "Failed", "Refused"], reason: str, message: str, now: datetime
) -> Request:
    """The request with its outcome."""
    return Request.model_validate(
        request.model_dump()
        | {"outcome": outcome, "reason": reason, "message": message[:1024], "completed_at": timestamp(now)}
    )
