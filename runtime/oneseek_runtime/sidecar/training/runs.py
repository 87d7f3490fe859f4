"""TrainingRuns in the old pages' forms: cycles, live metrics, status. Pure.

A cycle is a TrainingRun; its fidelity is its gate score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training import Micro
from oneseek_core.api.v1alpha1.training_run import AutoStopped, LossPoint, Progress, Resolved, TrainingRun

__all__ = [
    "Run",
    "active_runs",
    "autonomy_config",
    "autonomy_state",
    "live_file",
    "live_metrics",
    "no_run_yet",
    "training_status",
]

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
        told = lenient.condition(run, names.STALLED) or lenient.condition(run, names.READY)
        ended = state not in ("queued", "running") and resolved.final_loss is not None
        return cls(
            name=run.metadata.name,
            state=state,
            reason=told.reason if told else "",
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
            message=told.message if told else "",
            type=spec.type,
            samples=resolved.samples or 0,
            exact=status.scores.exact if status.scores else None,
            digest=status.digest,
        )


def active_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """The body of `/api/training/active`."""
    return {
        "active_runs": [
            {"run_id": run.name, "started_at": run.started_at, "current_epoch": run.epoch, "total_epochs": run.epochs}
            for run in runs
            if run.state == "running"
        ]
    }


def live_metrics(run: Run, now: str) -> dict[str, Any]:
    """The body of `/api/training/:run/metrics`. One model is trained with one learning rate: weights and multipliers are empty."""
    return {
        "run_id": run.name,
        "status": run.state,
        "current_epoch": run.epoch,
        "total_epochs": run.epochs,
        "val_losses": {},
        "weights": {},
        "lr_multipliers": {},
        "total_loss": run.loss,
        "auto_stop_info": lenient.document(run.auto_stopped) if run.auto_stopped else None,
        "progress_percent": run.percent,
        "timestamp": run.updated_at or run.completed_at or run.started_at or now,
        "training_history": [{"step": point.step, "loss": point.loss} for point in run.losses],
    }


def live_file(run: Run, now: str) -> dict[str, Any]:
    """live_metrics.json as the old trainer wrote it after each epoch; `validation_accuracy` is null until evaluated."""
    body = live_metrics(run, now)
    del body["training_history"]
    body |= {"epoch": run.epoch, "step": run.step, "total_steps": run.steps, "validation_accuracy": run.exact}
    return {"type": "epoch_end", **body}


def no_run_yet(name: str, message: str, now: str) -> dict[str, Any]:
    """The same keys for a run that does not exist yet."""
    counts = ("current_epoch", "total_epochs", "epoch", "step", "total_steps")
    return {
        "run_id": name,
        "status": "waiting",
        **dict.fromkeys(counts, 0),
        "val_losses": {},
        "weights": {},
        "lr_multipliers": {},
        "total_loss": None,
        "validation_accuracy": None,
        "auto_stop_info": None,
        "progress_percent": 0.0,
        "message": message,
        "timestamp": now,
    }


def training_status(runs: Sequence[Run], base_name: str) -> dict[str, Any]:
    """The body of `/api/admin/training/status`: the run under way, else the newest one."""
    running = next((run for run in runs if run.state == "running"), None)
    shown = running or (runs[-1] if runs else None)
    body: dict[str, Any] = {
        "status": "training" if running else "idle",
        "currentEpoch": shown.epoch if shown else 0,
        "totalEpochs": shown.epochs if shown else 0,
        "loss": shown.loss if shown else None,
        "progress": shown.percent if shown else 0.0,
        "datasetId": shown.datasets[0] if shown and shown.datasets else None,
        "logs": [],
    }
    if shown is None:
        return body
    body |= {"runId": shown.name, "datasets": list(shown.datasets), "baseModels": [base_name]}
    body |= {key: value for key, value in (("language", shown.language), ("dna", shown.dna)) if value}
    at = shown.completed_at or shown.updated_at or shown.started_at
    if shown.message and at:
        body["logs"] = [{"timestamp": at, "message": shown.message}]
    return body


def autonomy_state(runs: Sequence[Run], model: OneSeekModel | None) -> dict[str, Any]:
    """The body of `/api/autonomy/state`. Runs without a score are left out: pages print their fidelity as NaN."""
    running = next((run for run in runs if run.state == "running"), None)
    ended = [run.completed_at for run in runs if run.completed_at]
    return {
        "state": {
            "running": running is not None,
            "currentCycle": None
            if running is None
            else {"id": running.name, "status": "running", "stages": {"training": {"progress": running.percent}}},
            "lastRun": max(ended, default=None),
            "nextRun": None,  # runs are applied by people, or come of what clients send: neither has a date
            "cycleHistory": [
                {
                    "id": run.name,
                    "startTime": run.started_at,
                    "status": _cycle_status(run, model),
                    "stages": {"verification": {"fidelityScore": run.fidelity}},
                }
                for run in reversed(runs)
                if run.fidelity is not None
            ],
        }
    }


def autonomy_config(model: OneSeekModel | None, micro: Micro | None) -> dict[str, Any]:
    """The body of `/api/autonomy/config`; null for what the OneSeekModel has no field for.

    `micro`: the policy of Micro runs; None where they are disabled.
    """
    promotion = (model or lenient.read(OneSeekModel, {})).spec.promotion
    automatic = promotion.mode == "Automatic"
    return {
        "config": {
            "enabled": micro is not None,
            "schedule": "continuous" if micro else "manual",
            "scheduleTime": None,
            "minFidelityThreshold": promotion.gate.minimum_scores.facts_contained if promotion.gate else None,
            "maxDatasetSize": None,
            "minDatasetSize": micro.minimum_questions if micro else None,
            "verificationQuestions": None,
            "externalReviewers": [],
            "approvalThreshold": 0 if automatic else 1,
            "loraSteps": None,
            "forceHumanCheckpoint": not automatic,
            "autoPromotionEnabled": automatic,
        }
    }


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


def _cycle_status(run: Run, model: OneSeekModel | None) -> str:
    if run.state == "running":
        return "running"
    status = (model or lenient.read(OneSeekModel, {})).status
    if run.dna is not None and status.candidate and status.candidate.dna == run.dna:
        return "awaiting_checkpoint"
    states = {version.dna: version.state for version in status.versions}
    refused = states.get(run.dna or "") in (names.STATE_REJECTED, names.STATE_QUARANTINED)
    return "approved" if run.state == "certified" and not refused else "failed"
