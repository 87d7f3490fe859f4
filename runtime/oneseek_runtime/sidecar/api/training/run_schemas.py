"""The bodies of the views of training runs: their shapes and how they are built. Pure; field names are the contract's.

In the old pages' terms a TrainingRun is a cycle, and its gate score its fidelity.
"""

# ruff: noqa: N815

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training import Micro
from oneseek_runtime.sidecar.api.schemas import Answer, T, left_out
from oneseek_runtime.sidecar.training.runs import Run


class ActiveRun(Answer):
    """A run under way."""

    run_id: str
    started_at: T | None
    current_epoch: int
    total_epochs: int


class ActiveRuns(Answer):
    """The runs under way."""

    active_runs: list[ActiveRun]


class Point(Answer):
    """A point of the loss curve."""

    step: int
    loss: float


class LiveMetrics(Answer):
    """A run as it stands."""

    run_id: str
    status: Literal["queued", "running", "certified", "rejected", "failed"]
    current_epoch: int
    total_epochs: int
    val_losses: dict[str, float]
    weights: dict[str, float]
    lr_multipliers: dict[str, float]
    total_loss: float | None
    auto_stop_info: dict[str, Any] | None
    progress_percent: float
    timestamp: T
    training_history: list[Point]


class LogLine(Answer):
    """What was said when."""

    timestamp: T
    message: str


class TrainingStatus(Answer):
    """The run under way, else the newest."""

    status: Literal["idle", "training", "stopping"]
    runId: NotRequired[Annotated[str, left_out("")]]
    currentEpoch: int
    totalEpochs: int
    loss: float | None
    progress: float
    datasetId: str | None
    datasets: NotRequired[Annotated[list[str], left_out([])]]
    baseModels: NotRequired[Annotated[list[str], left_out([])]]
    language: NotRequired[Annotated[str, left_out("")]]
    dna: NotRequired[Annotated[str, left_out("")]]
    logs: list[LogLine]


class CurrentCycle(Answer):
    """The run under way."""

    id: str
    status: Literal["running"]
    stages: dict[str, dict[str, float]]


class Verification(Answer):
    """The gate score."""

    fidelityScore: Annotated[
        float, Field(ge=0, le=1, description="Mean share of the facts that held-out answers held.")
    ]


class CycleStages(Answer):
    """What was measured."""

    verification: Verification


class Cycle(Answer):
    """A run that was measured."""

    id: str
    startTime: T | None
    status: Literal["running", "awaiting_checkpoint", "approved", "failed"]
    stages: CycleStages


class State(Answer):
    """Runs as cycles."""

    running: bool
    currentCycle: CurrentCycle | None
    lastRun: T | None
    nextRun: T | None
    cycleHistory: list[Cycle]


class AutonomyState(Answer):
    """Runs as cycles."""

    state: State


class Config(Answer):
    """What the OneSeekModel says of it; null is what it has no word for."""

    enabled: bool
    schedule: Literal["nightly", "manual", "continuous"]
    scheduleTime: str | None
    minFidelityThreshold: float | None
    maxDatasetSize: int | None
    minDatasetSize: int | None
    verificationQuestions: int | None
    externalReviewers: list[str]
    approvalThreshold: int
    loraSteps: int | None
    forceHumanCheckpoint: bool
    autoPromotionEnabled: bool


class AutonomyConfig(Answer):
    """How versions take over; changed in the OneSeekModel's YAML."""

    config: Config


class DatasetRow(Answer):
    """A dataset that a run was applied with."""

    id: str
    name: str
    entries: int | None
    digest: str | None
    runs: list[str]


class Datasets(Answer):
    """The datasets of the runs."""

    datasets: list[DatasetRow]


def active_runs(runs: Sequence[Run]) -> ActiveRuns:
    """The body of `/api/training/active`."""
    return {
        "active_runs": [
            {"run_id": run.name, "started_at": run.started_at, "current_epoch": run.epoch, "total_epochs": run.epochs}
            for run in runs
            if run.state == "running"
        ]
    }


def live_metrics(run: Run, now: str) -> LiveMetrics:
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
    body = {key: value for key, value in live_metrics(run, now).items() if key != "training_history"}
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


def training_status(runs: Sequence[Run], base_name: str) -> TrainingStatus:
    """The body of `/api/admin/training/status`: the run under way, else the newest one."""
    running = next((run for run in runs if run.state == "running"), None)
    shown = running or (runs[-1] if runs else None)
    body: TrainingStatus = {
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
    if shown.language:
        body["language"] = shown.language
    if shown.dna:
        body["dna"] = shown.dna
    at = shown.completed_at or shown.updated_at or shown.started_at
    if shown.message and at:
        body["logs"] = [{"timestamp": at, "message": shown.message}]
    return body


def autonomy_state(runs: Sequence[Run], model: OneSeekModel | None) -> AutonomyState:
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
            "nextRun": None,  # runs have no schedule
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


def autonomy_config(model: OneSeekModel | None, micro: Micro | None) -> AutonomyConfig:
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


def _cycle_status(
    run: Run, model: OneSeekModel | None
) -> Literal["running", "awaiting_checkpoint", "approved", "failed"]:
    if run.state == "running":
        return "running"
    status = (model or lenient.read(OneSeekModel, {})).status
    if run.dna is not None and status.candidate and status.candidate.dna == run.dna:
        return "awaiting_checkpoint"
    states = {version.dna: version.state for version in status.versions}
    refused = states.get(run.dna or "") in (names.STATE_REJECTED, names.STATE_QUARANTINED)
    return "approved" if run.state == "certified" and not refused else "failed"
