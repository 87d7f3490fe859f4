"""A run that failed runs again only when somebody asks: `oneseek.io/retry` on the TrainingRun. Pure.

What was done well is kept: data that is prepared, checkpoints in staging, scores. The Job that failed goes first, so
that the step makes it anew; the train Job's next attempt has a number of its own. A run that another one followed has
nothing left to go on with, for a model's staging is one run's; nor has one whose parent was deleted. It starts again from
the beginning, when its turn comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.api.v1alpha1.training_run import JobUids, TrainingRun, TrainingRunStatus
from oneseek_operator.actions import Decision, Delete, RemoveAnnotations
from oneseek_operator.conditions import Verdict, conditions_for, conditions_with, find
from oneseek_operator.observe.pods import JobView
from oneseek_operator.requests import annotations
from oneseek_operator.settings import Settings

__all__ = ["decide"]


def decide(
    run: TrainingRun,
    model: OneSeekModel | None,
    siblings: Sequence[TrainingRun],
    jobs: Sequence[JobView],
    *,
    settings: Settings,
    now: datetime,
) -> Decision[TrainingRunStatus] | None:
    """Take in a retry, then have the run start again where it failed; None: nobody asks."""
    request = run.status.request
    pending = request if request and request.outcome == "Pending" else None
    verbs = (names.RETRY_VERB,)
    found = annotations.find_request(run.metadata, verbs) or annotations.find_manifest_request(run.metadata, verbs)
    if keys := annotations.removable_annotations(pending, found):
        return Decision(run.status, (RemoveAnnotations(keys),), again_after=0.0)
    if found and pending is None:
        return _taken_in(run, found, settings, now)
    if pending is None:
        return None
    anew = _was_followed(run, siblings) or _has_lost_its_parent(run, model)
    return _again(run, pending, jobs, now, anew=anew)


def _taken_in(
    run: TrainingRun, found: annotations.RequestAnnotation, settings: Settings, now: datetime
) -> Decision[TrainingRunStatus] | None:
    new = annotations.new_request(run.metadata, found, None, now, policy=settings.admission_policy)
    if found.manifest:
        old = run.status.request
        if old and old.reason == names.REQUEST_IN_MANIFEST and old.value == found.value:
            return None
        text = "oneseek.io/retry stands in a manifest and would be done again with every apply; take it out"
        refused = annotations.with_outcome(new, "Refused", names.REQUEST_IN_MANIFEST, text, now)
        status = run.status.model_copy(update={"request": refused})
        return Decision(status, again_after=0.0, events=((True, refused.reason, text),))
    told = conditions_with(
        run.status.conditions,
        (names.RECONCILING, True, names.REQUESTED, new.message),
        generation=run.metadata.generation,
        now=now,
    )
    status = run.status.model_copy(update={"request": new, "conditions": told})
    return Decision(status, again_after=0.0, events=((False, names.REQUESTED, new.message),))


def _again(
    run: TrainingRun, request: Request, jobs: Sequence[JobView], now: datetime, *, anew: bool
) -> Decision[TrainingRunStatus]:
    status = run.status
    ready = find(status.conditions, names.READY)
    certified = ready is not None and ready.status == "True"
    if status.completed_at is None or certified:
        why = "it ended well" if certified else "it is still under way"
        refused = annotations.with_outcome(
            request, "Refused", names.NOT_FINISHED, f"only a run that failed is retried; {why}", now
        )
        kept = [item for item in status.conditions if item.type != names.RECONCILING]
        back = status.model_copy(update={"request": refused, "conditions": kept})
        return Decision(back, again_after=0.0, events=((True, refused.reason, refused.message),))
    if anew:
        return _from_the_beginning(run, request, jobs, now)
    gone = tuple(Delete("Job", job.name, job.uid) for job in jobs if job.owner == run.metadata.uid and _failed(job))
    trained = status.resolved is not None and status.resolved.created_at is not None
    text = "the run goes on where it failed"
    done = annotations.with_outcome(request, "Succeeded", names.DONE, text, now)
    verdict = Verdict("Working", names.PREPARING, text)
    changes = {
        "completed_at": None,
        "exit_reason": None,
        "attempts": status.attempts + (0 if trained else 1),
        "jobs": JobUids(),
        "request": done,
        "conditions": conditions_for(verdict, status.conditions, generation=run.metadata.generation, now=now),
    }
    # The Jobs go before the status says that they are to be made again: a crash in between does no harm.
    return Decision(status.model_copy(update=changes), gone, again_after=0.0, events=((False, "Retried", text),))


def _was_followed(run: TrainingRun, siblings: Sequence[TrainingRun]) -> bool:
    """Whether another run is under way, or began after this one had ended: preparing removed what this one had staged."""
    ended = run.status.completed_at or ""
    others = [item.status for item in siblings if item.status.started_at is not None]
    return any(item.completed_at is None or (item.started_at or "") >= ended for item in others)


def _has_lost_its_parent(run: TrainingRun, model: OneSeekModel | None) -> bool:
    """Whether retention or a reset has deleted the version that a Micro run went on from."""
    parent = run.status.resolved.parent if run.status.resolved else None
    known = model.status.versions if model else []
    return any(item.dna == parent and item.state == names.STATE_DELETED for item in known)


def _from_the_beginning(
    run: TrainingRun, request: Request, jobs: Sequence[JobView], now: datetime
) -> Decision[TrainingRunStatus]:
    """Back into the queue, as a run that has not started."""
    text = "the run starts again from the beginning: what it had staged, or its parent, is gone"
    verdict = Verdict("Working", names.QUEUED, text)
    status = TrainingRunStatus(
        observed_generation=run.status.observed_generation,
        request=annotations.with_outcome(request, "Succeeded", names.DONE, text, now),
        conditions=conditions_for(verdict, run.status.conditions, generation=run.metadata.generation, now=now),
    )
    gone = tuple(Delete("Job", job.name, job.uid) for job in jobs if job.owner == run.metadata.uid)
    return Decision(status, gone, again_after=0.0, events=((False, "Retried", text),))


def _failed(job: JobView) -> bool:
    return job.state == "Failed"
