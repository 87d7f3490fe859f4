"""TrainingRuns in the old pages' forms: cycles, live metrics, status. Pure.

Objects are read tolerantly, because operator and sidecar may be of different releases for a moment. A cycle is a TrainingRun; its
fidelity is its gate score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from oneseek_core import names
from oneseek_core.api.v1alpha1.training import Micro

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
    losses: tuple[Mapping[str, Any], ...]
    updated_at: str | None
    datasets: tuple[str, ...]
    language: str | None
    dna: str | None
    fidelity: float | None
    auto_stopped: Mapping[str, Any] | None
    message: str
    type: str
    samples: int
    exact: float | None
    digest: str | None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Run:
        """Reads an object."""
        spec, status = _map(item.get("spec")), _map(item.get("status"))
        progress, resolved = _map(status.get("progress")), _map(status.get("resolved"))
        ready = _condition(status, "Ready")
        stalled = _condition(status, "Stalled")
        state = _state(status, ready, stalled)
        ended = state not in ("queued", "running") and resolved.get("finalLoss") is not None
        return cls(
            name=str(_map(item.get("metadata")).get("name", "")),
            state=state,
            reason=str((stalled or ready).get("reason", "")),
            started_at=timestamp_of(status.get("startedAt")),
            completed_at=timestamp_of(status.get("completedAt")),
            step=_int(progress.get("step")),
            steps=_int(progress.get("steps")),
            epoch=_int(progress.get("epoch")),
            epochs=_int(progress.get("epochs")) or _int(spec.get("epochs")),
            percent=100.0 if state == "certified" else float(_int(progress.get("percent"))),
            loss=_number(resolved["finalLoss"] if ended else progress.get("loss")),
            losses=tuple(point for point in _list(status.get("losses")) if isinstance(point, Mapping)),
            updated_at=timestamp_of(progress.get("updatedAt")),
            datasets=tuple(str(_map(entry).get("name", "")) for entry in _list(spec.get("datasets"))),
            language=resolved.get("language") if isinstance(resolved.get("language"), str) else None,
            dna=status.get("dna") if isinstance(status.get("dna"), str) else None,
            fidelity=_number(_map(status.get("scores")).get("factsContained")),
            auto_stopped=status.get("autoStopped") if isinstance(status.get("autoStopped"), Mapping) else None,
            message=str((stalled or ready).get("message", "")),
            type=str(spec.get("type", "Major")),
            samples=_int(resolved.get("samples")),
            exact=_number(_map(status.get("scores")).get("exact")),
            digest=status.get("digest") if isinstance(status.get("digest"), str) else None,
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
        "auto_stop_info": dict(run.auto_stopped) if run.auto_stopped else None,
        "progress_percent": run.percent,
        "timestamp": run.updated_at or run.completed_at or run.started_at or now,
        "training_history": [
            {"step": point["step"], "loss": point["loss"]}
            for point in run.losses
            if _number(point.get("loss")) is not None and isinstance(point.get("step"), int)
        ],
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


def autonomy_state(runs: Sequence[Run], model: Mapping[str, Any] | None) -> dict[str, Any]:
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


def autonomy_config(model: Mapping[str, Any] | None, micro: Micro | None) -> dict[str, Any]:
    """The body of `/api/autonomy/config`; null for what the OneSeekModel has no field for.

    `micro`: the policy of Micro runs; None where they are disabled.
    """
    promotion = _map(_map(_map(model).get("spec")).get("promotion"))
    minimum = _map(_map(promotion.get("gate")).get("minimumScores"))
    automatic = promotion.get("mode", "Automatic") == "Automatic"
    return {
        "config": {
            "enabled": micro is not None,
            "schedule": "continuous" if micro else "manual",
            "scheduleTime": None,
            "minFidelityThreshold": _number(minimum.get("factsContained")),
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


def timestamp_of(value: object) -> str | None:
    """Formats a time of the API server in the contract's form; None if it is no time."""
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state(status: Mapping[str, Any], ready: Mapping[str, Any], stalled: Mapping[str, Any]) -> State:
    if stalled.get("status") == "True":
        return "failed"
    if ready.get("status") == "True":
        return "rejected" if ready.get("reason") == "Rejected" else "certified"
    return "running" if status.get("startedAt") and not status.get("completedAt") else "queued"


def _cycle_status(run: Run, model: Mapping[str, Any] | None) -> str:
    if run.state == "running":
        return "running"
    status = _map(_map(model).get("status"))
    if run.dna is not None and _map(status.get("candidate")).get("dna") == run.dna:
        return "awaiting_checkpoint"
    version = next((item for item in _list(status.get("versions")) if _map(item).get("dna") == run.dna), None)
    refused = _map(version).get("state") in (names.STATE_REJECTED, names.STATE_QUARANTINED)
    return "approved" if run.state == "certified" and not refused else "failed"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = (_map(item) for item in _list(status.get("conditions")))
    return next((item for item in found if item.get("type") == kind), {})


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
