"""The OneSeekModel and its TrainingRuns as the dashboard shows them. Pure.

What the objects do not hold is null or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import CandidateRef, Quarantined, Version, VersionRef
from oneseek_core.api.v1alpha1.promotion import Request as ApiRequest
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.training.runs import Run, timestamp_of

__all__ = ["ledger_held", "model_overview", "run_rows"]


def model_overview(model: OneSeekModel | None, serving: ServingSettings, now: str) -> dict[str, Any]:
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
        "strategy": _of(status.strategy, "name", "reason", "message"),
        "request": _request(status.request),
        "ledger": _of(status.ledger, "height", "head"),
        "timestamp": now,
    }


def ledger_held(model: OneSeekModel | None) -> str:
    """Returns why nothing may be added to the ledger, according to the model's conditions; empty if nothing prevents it."""
    told = lenient.condition(model, names.RECORDS_AVAILABLE) if model else None
    if told and told.reason == names.LEDGER_ROLLED_BACK:
        return "the records are an older copy, and nothing is entered until a person restores or accepts them"
    return ""


def run_rows(runs: Sequence[TrainingRun], now: str) -> dict[str, Any]:
    """The body of `/api/training/runs`: every run, the newest first."""
    return {"success": True, "runs": [_run(item) for item in reversed(runs)], "timestamp": now}


def _run(item: TrainingRun) -> dict[str, Any]:
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


def _role(role: VersionRef | None) -> dict[str, Any] | None:
    if role is None or not role.dna:
        return None
    proved = role.proved_at if isinstance(role, CandidateRef) else None
    return {"dna": role.dna, "since": timestamp_of(role.since), "provedAt": timestamp_of(proved)}


def _version(item: Version, held: Quarantined | None) -> dict[str, Any]:
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


def _request(found: ApiRequest | None) -> dict[str, Any] | None:
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


def _scores(found: Scores | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {
        "questions": found.questions,
        "factsContained": found.facts_contained,
        "exact": found.exact,
        "loss": found.loss,
    }


def _of(found: BaseModel | None, *fields: str) -> dict[str, Any] | None:
    return {field: getattr(found, field) for field in fields} if found else None
