"""The bodies that only the dashboard reads: their shapes and how they are built. Pure. null: not measured or not known."""

# ruff: noqa: N815

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import CandidateRef, Quarantined, Version, VersionRef
from oneseek_core.api.v1alpha1.promotion import Request as ApiRequest
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.api.schemas import Answer, T
from oneseek_runtime.sidecar.training.runs import Run, timestamp_of


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


def model_overview(model: OneSeekModel | None, serving: ServingSettings, now: str) -> ModelOverview:
    """The body of `/api/models/overview`. `known` is false if the model was not read yet."""
    known = model or lenient.read(OneSeekModel, {})
    spec, status = known.spec, known.status
    quarantine = {item.dna: item for item in status.quarantine}
    return {
        "success": True,
        "known": model is not None,
        "name": serving.model,
        "namespace": serving.namespace,
        "family": serving.family,
        "baseModel": serving.base_name,
        "baseDigest": (status.base_model.digest or None) if status.base_model else None,
        "auth": serving.auth,
        "pinned": spec.version or "auto",
        "mode": spec.promotion.mode or "Automatic",
        "current": _role(status.current),
        "previous": _role(status.previous),
        "candidate": _role(status.candidate),
        "versions": [_version(item, quarantine.get(item.dna)) for item in status.versions],
        "conditions": [
            {
                "type": item.type,
                "status": item.status,
                "reason": item.reason,
                "message": item.message,
                "since": timestamp_of(item.last_transition_time),
            }
            for item in status.conditions
        ],
        "strategy": None
        if (strategy := status.strategy) is None
        else {"name": strategy.name, "reason": strategy.reason, "message": strategy.message},
        "request": _request(status.request),
        "ledger": {"height": status.ledger.height, "head": status.ledger.head} if status.ledger else None,
        "timestamp": now,
    }


def run_rows(runs: Sequence[TrainingRun], now: str) -> TrainingRuns:
    """The body of `/api/training/runs`: every run, the newest first."""
    return {"success": True, "runs": [_run(item) for item in reversed(runs)], "timestamp": now}


def _run(item: TrainingRun) -> RunRow:
    run, status, progress = Run.of(item), item.status, item.status.progress
    return {
        "name": run.name,
        "type": run.type or "Major",
        "state": run.state,
        "reason": run.reason,
        "message": run.message,
        "createdAt": timestamp_of(item.metadata.creation_timestamp),
        "startedAt": run.started_at,
        "completedAt": run.completed_at,
        "percent": run.percent,
        "step": progress.step if progress else None,
        "steps": progress.steps if progress else None,
        "epoch": run.epoch,
        "epochs": run.epochs,
        "loss": run.loss,
        "tokensPerSecond": progress.tokens_per_second if progress else None,
        "etaSeconds": progress.eta_seconds if progress and run.state == "running" else None,
        "datasets": list(run.datasets),
        "language": run.language,
        "dna": run.dna,
        "scores": _scores(status.scores),
        "autoStopped": (status.auto_stopped.reason or None) if status.auto_stopped else None,
    }


def _role(role: VersionRef | None) -> Role | None:
    if role is None or not role.dna:
        return None
    proved = role.proved_at if isinstance(role, CandidateRef) else None
    return {"dna": role.dna, "since": timestamp_of(role.since), "provedAt": timestamp_of(proved)}


def _version(item: Version, held: Quarantined | None) -> VersionRow:
    return {
        "dna": item.dna,
        "state": item.state,
        "type": item.type or "Major",
        "parent": item.parent,
        "run": item.run,
        "digest": item.digest or None,
        "reason": item.reason,
        "createdAt": timestamp_of(item.created_at),
        "scores": _scores(item.scores),
        "quarantine": None
        if held is None
        else {"reason": held.reason, "message": held.message, "since": timestamp_of(held.since)},
    }


def _request(found: ApiRequest | None) -> LastRequest | None:
    if found is None:
        return None
    return {
        "verb": found.verb,
        "value": found.value,
        "dna": found.dna,
        "requestedBy": found.requested_by,
        "verified": found.verified,
        "outcome": found.outcome,
        "reason": found.reason,
        "message": found.message,
        "createdAt": timestamp_of(found.created_at),
        "completedAt": timestamp_of(found.completed_at),
    }


def _scores(found: Scores | None) -> Scored | None:
    if found is None:
        return None
    return {
        "questions": found.questions,
        "factsContained": found.facts_contained,
        "exact": found.exact,
        "loss": found.loss,
    }
