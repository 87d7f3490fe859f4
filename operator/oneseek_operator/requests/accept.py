"""How a request to a model is taken in: written into the status, and only then taken off the annotations. Pure."""

from __future__ import annotations

from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_operator.actions import Decision, RemoveAnnotations
from oneseek_operator.conditions import conditions_with
from oneseek_operator.observe.model import Snapshot, records_away
from oneseek_operator.requests import annotations
from oneseek_operator.requests import model as asked_of_model
from oneseek_operator.settings import Settings

__all__ = ["requested"]


def requested(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Take in a request: write it down, then take the annotation off; what it asks for is done further down."""
    policy = settings.admission_policy
    model, pending = snapshot.model, snapshot.model.status.request
    if pending is not None and pending.outcome != "Pending":
        pending = None
    found = annotations.find_request(model.metadata, names.REQUEST_VERBS)
    if keys := annotations.removable_annotations(pending, found):
        return Decision(model.status, (RemoveAnnotations(keys),), again_after=0.0)
    carried = annotations.find_manifest_request(model.metadata, names.REQUEST_VERBS)
    if (carried.text if carried else None) != model.status.manifest_request and pending is None:
        return _carried(model, carried, now, policy=policy)
    if found and pending is None:
        request = annotations.new_request(
            model.metadata, found, asked_of_model.resolved(model, found), now, policy=policy
        )
        told = conditions_with(
            model.status.conditions,
            (names.RECONCILING, True, names.REQUESTED, request.message),
            generation=model.metadata.generation,
            now=now,
        )
        status = model.status.model_copy(update={"request": request, "conditions": told})
        return Decision(status, again_after=0.0, events=((False, names.REQUESTED, request.message),))
    if found and pending and _waits_in_vain(snapshot, found, pending):
        text = f"{found.text} was asked for, which does not wait for the ledger as {pending.verb} does"
        ended = annotations.with_outcome(pending, "Failed", "Superseded", text, now)
        status = model.status.model_copy(update={"request": ended})
        left = names.request_annotation(pending.verb)
        before = (RemoveAnnotations((left,)),) if left in model.metadata.annotations else ()
        return Decision(status, before, again_after=0.0, events=((True, ended.reason, text),))
    if pending and model.status.base_model is None:
        text = "the base model is not imported yet, so there is no version to act on"
        ended = annotations.with_outcome(pending, "Refused", names.NO_SUCH_VERSION, text, now)
        status = model.status.model_copy(update={"request": ended})
        return Decision(status, again_after=0.0, events=((True, ended.reason, text),))
    return None


def _waits_in_vain(snapshot: Snapshot, found: annotations.RequestAnnotation, pending: Request) -> bool:
    """Whether a rollback stands behind a request that waits for the ledger. A reset that has begun is not left half done."""
    waits = pending.verb != "rollback" and pending.reason != names.RESETTING
    return found.verb == "rollback" and waits and bool(records_away(snapshot))


def _carried(
    model: OneSeekModel, found: annotations.RequestAnnotation | None, now: datetime, *, policy: bool
) -> Decision[OneSeekModelStatus]:
    """A manifest carries a request, or no longer does: it is refused once, then passed over."""
    changes: dict[str, object] = {"manifest_request": found.text if found else None}
    events: tuple[tuple[bool, str, str], ...] = ()
    if found:
        text = (
            f"oneseek.io/{found.text} stands in a manifest and would be done again with every apply; take it out and "
            "annotate the object, or change spec.version"
        )
        refused = annotations.with_outcome(
            annotations.new_request(model.metadata, found, None, now, policy=policy),
            "Refused",
            names.REQUEST_IN_MANIFEST,
            text,
            now,
        )
        changes["request"] = refused
        events = ((True, names.REQUEST_IN_MANIFEST, text),)
    return Decision(model.status.model_copy(update=changes), again_after=0.0, events=events)
