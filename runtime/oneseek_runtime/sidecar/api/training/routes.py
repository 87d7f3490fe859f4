"""`/api/training/*`, `/api/autonomy/*` and parts of `/api/admin/*`: views of the model's training runs; and micro-training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.legacy import schemas as shapes
from oneseek_runtime.sidecar.api.operation import WAIT, Operation, Parameter
from oneseek_runtime.sidecar.api.oqt.bodies import timestamp
from oneseek_runtime.sidecar.api.schemas import Failure, Refusal
from oneseek_runtime.sidecar.api.training import endpoints, schemas
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.responses import json_response
from oneseek_runtime.sidecar.training import runs
from oneseek_runtime.sidecar.training.runs import Run
from oneseek_runtime.sidecar.training.window_notifier import is_suspended, micro_of

__all__ = ["OPERATIONS"]


def _runs(deps: Deps) -> list[Run]:
    return [Run.of(item) for item in deps.cluster.mirror.runs]


async def active(request: Request) -> Response:
    """GET /api/training/active: the runs under way."""
    return json_response(runs.active_runs(_runs(deps_of(request))))


async def metrics(request: Request) -> Response:
    """GET /api/training/{run}/metrics: one run as it stands."""
    deps, name = deps_of(request), request.path_params["run"]
    run = next((run for run in _runs(deps) if run.name == name), None)
    if run is None:
        body = {"error": "Metrics not found", "message": f"there is no training run {name!r}"}
        return json_response(body, status=404)
    return json_response(runs.live_metrics(run, timestamp(deps.now())))


async def status(request: Request) -> Response:
    """GET /api/admin/training/status: the run under way, else the newest."""
    deps = deps_of(request)
    return json_response(runs.training_status(_runs(deps), deps.settings.serving.base_name))


async def autonomy_state(request: Request) -> Response:
    """GET /api/autonomy/state: the runs as cycles."""
    deps = deps_of(request)
    return json_response(runs.autonomy_state(_runs(deps), deps.cluster.mirror.model))


async def autonomy_config(request: Request) -> Response:
    """GET /api/autonomy/config: how versions take over."""
    model = deps_of(request).cluster.mirror.model
    micro = micro_of(model) if model and not is_suspended(model) else None
    return json_response(runs.autonomy_config(model, micro))


async def datasets(request: Request) -> Response:
    """GET /api/admin/datasets: the datasets that the model's runs were applied with."""
    found: dict[str, dict[str, Any]] = {}
    for item in deps_of(request).cluster.mirror.runs:
        resolved = _rows(item.get("status", {}).get("resolved", {}).get("datasets"))
        for dataset in _rows(item.get("spec", {}).get("datasets")):
            name = str(dataset.get("name", ""))
            used = next((row for row in resolved if row.get("name") == name), {})
            row = found.setdefault(name, {"id": name, "name": name, "entries": None, "digest": None, "runs": []})
            row |= {"entries": used.get("rows", row["entries"]), "digest": used.get("digest", row["digest"])}
            row["runs"].append(item["metadata"]["name"])
    return json_response({"datasets": list(found.values())})


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


OPERATIONS = (
    Operation(
        method="POST",
        path="/api/training/micro",
        summary="Give a question with answers to learn, as older pages do",
        endpoint=endpoints.companion,
        body=schemas.LessonAsked,
        parameters=(WAIT,),
        answers={200: schemas.CompanionAnswered, 400: Failure, 503: Failure},
    ),
    Operation(
        method="GET",
        path="/api/training/micro/status",
        summary="How often something was given to learn",
        endpoint=endpoints.micro_status,
        answers={200: schemas.MicroStatus, 503: Failure},
    ),
    Operation(
        method="GET",
        path="/api/training/micro/stats",
        summary="The same by language and stage, with the newest version that learned from it",
        endpoint=endpoints.micro_stats,
        answers={200: schemas.MicroStats, 503: Failure},
    ),
    Operation(
        method="GET",
        path="/api/training/active",
        summary="The training runs under way",
        endpoint=active,
        answers={200: shapes.ActiveRuns},
    ),
    Operation(
        method="GET",
        path="/api/training/{run}/metrics",
        summary="One training run as it stands",
        endpoint=metrics,
        parameters=(Parameter("run", "Name of the TrainingRun", "path", required=True),),
        answers={200: shapes.LiveMetrics, 404: Refusal},
    ),
    Operation(
        method="GET",
        path="/api/admin/training/status",
        summary="The training run under way, else the newest",
        endpoint=status,
        answers={200: shapes.TrainingStatus},
    ),
    Operation(
        method="GET",
        path="/api/admin/datasets",
        summary="The datasets of the model's training runs",
        endpoint=datasets,
        answers={200: shapes.Datasets},
    ),
    Operation(
        method="GET",
        path="/api/autonomy/state",
        summary="The training runs as cycles, with their gate scores",
        endpoint=autonomy_state,
        answers={200: shapes.AutonomyState},
    ),
    Operation(
        method="GET",
        path="/api/autonomy/config",
        summary="How versions take over",
        endpoint=autonomy_config,
        answers={200: shapes.AutonomyConfig},
    ),
)
