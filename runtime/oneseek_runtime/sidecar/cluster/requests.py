"""Submits requests to the operator as annotations of the OneSeekModel, and waits for their outcome in `status.request`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_runtime.sidecar.cluster.client import Kube
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.errors import KubeConflictError

__all__ = ["ModelRequest", "Outcome", "submit"]

_TRIES = 5  # on write conflicts


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request: verb, value and requester."""

    verb: Literal["rollback", "promote", "release", "reset"]
    value: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome; Pending: not decided yet."""

    state: Literal["Pending", "Succeeded", "Refused", "Failed"]
    reason: str = ""
    message: str = ""
    dna: str | None = None


async def submit(kube: Kube, informer: Informer, request: ModelRequest, *, seconds: float) -> Outcome:
    """Write the request and wait up to `seconds` for its outcome. Raises KubeError.

    An identical pending request is joined; while another one is pending the request is refused.
    """
    before = await _write(kube, request)
    if isinstance(before, Outcome):
        return before
    found = await informer.until(lambda seen: _outcome(seen.model, request, before), seconds=seconds)
    return found or Outcome("Pending")


async def _write(kube: Kube, request: ModelRequest) -> str | Outcome:
    """Returns the id of the last request before ours, or the outcome if ours is not written."""
    for left in reversed(range(_TRIES)):
        model = await kube.model()
        last, meta = model.status.request, model.metadata
        if last and last.outcome == "Pending":
            if (last.verb, last.value) == (request.verb, request.value):
                return ""  # joined
            return _busy(last.verb)
        waiting = [verb for verb in names.REQUEST_VERBS if names.request_annotation(verb) in meta.annotations]
        if waiting:
            return _busy(waiting[0])
        asked = {
            names.request_annotation(request.verb): request.value,
            names.ANNOTATION_REQUESTED_BY: request.requested_by,
        }
        try:
            await kube.annotate(asked, resource_version=meta.resource_version)
        except KubeConflictError:
            if not left:
                raise
            continue
        return last.id if last else ""
    raise AssertionError("the loop above returns or raises")


def _busy(verb: str) -> Outcome:
    message = f"another request ({verb}) is under way; its outcome stands in status.request, then ask again"
    return Outcome("Refused", names.REQUEST_PENDING, message)


def _outcome(model: OneSeekModel | None, request: ModelRequest, before: str) -> Outcome | None:
    seen = model.status.request if model else None
    if seen is None or (seen.verb, seen.value) != (request.verb, request.value) or seen.id == before:
        return None
    if seen.outcome not in ("Succeeded", "Refused", "Failed"):
        return None
    return Outcome(seen.outcome, seen.reason, seen.message, seen.dna)
