"""The bodies that only the dashboard reads. null: not measured or not known."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Literal

from oneseek_runtime.sidecar.api.schemas import Answer, T


class Role(Answer):
    """A version in a role, since when; a candidate, when it had proved itself."""

    dna: str
    since: T | None
    provedAt: T | None


class Scored(Answer):
    """What was measured on held-out questions, as certified."""

    questions: float | None
    factsContained: float | None
    exact: float | None
    loss: float | None


class Held(Answer):
    """Why a version may not answer."""

    reason: str
    message: str
    since: T | None


class VersionRow(Answer):
    """A version as the OneSeekModel's status has it."""

    dna: str
    state: str
    type: str
    parent: str | None
    run: str | None
    digest: str | None
    reason: str | None
    createdAt: T | None
    scores: Scored | None
    quarantine: Held | None


class ConditionRow(Answer):
    """A condition of the OneSeekModel. `Verified` says whether what serves is what was certified."""

    type: str
    status: str
    reason: str
    message: str
    since: T | None


class Taking(Answer):
    """How the newest version took over, and why that way."""

    name: str
    reason: str
    message: str


class LastRequest(Answer):
    """The newest promote, rollback, release or reset, and what became of it."""

    verb: str
    value: str
    dna: str | None
    requestedBy: str
    verified: bool
    outcome: str
    reason: str
    message: str
    createdAt: T | None
    completedAt: T | None


class Head(Answer):
    """The ledger as the operator last saw it."""

    height: int
    head: str


class ModelOverview(Answer):
    """The OneSeekModel as the API server last showed it; `known` is false where it did not."""

    success: Literal[True]
    known: bool
    name: str
    namespace: str
    family: str
    baseModel: str
    baseDigest: str | None
    auth: Literal["Token", "Legacy"]
    pinned: str
    mode: str
    current: Role | None
    previous: Role | None
    candidate: Role | None
    versions: list[VersionRow]
    conditions: list[ConditionRow]
    strategy: Taking | None
    request: LastRequest | None
    ledger: Head | None
    timestamp: T


class RunRow(Answer):
    """A training run. `loss` is the newest, at the end the final one."""

    name: str
    type: str
    state: Literal["queued", "running", "certified", "rejected", "failed"]
    reason: str
    message: str
    createdAt: T | None
    startedAt: T | None
    completedAt: T | None
    percent: float
    step: float | None
    steps: float | None
    epoch: int
    epochs: int
    loss: float | None
    tokensPerSecond: float | None
    etaSeconds: float | None
    datasets: list[str]
    language: str | None
    dna: str | None
    scores: Scored | None
    autoStopped: str | None


class TrainingRuns(Answer):
    """Every run of the model, the newest first."""

    success: Literal[True]
    runs: list[RunRow]
    timestamp: T
