"""The snapshot that all decisions about a run are made on, and how a decision is made of a verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import DataCounts, Resolved, TrainingRun, TrainingRunStatus
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
    "is_finished",
    "is_retry_requested",
    "may_leave_jobs",
    "rows_text",
    "run_decision",
]

RunDecision = Decision[TrainingRunStatus]


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """Everything that one reconcile of a run read."""

    run: TrainingRun
    """The object as it was read."""
    model: OneSeekModel | None
    """The model that it names; None if there is none."""
    siblings: tuple[TrainingRun, ...]
    """The model's other runs."""
    jobs: tuple[JobView, ...]
    """Jobs labelled with the run."""
    pods: tuple[PodView, ...]
    """Pods labelled with the run."""
    progress: TrainProgress | None
    """The newest progress line of the train pod's log."""

    @property
    def own_jobs(self) -> tuple[JobView, ...]:
        """The Jobs whose controller is the run."""
        return tuple(job for job in self.jobs if job.owner == self.run.metadata.uid)

    @property
    def running_jobs(self) -> tuple[Delete, ...]:
        """Deletions of the run's Jobs that are still running."""
        running = [job for job in self.own_jobs if job.state == "Running" and not job.terminating]
        return tuple(Delete("Job", job.name, job.uid) for job in running)

    @property
    def known_model(self) -> OneSeekModel:
        """The model; only for steps after `run.queue.model_is_gone`."""
        if self.model is None:
            raise AssertionError("the model is checked first")
        return self.model

    @property
    def resolved(self) -> Resolved:
        """`status.resolved`; only for steps after `run.queue.start`."""
        if self.run.status.resolved is None:
            raise AssertionError("a started run has a resolved block")
        return self.run.status.resolved


def is_finished(run: TrainingRun) -> bool:
    """Whether the run has ended, well or not."""
    return run.status.completed_at is not None


def is_active(run: TrainingRun) -> bool:
    """Whether the run has started and not ended; a model has one such run at most."""
    return run.status.started_at is not None and not is_finished(run)


def may_leave_jobs(run: TrainingRun) -> bool:
    """Whether the run ended while a Job of it was running: if the operator died just then, that Job still runs."""
    ready = find(run.status.conditions, names.READY)
    return ready is not None and ready.reason in (names.MODEL_DELETED, names.MODEL_RESET)


def is_retry_requested(run: TrainingRun) -> bool:
    """Whether a retry is requested, or Pending."""
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
    """A decision with the conditions of `verdict`, and other changes of the status."""
    generation = snapshot.run.metadata.generation
    conditions = conditions_for(verdict, snapshot.run.status.conditions, generation=generation, now=now)
    update = {"conditions": conditions, "observed_generation": generation, **changes}
    return Decision(snapshot.run.status.model_copy(update=update), before, after, again_after)


def failed(snapshot: RunSnapshot, problem: Problem, now: datetime, *after: Action) -> RunDecision:
    """End the run without a version."""
    hint = "; mend the cause, then annotate oneseek.io/retry=true or apply a new TrainingRun"
    verdict = Verdict("Failed", problem.reason, problem.message + hint)
    reason = problem.message[:2048]
    return run_decision(snapshot, verdict, now, after=after, completed_at=timestamp(now), exit_reason=reason)


def rows_text(data: DataCounts | None) -> str:
    """What to append to a sentence about trained rows; empty if every row was trained whole."""
    if data is None:
        return ""
    parts = []
    if left_out := sum(item.rows for item in data.left_out):
        reasons = ", ".join(f"{item.rows} {item.reason}" for item in data.left_out)
        parts.append(f"{left_out} of {data.rows} rows left out ({reasons})")
    if data.cut:
        parts.append(f"{data.cut} {'answer' if data.cut == 1 else 'answers'} cut")
    return "".join(f"; {part}" for part in parts)
