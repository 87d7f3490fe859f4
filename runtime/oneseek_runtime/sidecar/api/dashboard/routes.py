"""`/oqt-dashboard`: the static page, and the views of the model that it shows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar import dashboard_files as files
from oneseek_runtime.sidecar.api.dashboard import bodies
from oneseek_runtime.sidecar.api.dashboard import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Media, Parameter, get
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.http.responses import json_response, no_such_page, timestamp

__all__ = ["OPERATIONS"]


async def page(request: Request) -> Response:
    """GET /oqt-dashboard: the page itself."""
    return deps_of(request).pages.answer(request, files.INDEX) or files.missing_page()


async def file(request: Request) -> Response:
    """GET /oqt-dashboard/{path}: its scripts and styles."""
    name = request.path_params["path"]
    return deps_of(request).pages.answer(request, name or files.INDEX) or (
        no_such_page(request) if name else files.missing_page()
    )


async def overview(request: Request) -> Response:
    """GET /api/models/overview: roles, versions and conditions in the model's status."""
    deps = deps_of(request)
    model = deps.cluster.informer.model
    return json_response(bodies.model_overview(model, deps.settings.serving, timestamp(deps.now())))


async def runs(request: Request) -> Response:
    """GET /api/training/runs: every training run."""
    deps = deps_of(request)
    return json_response(bodies.run_rows(deps.cluster.informer.runs, timestamp(deps.now())))


_PAGE = Media("text/html; charset=utf-8", "The dashboard")
_FILE = Media("text/javascript; charset=utf-8", "A script, a style sheet (text/css), a picture (image/svg+xml)")
_NONE = Media("text/html; charset=utf-8", "There is no such file, or the dashboard was not built")

OPERATIONS = (
    get("/oqt-dashboard", "The dashboard", page, {200: _PAGE, 404: _NONE}),
    get(
        "/oqt-dashboard/{path:path}",
        "The dashboard's files",
        file,
        {200: _FILE, 404: _NONE},
        parameters=(Parameter("path", "Name of the file; empty: the page", "path", required=True),),
    ),
    get(
        "/api/models/overview",
        "The OneSeekModel as the operator last wrote it down: roles, versions, conditions",
        overview,
        {200: shapes.ModelOverview},
        private=True,
    ),
    get(
        "/api/training/runs",
        "Every training run of the model, the newest first",
        runs,
        {200: shapes.TrainingRuns},
        private=True,
    ),
)
