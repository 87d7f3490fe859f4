"""The bodies of the routes that old pages read beside `/api/oqt` and `/api/models`. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, Asked, T, Whole

__all__ = [
    "ActiveRuns",
    "AdminModels",
    "AutonomyConfig",
    "AutonomyState",
    "AvailableModels",
    "BaseModels",
    "CharacterAnswer",
    "Characters",
    "Datasets",
    "Gone",
    "Inference",
    "InferenceAsked",
    "InferenceStatus",
    "InvalidInference",
    "LiveMetrics",
    "MetadataAnswer",
    "ModelsStatus",
    "ServiceRoot",
    "TrainingStatus",
]


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
    runId: str = ""
    currentEpoch: int
    totalEpochs: int
    loss: float | None
    progress: float
    datasetId: str | None
    datasets: list[str] = []
    baseModels: list[str] = []
    language: str = ""
    dna: str = ""
    logs: list[LogLine]


class CurrentCycle(Answer):
    """The run under way."""

    id: str
    status: Literal["running"]
    stages: dict[str, dict[str, float]]


class Verification(Answer):
    """The gate score."""

    fidelityScore: float = Field(ge=0, le=1, description="Mean share of the facts that held-out answers held.")


class Stages(Answer):
    """What was measured."""

    verification: Verification


class Cycle(Answer):
    """A run that was measured."""

    id: str
    startTime: T | None
    status: Literal["running", "awaiting_checkpoint", "approved", "failed"]
    stages: Stages


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


class AdminModel(Asked):
    """A certified version."""

    id: str
    version: str
    dna: str
    directoryName: str | None
    createdAt: str
    isCurrent: bool
    isCertified: bool
    isMerged: bool


class AdminModels(Answer):
    """The certified versions."""

    models: list[AdminModel]


class AvailableModel(Asked):
    """A model that can answer."""

    id: str
    name: str
    path: str
    displayName: str
    isCertified: bool
    isMerged: bool


class AvailableModels(Answer):
    """The base model and the certified versions."""

    models: list[AvailableModel]
    modelsPath: str


class BaseModel(Answer):
    """The base model."""

    name: str
    path: str
    type: str
    parameters: str | None


class BaseModels(Answer):
    """The one base model."""

    models: list[BaseModel]


class MetadataAnswer(Asked):
    """metadata.json as it was certified."""

    dna: str
    version: str


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


class CharacterRow(Answer):
    """A character."""

    id: str
    name: str
    description: str
    personality_type: str
    icon: str


class Characters(Answer):
    """The characters."""

    characters: list[CharacterRow]


class Character(CharacterRow):
    """All of a character."""

    version: str
    created_at: T
    greeting: str
    traits: list[str]
    capabilities: list[str]
    system_prompt: str


class CharacterAnswer(Answer):
    """One character."""

    character: Character


class InferenceAsked(Asked):
    """A text to answer."""

    text: str = Field(min_length=1, max_length=10_000)
    max_length: Whole = Field(default=512, ge=1, le=2048)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.9, ge=0, le=1)


class Inference(Answer):
    """The answer; `model` is what made it."""

    response: str
    model: str
    tokens: int
    latency_ms: float


class InvalidField(Asked):
    """A field that is not as it must be."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidInference(Answer):
    """Every field that is not as it must be."""

    detail: list[InvalidField]


class Gone(Answer):
    """Why there is no answer."""

    detail: str
    error: str = ""


class ServiceRoot(Answer):
    """The service answers; null: no model does."""

    status: Literal["running"]
    active_model_path: str | None
    endpoints: list[str]


class InferenceStatus(Answer):
    """Whether questions are answered."""

    status: Literal["available", "unavailable"]
    model: str | None
    message: str


class ModelsStatus(Answer):
    """What is loaded; the engine does not tell on which device."""

    device: str | None
    cuda_available: bool | None
    models: dict[str, dict[str, Any]]
