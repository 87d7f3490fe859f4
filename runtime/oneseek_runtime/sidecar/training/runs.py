"""The fields of a TrainingRun that answers show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.training_run import AutoStopped, LossPoint, Progress, Resolved, TrainingRun

__all__ = ["Run", "timestamp_of"]

State = Literal["queued", "running", "certified", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class Run:
    """A TrainingRun's fields that the views show."""

    name: str
    state: State
    reason: str
    started_at: str | None
    completed_at: str | None
    step: int
    steps: int
    epoch: int
    epochs: int
    percent: float
    loss: float | None
    losses: tuple[LossPoint, ...]
    updated_at: str | None
    datasets: tuple[str, ...]
    language: str | None
    dna: str | None
    fidelity: float | None
    auto_stopped: AutoStopped | None
    message: str
    type: str
    samples: int
    exact: float | None
    digest: str | None

    @classmethod
    def of(cls, run: TrainingRun) -> Run:
        """The fields of a run as the informer has it."""
        spec, status, state = run.spec, run.status, _state(run)
        progress = status.progress or lenient.read(Progress, {})
        resolved = status.resolved or lenient.read(Resolved, {})
        condition = lenient.condition(run, names.STALLED) or lenient.condition(run, names.READY)
        ended = state not in ("queued", "running") and resolved.final_loss is not None
        return cls(
            name=run.metadata.name,
            state=state,
            reason=condition.reason if condition else "",
            started_at=timestamp_of(status.started_at),
            completed_at=timestamp_of(status.completed_at),
            step=progress.step,
            steps=progress.steps,
            epoch=progress.epoch,
            epochs=progress.epochs or spec.epochs,
            percent=100.0 if state == "certified" else float(progress.percent),
            loss=resolved.final_loss if ended else progress.loss,
            losses=tuple(point for point in status.losses if point.loss is not None),
            updated_at=timestamp_of(progress.updated_at),
            datasets=tuple(dataset.name for dataset in spec.datasets),
            language=resolved.language,
            dna=status.dna,
            fidelity=status.scores.facts_contained if status.scores else None,
            auto_stopped=status.auto_stopped,
            message=condition.message if condition else "",
            type=spec.type,
            samples=resolved.samples or 0,
            exact=status.scores.exact if status.scores else None,
            digest=status.digest,
        )


def timestamp_of(value: str | None) -> str | None:
    """Formats a time of the API server in the contract's form; None if it is no time."""
    try:
        when = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state(run: TrainingRun) -> State:
    ready, stalled = lenient.condition(run, names.READY), lenient.condition(run, names.STALLED)
    if stalled and stalled.status == "True":
        return "failed"
    if ready and ready.status == "True":
        return "rejected" if ready.reason == "Rejected" else "certified"
    return "running" if run.status.started_at and not run.status.completed_at else "queued"
