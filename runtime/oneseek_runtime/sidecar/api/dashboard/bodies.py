"""The OneSeekModel and its TrainingRuns as the dashboard shows them. Pure.

Objects are read tolerantly. What they do not hold is null or left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.training.runs import Run, timestamp_of

__all__ = ["ledger_held", "model_overview", "run_rows"]

_SCORES = ("questions", "factsContained", "exact", "loss")
_TRANSITION = ("type", "status", "reason", "message")
_REQUEST = ("verb", "value", "dna", "requestedBy", "verified", "outcome", "reason", "message")


def model_overview(model: Mapping[str, Any] | None, serving: ServingSettings, now: str) -> dict[str, Any]:
    """The body of `/api/models/overview`. `known` is false if the model was not read yet."""
    spec, status = _map(_map(model).get("spec")), _map(_map(model).get("status"))
    promotion = _map(spec.get("promotion"))
    quarantine = {str(item.get("dna")): item for item in _maps(status.get("quarantine"))}
    ledger = _map(status.get("ledger"))
    return {
        "success": True,
        "known": model is not None,
        "name": serving.model,
        "namespace": serving.namespace,
        "family": serving.family,
        "baseModel": serving.base_name,
        "baseDigest": _text(_map(status.get("baseModel")).get("digest")),
        "auth": serving.auth,
        "pinned": _text(spec.get("version")) or "auto",
        "mode": _text(promotion.get("mode")) or "Automatic",
        "current": _role(status.get("current")),
        "previous": _role(status.get("previous")),
        "candidate": _role(status.get("candidate")),
        "versions": [_version(item, quarantine) for item in _maps(status.get("versions"))],
        "conditions": [
            {key: str(item.get(key, "")) for key in _TRANSITION}
            | {"since": timestamp_of(item.get("lastTransitionTime"))}
            for item in _maps(status.get("conditions"))
        ],
        "strategy": _strategy(status.get("strategy")),
        "request": _request(status.get("request")),
        "ledger": {"height": ledger["height"], "head": ledger["head"]} if {"height", "head"} <= set(ledger) else None,
        "timestamp": now,
    }


def ledger_held(model: Mapping[str, Any] | None) -> str:
    """Returns why nothing may be added to the ledger, according to the model's conditions; empty if nothing prevents it."""
    for item in _maps(_map(_map(model).get("status")).get("conditions")):
        if item.get("type") == names.RECORDS_AVAILABLE and item.get("reason") == names.LEDGER_ROLLED_BACK:
            return "the records are an older copy, and nothing is entered until a person restores or accepts them"
    return ""


def run_rows(items: Sequence[Mapping[str, Any]], now: str) -> dict[str, Any]:
    """The body of `/api/training/runs`: every run, the newest first."""
    return {"success": True, "runs": [_run(item) for item in reversed(items)], "timestamp": now}


def _run(item: Mapping[str, Any]) -> dict[str, Any]:
    run = Run.of(item)
    status = _map(item.get("status"))
    progress = _map(status.get("progress"))
    under_way = run.state == "running"
    return {
        "name": run.name,
        "type": _text(_map(item.get("spec")).get("type")) or "Major",
        "state": run.state,
        "reason": run.reason,
        "message": run.message,
        "createdAt": timestamp_of(_map(item.get("metadata")).get("creationTimestamp")),
        "startedAt": run.started_at,
        "completedAt": run.completed_at,
        "percent": run.percent,
        "step": _number(progress.get("step")),
        "steps": _number(progress.get("steps")),
        "epoch": run.epoch,
        "epochs": run.epochs,
        "loss": run.loss,
        "tokensPerSecond": _number(progress.get("tokensPerSecond")),
        "etaSeconds": _number(progress.get("etaSeconds")) if under_way else None,
        "datasets": list(run.datasets),
        "language": run.language,
        "dna": run.dna,
        "scores": _scores(status.get("scores")),
        "autoStopped": _text(_map(status.get("autoStopped")).get("reason")),
    }


def _role(value: object) -> dict[str, Any] | None:
    role = _map(value)
    if not (dna := _text(role.get("dna"))):
        return None
    return {"dna": dna, "since": timestamp_of(role.get("since")), "provedAt": timestamp_of(role.get("provedAt"))}


def _version(item: Mapping[str, Any], quarantine: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    dna = str(item.get("dna", ""))
    held = quarantine.get(dna)
    return {
        "dna": dna,
        "state": str(item.get("state", "")),
        "type": _text(item.get("type")) or "Major",
        "parent": _text(item.get("parent")),
        "run": _text(item.get("run")),
        "digest": _text(item.get("digest")),
        "reason": _text(item.get("reason")),
        "createdAt": timestamp_of(item.get("createdAt")),
        "scores": _scores(item.get("scores")),
        "quarantine": None
        if held is None
        else {
            "reason": str(held.get("reason", "")),
            "message": str(held.get("message", "")),
            "since": timestamp_of(held.get("since")),
        },
    }


def _strategy(value: object) -> dict[str, str] | None:
    found = _map(value)
    return {key: str(found.get(key, "")) for key in ("name", "reason", "message")} if found else None


def _request(value: object) -> dict[str, Any] | None:
    found = _map(value)
    if not found:
        return None
    told = {key: found.get(key, "") for key in _REQUEST}
    told |= {"dna": _text(found.get("dna")), "verified": found.get("verified") is True}
    times = {key: timestamp_of(found.get(key)) for key in ("createdAt", "completedAt")}
    return told | times


def _scores(value: object) -> dict[str, float | None] | None:
    found = _map(value)
    return {key: _number(found.get(key)) for key in _SCORES} if found else None


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
