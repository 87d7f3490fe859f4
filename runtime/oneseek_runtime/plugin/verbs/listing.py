"""`list`: every model, what answers, whether it is well, and which runs are under way."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.text import table
from oneseek_runtime.plugin.times import age

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """What `list` takes."""
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="the models of all namespaces")


def run(call: Call) -> Answer:
    """Read models and runs. Raises CannotTellError: they cannot be read."""
    everywhere = call.arguments.all_namespaces
    more = ["--all-namespaces"] if everywhere else []
    models, runs = reading.read_models(call.kubectl, *more), reading.read_runs(call.kubectl, *more)
    document = {"models": [_summary(model, runs) for model in models]}
    if not models:
        return Answer(document, "no models found; `kubectl apply` a OneSeekModel to make one")
    return Answer(document, render(models, runs, call.now, namespaces=everywhere))


def render(models: Sequence[OneSeekModel], runs: Sequence[TrainingRun], now: datetime, *, namespaces: bool) -> str:
    """The table."""
    rows = []
    for model in models:
        current, ready = model.status.current, lenient.ready(model)
        row = [
            model.metadata.name,
            current.dna if current else f"({model.spec.base_model.name})" if model.status.colour else "",
            ready.status,
            ready.reason,
            ", ".join(map(_run_text, _under_way(runs, model))),
            age(model.metadata.creation_timestamp, now),
        ]
        rows.append([model.metadata.namespace, *row] if namespaces else row)
    header = ["NAME", "CURRENT", "READY", "REASON", "RUNS UNDER WAY", "AGE"]
    return table(["NAMESPACE", *header] if namespaces else header, rows)


def _under_way(runs: Sequence[TrainingRun], model: OneSeekModel) -> list[TrainingRun]:
    return [run for run in reading.of_model(runs, model) if lenient.phase(run) == "UnderWay"]


def _run_text(run: TrainingRun) -> str:
    progress = run.status.progress
    return (
        f"{run.metadata.name} {progress.percent}%" if progress else f"{run.metadata.name} {lenient.ready(run).reason}"
    )


def _summary(model: OneSeekModel, runs: Sequence[TrainingRun]) -> dict[str, Any]:
    current, ready = model.status.current, lenient.ready(model)
    return {
        "name": model.metadata.name,
        "namespace": model.metadata.namespace,
        "baseModel": model.spec.base_model.name,
        "current": lenient.document(current) if current else None,
        "ready": ready.status,
        "reason": ready.reason,
        "message": ready.message,
        "runsUnderWay": [run.metadata.name for run in _under_way(runs, model)],
        "createdAt": model.metadata.creation_timestamp,
    }
