"""The decision about a TrainingRun. Pure: a snapshot and a time in, a decision out.

    (waiting) -> prepare -> train -> evaluate -> certify -> Certified
                    any step -> Failed (terminal: a finished run never runs again by itself)

Two rules make every crash harmless. What a Job is created with (that the run has started, its version number) is written to
the status before the Job. A Job's uid is kept in the status, so a Job that somebody deleted is noticed and not created again.
"""

from __future__ import annotations

from datetime import datetime

from oneseek_operator.actions import Decision
from oneseek_operator.observe.run import RunDecision, RunSnapshot, is_finished
from oneseek_operator.requests import retry
from oneseek_operator.run.jobs import certify, evaluate, prepare
from oneseek_operator.run.queue import model_is_gone, model_is_reset, start
from oneseek_operator.run.training import train
from oneseek_operator.settings import Settings

__all__ = ["decide"]


def decide(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """The next step; None for a run that has ended."""
    if decision := retry.decide(snapshot, settings, now):
        return decision
    if is_finished(snapshot.run):
        left = snapshot.running_jobs
        return Decision(snapshot.run.status, left) if left else None
    for step in (model_is_gone, model_is_reset, start, prepare, train, evaluate, certify):
        if decision := step(snapshot, settings, now):
            return decision
    raise AssertionError("a run always has a next step")
