"""The request `oneseek.io/retry` of a TrainingRun: a failed run goes on where it failed, or starts again. Pure.

What succeeded is kept: prepared data, checkpoints in staging, scores. The failed Job is deleted, so that its step creates
it again; the train Job of the next attempt has another name. A run starts again from the beginning if another run used
the model's staging since, or if its parent version was deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.api.v1alpha1.training_run import JobUids, TrainingRun, TrainingRunStatus
from oneseek_operator.actions import Decision, Delete, Event
from oneseek_operator.conditions import Verdict, conditions_for, find
from oneseek_operator.observe.run import RunSnapshot
from oneseek_operator.requests.annotations import (
    RequestAnnotation,
    accepted,
    find_manifest_request,
    find_request,
    new_request,
    pending,
    removal,
    with_outcome,
)
from oneseek_operator.settings import Settings

__all__ = ["decide"]


def decide(snapshot: RunSnapshot, settings: Settings, now: datetime) -> Decision[TrainingRunStatus] | None:
    """Accept a retry, then start the run again; None if nobody requests it."""
    run, verbs = snapshot.run, (names.RETRY_VERB,)
    request = pending(run.status.request)
    found = find_request(run.metadata, verbs) or find_manifest_request(run.metadata, verbs)
    if decision := removal(run, found):
        return decision
    if found and request is None:
        return _accept(run, found, settings, now)
    if request is None:
        return None
    ready = find(run.status.conditions, names.READY)
    certified = ready is not None and ready.status == "True"
    if run.status.completed_at is None or certified:
        why = "it ended well" if certified else "it is still under way"
        return _refused(run, request, f"only a run that failed is retried; {why}", now)
    if _was_followed(run, snapshot.siblings) or _has_lost_its_parent(run, snapshot.model):
        return _from_the_beginning(snapshot, request, now)
    return _again(snapshot, request, now)


def _accept(
    run: TrainingRun, found: RequestAnnotation, settings: Settings, now: datetime
) -> Decision[TrainingRunStatus] | None:
    request = new_request(run.metadata, found, None, now, policy=settings.admission_policy)
    if not found.manifest:
        return accepted(run, request, now)
    old = run.status.request
    if old and old.reason == names.REQUEST_IN_MANIFEST and old.value == found.value:
        return None
    text = "oneseek.io/retry stands in a manifest and would be done again with every apply; take it out"
    refused = with_outcome(request, "Refused", names.REQUEST_IN_MANIFEST, text, now)
    status = run.status.model_copy(update={"request": refused})
    return Decision(status, again_after=0.0, events=(Event(refused.reason, text, warning=True),))


def _refused(run: TrainingRun, request: Request, text: str, now: datetime) -> Decision[TrainingRunStatus]:
    refused = with_outcome(request, "Refused", names.NOT_FINISHED, text, now)
    kept = [item for item in run.status.conditions if item.type != names.RECONCILING]
    status = run.status.model_copy(update={"request": refused, "conditions": kept})
    return Decision(status, again_after=0.0, events=(Event(refused.reason, text, warning=True),))


def _again(snapshot: RunSnapshot, request: Request, now: datetime) -> Decision[TrainingRunStatus]:
    run, status = snapshot.run, snapshot.run.status
    trained = status.resolved is not None and status.resolved.created_at is not None
    text = "the run goes on where it failed"
    changes = {
        "completed_at": None,
        "exit_reason": None,
        "attempts": status.attempts + (0 if trained else 1),
        "jobs": JobUids(),
        "request": with_outcome(request, "Succeeded", names.DONE, text, now),
        "conditions": conditions_for(
            Verdict("Working", names.PREPARING, text), status.conditions, generation=run.metadata.generation, now=now
        ),
    }
    # The Jobs go before the status says that they are to be created again: a crash in between does no harm.
    gone = tuple(Delete("Job", job.name, job.uid) for job in snapshot.own_jobs if job.state == "Failed")
    return Decision(status.model_copy(update=changes), gone, again_after=0.0, events=(Event("Retried", text),))


def _was_followed(run: TrainingRun, siblings: Sequence[TrainingRun]) -> bool:
    """Whether another run is under way, or started after this one had ended: preparing it removed this run's staging."""
    ended = run.status.completed_at or ""
    others = [item.status for item in siblings if item.status.started_at is not None]
    return any(item.completed_at is None or (item.started_at or "") >= ended for item in others)


def _has_lost_its_parent(run: TrainingRun, model: OneSeekModel | None) -> bool:
    """Whether retention or a reset has deleted the version that a Micro run started from."""
    parent = run.status.resolved.parent if run.status.resolved else None
    known = model.status.versions if model else []
    return any(item.dna == parent and item.state == names.STATE_DELETED for item in known)


def _from_the_beginning(snapshot: RunSnapshot, request: Request, now: datetime) -> Decision[TrainingRunStatus]:
    """Back into the queue, as a run that has not started."""
    run, text = snapshot.run, "the run starts again from the beginning: what it had staged, or its parent, is gone"
    verdict = Verdict("Working", names.QUEUED, text)
    status = TrainingRunStatus(
        observed_generation=run.status.observed_generation,
        request=with_outcome(request, "Succeeded", names.DONE, text, now),
        conditions=conditions_for(verdict, run.status.conditions, generation=run.metadata.generation, now=now),
    )
    gone = tuple(Delete("Job", job.name, job.uid) for job in snapshot.own_jobs)
    return Decision(status, gone, again_after=0.0, events=(Event("Retried", text),))
