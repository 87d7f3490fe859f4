"""The bodies of the routes by which clients have the model learn. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, RootModel

from oneseek_runtime.sidecar.api.schemas import Answer, Asked, T

__all__ = [
    "BatchAnswer",
    "BatchAsked",
    "CompanionAnswered",
    "CompanionStages",
    "Counted",
    "LessonAsked",
    "MicroAnswer",
    "MicroStats",
    "MicroStatus",
    "WindowRun",
]


class RawResponse(Asked):
    """One raw answer to the question."""

    response: str
    model: str | None = None


class LessonAsked(Asked):
    """A question to learn."""

    question: str = Field(min_length=1, max_length=100_000)
    rawResponses: list[RawResponse] = Field(max_length=64, description="Stage 1. May be empty.")
    analyzedData: dict[str, Any] | None = Field(
        default=None,
        description="Stage 2: consensus, bias, fairness, and metaSummary, whose `answer` is what is learned; without one,"
        " the raw answer that the others agree with most.",
    )


class WindowRun(Answer):
    """The run that trains it: its name is known before the run is there."""

    name: str
    window: int
    state: Literal["queued", "running", "certified", "rejected", "failed"]
    dna: str | None
    message: str


class RawResult(Answer):
    """What stage 1 did; nothing counts before its run is certified."""

    method: Literal["raw_response_training"]
    samplesProcessed: int
    updated: bool


class AnalysedResult(Answer):
    """What stage 2 did; the numbers are the client's own."""

    method: Literal["analyzed_data_training"]
    metricsUpdated: bool
    consensus: float | None
    bias: float | None
    fairness: float | None


class Stage1(Answer):
    """The raw answers."""

    completed: bool
    reason: str = ""
    samplesProcessed: int
    result: RawResult


class Stage2(Answer):
    """The analysed answer."""

    completed: bool
    reason: str = ""
    result: AnalysedResult | None = None


class Stages(Answer):
    """Both."""

    stage1: Stage1
    stage2: Stage2


class MicroStanding(Answer):
    """The version that the run made, else the one that answers."""

    version: str
    totalMicroBatches: int
    lastUpdate: str | None


class MicroAnswer(Answer):
    """It is recorded, and will be trained with its window. `run` is null where there was nothing to learn."""

    success: Literal[True]
    trainingId: str
    timestamp: T
    stages: Stages
    modelStatus: MicroStanding
    run: WindowRun | None


class DateRange(Asked):
    """Between two times; either may be left out."""

    start: datetime | None = None
    end: datetime | None = None


class BatchAsked(Asked):
    """What to train on; everything may be left out."""

    dataSource: Literal["firestore"] | None = Field(default=None, description="The records, wherever they are kept.")
    dateRange: DateRange | None = None


class BatchMetrics(Answer):
    """Of the version that was made; null: not measured."""

    accuracy: float | None
    fairness: float | None
    bias: float | None


class BatchResult(Answer):
    """Zeros until the run is certified; `reason` says why they are."""

    samplesProcessed: int
    epochs: int
    duration_ms: int
    metrics: BatchMetrics
    completed: bool
    reason: str = ""


class BatchStanding(Answer):
    """The version that the run made, else the one that answers."""

    version: str
    totalWeeklyBatches: int
    totalSamples: int
    lastTraining: str | None


class BatchAnswer(Answer):
    """A run is on its way. `newVersion` is the DNA once there is one, else family and number, if earlier runs succeed."""

    success: Literal[True]
    trainingId: str
    timestamp: T
    previousVersion: str
    newVersion: str
    result: BatchResult
    modelStatus: BatchStanding
    run: WindowRun


class CompanionRawResult(Answer):
    """What stage 1 did."""

    method: Literal["raw_response_training"]
    samples_processed: int
    updated: bool


class DnaUpdate(Answer):
    """The version that the run made; `needed` is false while there is none."""

    needed: bool | None = None
    dna_updated: bool | None = None
    dna_hash: str | None = None
    total_samples: int | None = None
    timestamp: str | None = None


class CompanionAnalysedResult(AnalysedResult):
    """What stage 2 did."""

    dna_update: DnaUpdate


class CompanionStage1(Answer):
    """The raw answers."""

    completed: bool
    reason: str = ""
    samples_processed: int
    result: CompanionRawResult


class CompanionStage2(Answer):
    """The analysed answer."""

    completed: bool
    reason: str = ""
    result: CompanionAnalysedResult | None = None


class CompanionStages(Answer):
    """Both."""

    stage1: CompanionStage1
    stage2: CompanionStage2


class Counted(Answer):
    """How often something was given to learn."""

    totalRuns: int
    runsByLanguage: dict[str, int]


class CountedUntil(Counted):
    """The same, and when the newest came."""

    lastRun: T | None


class CompanionAnswer(Answer):
    """The same as of micro-train, in the words of the older route."""

    success: Literal[True]
    timestamp: T
    model: str
    language: str
    fallback: Literal[False]
    stages: CompanionStages
    state: Counted
    run: WindowRun | None


class Skipped(Answer):
    """Micro-training is disabled."""

    success: Literal[False]
    skipped: Literal[True]
    reason: str
    warning: str


class CompanionAnswered(RootModel[CompanionAnswer | Skipped]):
    """Recorded, or skipped."""


class MicroStatus(Answer):
    """Whether the model learns from clients. `unknown`: the OneSeekModel has not been read yet."""

    success: Literal[True]
    status: Literal["operational", "disabled", "unknown"]
    state: CountedUntil
    timestamp: T


class LastDna(Answer):
    """The newest version of a Micro run: the digest of its manifest."""

    dna_hash: str = Field(pattern="^[0-9a-f]{64}$")
    total_samples: int
    timestamp: str | None


class Learned(Answer):
    """What was given to learn in one language."""

    model: str
    stage1Samples: int
    stage2Samples: int
    totalSamples: int
    lastDNA: LastDna | None


class Stats(CountedUntil):
    """By language."""

    models: dict[str, Learned]


class MicroStats(Answer):
    """What was given to learn, by language and stage."""

    success: Literal[True]
    stats: Stats
    timestamp: T
