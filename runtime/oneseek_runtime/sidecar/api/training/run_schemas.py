"""The bodies of the views of training runs. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, T, left_out


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
