"""Whether a run may start, and what about its model ends it or makes it wait. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import Resolved, TrainingRun
from oneseek_operator.actions import Delete
from oneseek_operator.conditions import Verdict, find, timestamp
from oneseek_operator.observe.model import is_resetting
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.observe.run import RunDecision, RunSnapshot, failed, is_active, is_finished, run_decision
from oneseek_operator.resources import run as build
from oneseek_operator.settings import Settings

__all__ = ["model_is_gone", "model_is_reset", "start"]

_GRACE = timedelta(seconds=30)  # a run applied together with its model may be seen first


def model_is_gone(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """Without its model a run that has started fails; one that has not waits for it, stalled."""
    del settings
    model, run = snapshot.model, snapshot.run
    gone = model is None or model.metadata.deletion_timestamp is not None
    if not gone:
        return None
    name = run.spec.model_ref.name
    if is_active(run):
        jobs = tuple(Delete("Job", job.name, job.uid) for job in snapshot.own_jobs)
        message = f"the OneSeekModel {name!r} was deleted while the run was under way"
        return failed(snapshot, Problem(names.MODEL_DELETED, message), now, *jobs)
    message = f"there is no OneSeekModel {name!r} in namespace {run.metadata.namespace!r}; apply it, or mend spec.modelRef.name"
    age = now - datetime.fromisoformat(run.metadata.creation_timestamp)
    if age < _GRACE:
        wait = (_GRACE - age).total_seconds() + 0.1
        return run_decision(snapshot, Verdict("Working", names.MODEL_NOT_FOUND, message), now, again_after=wait)
    return run_decision(snapshot, Verdict("Failed", names.MODEL_NOT_FOUND, message), now)


def model_is_reset(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """A reset of the model stops its runs; those that have not started wait until it has ended."""
    del settings
    if not is_resetting(snapshot.known_model):
        return None
    name = snapshot.run.spec.model_ref.name
    if not is_active(snapshot.run):
        return run_decision(
            snapshot, Verdict("Working", names.RESETTING, f"waiting for the reset of {name!r} to end"), now
        )
    jobs = tuple(Delete("Job", job.name, job.uid) for job in snapshot.own_jobs)
    message = f"a reset of {name!r} stopped the run"
    return failed(snapshot, Problem(names.MODEL_RESET, message), now, *jobs)


def start(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """Start if it is the run's turn; else say what it waits for."""
    del settings
    run, model = snapshot.run, snapshot.known_model
    if run.status.started_at is not None:
        return None
    if run.spec.suspend:
        return run_decision(
            snapshot, Verdict("Waiting", names.SUSPENDED, "spec.suspend is true: nothing is started"), now
        )
    if model.spec.suspend:
        message = f"spec.suspend of {model.metadata.name!r} is true: nothing is started"
        return run_decision(snapshot, Verdict("Waiting", names.SUSPENDED, message), now)
    if model.spec.training.suspend:
        message = f"spec.training.suspend of {model.metadata.name!r} is true: no run starts"
        return run_decision(snapshot, Verdict("Waiting", names.SUSPENDED, message), now)
    if model.status.base_model is None:
        ready = find(model.status.conditions, names.READY)
        message = (
            f"waiting for the base model of {model.metadata.name!r}: {ready.message if ready else 'not imported yet'}"
        )
        stalled = find(model.status.conditions, names.STALLED) is not None
        return run_decision(snapshot, Verdict("Failed" if stalled else "Working", names.MODEL_NOT_READY, message), now)
    if ahead := _ahead(snapshot):
        message = f"waiting for the run {ahead.metadata.name!r}: a model trains one run at a time"
        stuck = find(ahead.status.conditions, names.STALLED)
        if ahead.spec.suspend:
            message += f", and that one is suspended; resume {ahead.metadata.name!r}, or delete it"
        elif stuck:
            message += f", and that one is stuck ({stuck.reason}: {stuck.message}); mend that, or delete {ahead.metadata.name!r}"
        held = ahead.spec.suspend or stuck is not None
        return run_decision(snapshot, Verdict("Failed" if held else "Working", names.QUEUED, message), now)
    # A Major run starts from the base model, and so does a Micro run where no version answers yet.
    parent = model.status.current if run.spec.type == "Micro" else None
    resolved = Resolved(
        spec_digest=build.spec_digest(run),
        base_model_digest=model.status.base_model.digest,
        parent=parent.dna if parent else None,
        parent_digest=parent.digest if parent else None,
    )
    verdict = Verdict("Working", names.PREPARING, "fetching and checking the data")
    return run_decision(
        snapshot, verdict, now, again_after=0.0, started_at=timestamp(now), attempts=1, resolved=resolved
    )


def _ahead(snapshot: RunSnapshot) -> TrainingRun | None:
    """The run that goes first: one that is active, else the oldest that may start."""

    def order(run: TrainingRun) -> tuple[str, str]:
        return (run.metadata.creation_timestamp, run.metadata.name)

    others = [item for item in snapshot.siblings if not is_finished(item) and item.metadata.deletion_timestamp is None]
    for other in others:
        if is_active(other):
            return other
    waiting = [item for item in others if not item.spec.suspend and order(item) < order(snapshot.run)]
    return min(waiting, key=order, default=None)
