"""What the decisions about a run look at, and how each of them is said. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import Resolved, TrainingRun, TrainingRunStatus
from oneseek_core.jobs.train import TrainProgress
from oneseek_operator.actions import Action, Decision, Delete
from oneseek_operator.conditions import Verdict, conditions_for, find, timestamp
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.observe.pods import JobView, PodView

__all__ = [
    "RunDecision",
    "RunSnapshot",
    "failed",
    "is_active",
    "is_asked",
    "is_finished",
    "may_leave_jobs",
    "model_of",
    "resolved_of",
    "run_decision",
    "running_jobs",
]


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """All that is, as far as a run is concerned; `siblings` are the model's other runs."""

    run: TrainingRun
    model: OneSeekModel | None
    siblings: tuple[TrainingRun, ...]
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    progress: TrainProgress | None


RunDecision = Decision[TrainingRunStatus]


def is_finished(run: TrainingRun) -> bool:
    """Whether the run has come to an end, good or bad."""
    return run.status.completed_at is not None


def is_active(run: TrainingRun) -> bool:
    """Whether the run holds its model's place: started and not finished."""
    return run.status.started_at is not None and not is_finished(run)


def may_leave_jobs(run: TrainingRun) -> bool:
    """Whether the run ended while a Job of it was at work, so that one may be left if the operator died just then."""
    ready = find(run.status.conditions, names.READY)
    return ready is not None and ready.reason in (names.MODEL_DELETED, names.MODEL_RESET)


def is_asked(run: TrainingRun) -> bool:
    """Whether somebody asks for the run to be retried, or asked and has no answer yet."""
    request = run.status.request
    return names.request_annotation(names.RETRY_VERB) in run.metadata.annotations or (
        request is not None and request.outcome == "Pending"
    )


def run_decision(
    snapshot: RunSnapshot,
    verdict: Verdict,
    now: datetime,
    *,
    before: tuple[Action, ...] = (),
    after: tuple[Action, ...] = (),
    again_after: float | None = None,
    **changes: Any,
) -> RunDecision:
    """A decision with the conditions that `verdict` makes, and other changes of the status."""
    generation = snapshot.run.metadata.generation
    conditions = conditions_for(verdict, snapshot.run.status.conditions, generation=generation, now=now)
    update = {"conditions": conditions, "observed_generation": generation, **changes}
    return Decision(snapshot.run.status.model_copy(update=update), before, after, again_after)


def running_jobs(snapshot: RunSnapshot) -> tuple[Delete, ...]:
    """The run's Jobs that are still at work, to be stopped."""
    return tuple(
        Delete("Job", job.name, job.uid)
        for job in snapshot.jobs
        if job.owner == snapshot.run.metadata.uid and job.state == "Running" and not job.terminating
    )


def failed(snapshot: RunSnapshot, problem: Problem, now: datetime, *after: Action) -> RunDecision:
    """The end of a run that did not come to a version."""
    hint = "; mend the cause, then annotate oneseek.io/retry=true or apply a new TrainingRun"
    verdict = Verdict("Failed", problem.reason, problem.message + hint)
    return run_decision(
        snapshot, verdict, now, after=after, completed_at=timestamp(now), exit_reason=problem.message[:2048]
    )


def model_of(snapshot: RunSnapshot) -> OneSeekModel:
    """The model; only for steps after `run_start.model_is_gone`."""
    if snapshot.model is None:
        raise AssertionError("the model is checked first")
    return snapshot.model


def resolved_of(snapshot: RunSnapshot) -> Resolved:
    """What was resolved; only for steps after `run_start.start`."""
    if snapshot.run.status.resolved is None:
        raise AssertionError("a started run has a resolved block")
    return snapshot.run.status.resolved
