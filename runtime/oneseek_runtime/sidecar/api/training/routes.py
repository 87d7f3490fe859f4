"""The routes of training: micro-training, and views of the model's TrainingRuns."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.operation import WAIT, Parameter, get, post
from oneseek_runtime.sidecar.api.schemas import Failure, Refusal
from oneseek_runtime.sidecar.api.training import endpoints, major, run_schemas, schemas
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.responses import json_response, timestamp
from oneseek_runtime.sidecar.training import runs
from oneseek_runtime.sidecar.training.runs import Run
from oneseek_runtime.sidecar.training.window_notifier import is_suspended, micro_of

__all__ = ["LEARNING", "OPERATIONS"]


def _runs(deps: Deps) -> list[Run]:
    return [Run.of(item) for item in deps.cluster.informer.runs]


async def active(request: Request) -> Response:
    """GET /api/training/active: the runs under way."""
    return json_response(runs.active_runs(_runs(deps_of(request))))


async def metrics(request: Request) -> Response:
    """GET /api/training/{run}/metrics: one run as it stands."""
    deps, name = deps_of(request), request.path_params["run"]
    run = next((run for run in _runs(deps) if run.name == name), None)
    if run is None:
        body: Refusal = {"error": "Metrics not found", "message": f"there is no training run {name!r}"}
        return json_response(body, status=404)
    return json_response(runs.live_metrics(run, timestamp(deps.now())))


async def status(request: Request) -> Response:
    """GET /api/admin/training/status: the run under way, else the newest."""
    deps = deps_of(request)
    return json_response(runs.training_status(_runs(deps), deps.settings.serving.base_name))


async def autonomy_state(request: Request) -> Response:
    """GET /api/autonomy/state: runs as cycles."""
    deps = deps_of(request)
    return json_response(runs.autonomy_state(_runs(deps), deps.cluster.informer.model))


async def autonomy_config(request: Request) -> Response:
    """GET /api/autonomy/config: how versions are promoted."""
    model = deps_of(request).cluster.informer.model
    micro = micro_of(model) if model and not is_suspended(model) else None
    return json_response(runs.autonomy_config(model, micro))


async def datasets(request: Request) -> Response:
    """GET /api/admin/datasets: the datasets of the model's runs."""
    found: dict[str, run_schemas.DatasetRow] = {}
    for run in deps_of(request).cluster.informer.runs:
        resolved = {row.name: row for row in run.status.resolved.datasets} if run.status.resolved else {}
        for name in (dataset.name for dataset in run.spec.datasets):
            row = found.setdefault(name, {"id": name, "name": name, "entries": None, "digest": None, "runs": []})
            if used := resolved.get(name):
                row["entries"], row["digest"] = used.rows, used.digest
            row["runs"].append(run.metadata.name)
    return json_response(run_schemas.Datasets(datasets=list(found.values())))


LEARNING = (
    post(
        "/api/oqt/micro-train",
        "Give a question with answers to learn; answered once it is recorded, before it is trained",
        endpoints.micro_train,
        {200: schemas.MicroAnswer, 400: Failure, 409: Failure, 503: Failure},
        body=schemas.LessonAsked,
        parameters=(WAIT,),
    ),
    post(
        "/api/oqt/train",
        "Train a major version on what was given to learn so far",
        major.train,
        {200: major.BatchAnswer, 400: Failure, 409: Failure, 503: Failure},
        body=major.BatchAsked,
        parameters=(WAIT,),
    ),
)

OPERATIONS = (
    post(
        "/api/training/micro",
        "Give a question with answers to learn, as older pages do",
        endpoints.companion,
        {200: schemas.CompanionAnswered, 400: Failure, 503: Failure},
        body=schemas.LessonAsked,
        parameters=(WAIT,),
    ),
    get(
        "/api/training/micro/status",
        "How often something was given to learn",
        endpoints.micro_status,
        {200: schemas.MicroStatus, 503: Failure},
    ),
    get(
        "/api/training/micro/stats",
        "The same by language and stage, with the newest version that learned from it",
        endpoints.micro_stats,
        {200: schemas.MicroStats, 503: Failure},
    ),
    get("/api/training/active", "The training runs under way", active, {200: run_schemas.ActiveRuns}),
    get(
        "/api/training/{run}/metrics",
        "One training run as it stands",
        metrics,
        {200: run_schemas.LiveMetrics, 404: Refusal},
        parameters=(Parameter("run", "Name of the TrainingRun", "path", required=True),),
    ),
    get(
        "/api/admin/training/status",
        "The training run under way, else the newest",
        status,
        {200: run_schemas.TrainingStatus},
    ),
    get("/api/admin/datasets", "The datasets of the model's training runs", datasets, {200: run_schemas.Datasets}),
    get(
        "/api/autonomy/state",
        "The training runs as cycles, with their gate scores",
        autonomy_state,
        {200: run_schemas.AutonomyState},
    ),
    get("/api/autonomy/config", "How versions take over", autonomy_config, {200: run_schemas.AutonomyConfig}),
)
