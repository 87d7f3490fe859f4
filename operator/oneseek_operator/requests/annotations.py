"""Requests: annotations that ask for one thing, done once, whatever crashes. Pure.

    annotation seen -> status.request Pending -> annotation removed -> acted on -> outcome

While a request is Pending the same annotation is the same request; another one waits. One that a manifest carries
would come back with every apply, so it is refused once and passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.actors import actor_of
from oneseek_core.api.base import ObjectMeta
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_operator.conditions import timestamp

__all__ = [
    "RequestAnnotation",
    "find_manifest_request",
    "find_request",
    "in_manifest",
    "new_request",
    "removable_annotations",
    "with_outcome",
]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DEPLOYERS = ("helm",)  # it writes with Update, not Apply, and brings its manifest back with every upgrade
_VALUE_LIMIT, _NAME_LIMIT = 253, 512


@dataclass(frozen=True, slots=True)
class RequestAnnotation:
    """A request annotation as it stands on the object."""

    verb: str
    value: str
    by: str
    named: bool
    manifest: bool

    @property
    def text(self) -> str:
        """The annotation in one word."""
        return f"{self.verb}={self.value}"


def find_request(meta: ObjectMeta, verbs: Sequence[str]) -> RequestAnnotation | None:
    """The request that somebody put on the object by hand, the first of `verbs`."""
    return next((item for item in _all(meta, verbs) if not item.manifest), None)


def find_manifest_request(meta: ObjectMeta, verbs: Sequence[str]) -> RequestAnnotation | None:
    """The request that a manifest carries, the first of `verbs`."""
    return next((item for item in _all(meta, verbs) if item.manifest), None)


def _all(meta: ObjectMeta, verbs: Sequence[str]) -> list[RequestAnnotation]:
    return [_read(meta, verb) for verb in verbs if names.request_annotation(verb) in meta.annotations]


def _read(meta: ObjectMeta, verb: str) -> RequestAnnotation:
    key = names.request_annotation(verb)
    name = meta.annotations.get(names.ANNOTATION_REQUESTED_BY, "")
    by = name or _manager(meta, key)
    value = meta.annotations[key][:_VALUE_LIMIT]
    return RequestAnnotation(verb, value, by[:_NAME_LIMIT], named=bool(name), manifest=in_manifest(meta, key))


def in_manifest(meta: ObjectMeta, key: str) -> bool:
    """Whether an annotation comes from a manifest: applied, or written by a tool that applies it again."""
    try:
        applied = json.loads(meta.annotations.get(_LAST_APPLIED, "{}"))
        if key in (applied.get("metadata", {}).get("annotations") or {}):
            return True
    except (ValueError, AttributeError):
        pass  # somebody else's text: the managers below still tell
    return any(entry.get("operation") == "Apply" or entry.get("manager") in _DEPLOYERS for entry in _owners(meta, key))


def _owners(meta: ObjectMeta, key: str) -> list[dict[str, str]]:
    path = ("f:metadata", "f:annotations")
    owners = []
    for entry in meta.managed_fields:
        node = entry.get("fieldsV1", {})
        for part in path:
            node = node.get(part, {})
        if f"f:{key}" in node:
            owners.append(entry)
    return owners


def _manager(meta: ObjectMeta, key: str) -> str:
    return next((str(entry.get("manager", "")) for entry in _owners(meta, key)), "")


def new_request(meta: ObjectMeta, found: RequestAnnotation, dna: str | None, now: datetime, *, policy: bool) -> Request:
    """The request as it is written before anything is done about it; `policy`: an admission policy checks the name."""
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


def with_outcome(request: Request, outcome: str, reason: str, message: str, now: datetime) -> Request:
    """The request with its outcome."""
    return Request.model_validate(
        request.model_dump()
        | {"outcome": outcome, "reason": reason, "message": message[:1024], "completed_at": timestamp(now)}
    )


def removable_annotations(request: Request | None, found: RequestAnnotation | None) -> tuple[str, ...]:
    """The annotations to take off: those of the request that is Pending and still stands on the object."""
    if request is None or found is None or request.outcome != "Pending":
        return ()
    if (request.verb, request.value) != (found.verb, found.value):
        return ()
    return (names.request_annotation(found.verb), names.ANNOTATION_REQUESTED_BY)
