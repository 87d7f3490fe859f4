"""The bodies of `/api/oqt/*`. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, Asked, T

__all__ = [
    "LedgerBlocks",
    "LedgerStats",
    "LedgerVerified",
    "MetricsAnswer",
    "QueriesAnswer",
    "QueryAnswer",
    "QueryAsked",
    "StatusAnswer",
]


class Options(Asked):
    """How the answer is drawn; values out of range are moved into it, others are ignored."""

    temperature: float | None = Field(default=None, description="Left out: greedy. 0 means 0.7, as it always did.")
    max_tokens: int | None = Field(default=None, alias="maxTokens")
    top_p: float | None = None
    model_size: str | None = Field(default=None, alias="modelSize", description="Ignored.")


class QueryAsked(Asked):
    """A question."""

    question: str = Field(min_length=1)
    context: Any = Field(default=None, description="Ignored.")
    options: Options | None = None


class Drawn(Answer):
    """How the answer was made."""

    tokens: int
    latency_ms: int
    temperature: float


class Step(Answer):
    """A stage, and when it was reached."""

    step: Literal["tokenization", "inference", "post-processing"]
    timestamp: T


class Provenance(Answer):
    """What was asked, by its SHA-256, of which version, when."""

    queryId: str
    timestamp: T
    model: Literal["OQT-1.0"]
    version: str
    inputHash: str = Field(pattern="^[0-9a-f]{64}$")
    processingSteps: list[Step]


class QueryAnswer(Answer):
    """An answer. `version` is the DNA that made it, or the base model's name."""

    success: Literal[True]
    queryId: str
    model: Literal["OQT-1.0"]
    version: str
    response: str
    confidence: float = Field(gt=0, le=1, description="Geometric mean of the tokens' probabilities.")
    metadata: Drawn
    provenance: Provenance
    timestamp: T


class ServedModel(Answer):
    """The model that answers at this moment."""

    name: Literal["OQT-1.0"]
    version: str
    status: Literal["ready", "active"]
    lastTraining: str | None
    architecture: str
    trainingMethod: str
    dna: str | None
    directoryName: str | None
    language: str
    isCertified: bool


class AvailableModel(Answer):
    """A certified version on the claim."""

    language: str
    dna: str
    directoryName: str | None
    isCurrent: bool
    isCertified: bool
    status: Literal["ready", "not found"]


class Operational(Answer):
    """What this request measured."""

    operational: bool
    modelsAvailable: int
    responseTime_ms: int
    uptime: float


class StatusAnswer(Answer):
    """The state of the service."""

    success: Literal[True]
    status: Literal["up"]
    model: ServedModel
    availableModels: list[AvailableModel]
    health: Operational
    timestamp: T


class StoredTime(Answer):
    """A Firestore timestamp as JSON."""

    seconds: int = Field(alias="_seconds")
    nanoseconds: int = Field(alias="_nanoseconds")


class RecordedQuery(Asked):
    """A recorded question with its answer."""

    id: str
    queryId: str
    question: str
    response: str
    createdAt: StoredTime
    updatedAt: StoredTime


class QueriesAnswer(Answer):
    """The newest first; without any, `message` says so."""

    success: Literal[True]
    queries: list[RecordedQuery]
    count: int
    message: str = ""
    timestamp: T


class InvalidBlock(Answer):
    """A block that does not hold."""

    blockNumber: int
    reason: str
    details: dict[str, Any]


class LedgerVerified(Asked):
    """What was read and checked."""

    success: Literal[True]
    valid: bool
    totalBlocks: int
    verifiedBlocks: int = 0
    invalidBlocks: list[InvalidBlock] = []
    integrity: float | str = Field(default=100, description="Percent: 100, or text with two decimals.")
    error: str = ""


class LatestBlock(Answer):
    """The newest block."""

    blockNumber: int
    hash: str
    timestamp: str | StoredTime
    type: str


class LedgerStats(Answer):
    """The ledger in numbers."""

    success: Literal[True]
    totalBlocks: int
    typeBreakdown: dict[str, int]
    latestBlock: LatestBlock | None


class FairnessMetrics(Answer):
    """Nothing measures these."""

    demographicParity: float | None
    equalOpportunity: float | None
    disparateImpact: float | None


class HeldOut(Answer):
    """What the version scored on its held-out questions, as certified."""

    questions: float | None
    factsContained: float | None
    exact: float | None
    loss: float | None


class Measured(Answer):
    """null: not measured. `accuracy` is the share of held-out answers that held every fact."""

    accuracy: float | None
    fairness: float | None
    bias: float | None
    consensus: float | None
    fairnessMetrics: FairnessMetrics
    heldOut: HeldOut | None


class TrainedSoFar(Answer):
    """What was trained so far."""

    totalSamples: int
    weeklyBatches: int
    microBatches: int
    lastTraining: str | None


class MetricsAnswer(Answer):
    """What was measured of the version that answers."""

    success: Literal[True]
    version: str
    metrics: Measured
    training: TrainedSoFar
    timestamp: T


class LedgerBlock(Asked):
    """A block as it was hashed."""

    blockNumber: int
    previousHash: str
    data: dict[str, Any]
    timestamp: str
    hash: str


class LedgerBlocks(Answer):
    """Some blocks, the newest first, and how many there are."""

    success: Literal[True]
    blocks: list[LedgerBlock]
    count: int
    totalBlocks: int
