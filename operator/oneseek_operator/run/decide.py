"""What a TrainingRun needs next. Pure: a snapshot and a time in, a decision out.

    (waiting) -> prepare -> train -> evaluate -> certify -> Certified
                    any step -> Failed (terminal: a finished run never runs again by itself)

Two rules make every crash harmless. What a Job is told (that the run has started, its version number) is written to
the status before the Job is made. A Job's uid is kept in the status, so one that somebody deleted is noticed and not
made again by accident.
"""

from __future__ import annotations

from datetime import datetime

from oneseek_operator.actions import Decision
from oneseek_operator.observe.run import RunDecision, RunSnapshot, is_finished, running_jobs
from oneseek_operator.requests import retry
from oneseek_operator.run.jobs import certify, evaluate, prepare
from oneseek_operator.run.queue import model_is_gone, model_is_reset, start
from oneseek_operator.run.training import train
from oneseek_operator.settings import Settings

__all__ = ["decide"]


def decide(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """The next step; None for a run that is over."""
    if decision := retry.decide(
        snapshot.run, snapshot.model, snapshot.siblings, snapshot.jobs, settings=settings, now=now
    ):
        return decision
    if is_finished(snapshot.run):
        left = running_jobs(snapshot)
        return Decision(snapshot.run.status, left) if left else None
    for step in (model_is_gone, model_is_reset, start, prepare, train, evaluate, certify):
        if decision := step(snapshot, settings, now):
            return decision
    raise AssertionError("a run always has a next step")
