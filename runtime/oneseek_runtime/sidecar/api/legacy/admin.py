"""`/api/admin/models*` and `/models/*`: the certified versions for the old administration page and leaderboard."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.legacy import schemas as shapes
from oneseek_runtime.sidecar.api.models.schemas import certified_model
from oneseek_runtime.sidecar.api.operation import Media, Parameter, get, post
from oneseek_runtime.sidecar.api.schemas import Error
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder, base_path
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.responses import json_response, no_such_page, timestamp
from oneseek_runtime.sidecar.training.runs import Run, live_file

__all__ = ["OPERATIONS"]

_NEVER_CACHED = {"Cache-Control": "no-cache, no-store, must-revalidate"}
_NO_START = "This route is gone; apply a TrainingRun, or POST /api/oqt/train to train on what was given to learn"
_NO_DOWNLOAD = "Downloads are not offered; `kubectl oneseek export` writes a certified version as an OCI image layout"
SERVED = frozenset(
    {
        "adapter_config.json",
        "ledger_proof.json",
        "live_metrics.json",
        "merge_manifest.json",
        "metadata.json",
        "oneseek_dna.json",
        "training_results.json",
    }
)
_LIMIT = 4 * 1024 * 1024  # bytes


async def _folders(deps: Deps) -> list[CertifiedFolder]:
    try:
        return await deps.folders()
    except OSError:  # these pages know no error body
        return []


async def models(request: Request) -> Response:
    """GET /api/admin/models: every certified version with its metadata."""
    deps = deps_of(request)
    current = deps.dna_of(deps.target)
    now = timestamp(deps.now())
    return json_response({"models": [_row(folder, current, now) for folder in await _folders(deps)]})


def _row(folder: CertifiedFolder, current: str | None, now: str) -> dict[str, Any]:
    entry = certified_model(folder, now)
    metrics = entry.get("metrics", {})
    return {
        "id": folder.name,
        "version": f"{folder.major}.{folder.minor}",
        "dna": folder.dna,
        "directoryName": folder.name,
        "createdAt": entry["createdAt"],
        "trainingType": entry.get("trainingType", "dna-v2"),
        "samplesProcessed": entry.get("samplesProcessed", 0),
        "isCurrent": current in (folder.name, folder.dna),
        "metrics": {
            "loss": metrics.get("loss"),
            "accuracy": metrics.get("accuracy", metrics.get("exact")),
            "fairness": metrics.get("fairness"),
        },
        "weights": None,
        "baseModels": [entry["baseModel"]] if "baseModel" in entry else [],
        "baseModel": entry.get("baseModel", "Unknown"),
        "language": folder.language,
        "datasets": entry.get("datasets", []),
        "training": folder.metadata.get("trainingConfig"),
        "metadata": dict(folder.metadata),
        "isCertified": True,
        "isMerged": folder.merged,
    }


async def available(request: Request) -> Response:
    """GET /api/admin/models/available: the base model and every certified version."""
    deps = deps_of(request)
    serving = deps.settings.serving
    base = {
        "id": serving.base_name,
        "name": serving.base_name,
        "path": base_path(serving),
        "displayName": serving.base_name,
    }
    rows: list[dict[str, Any]] = [{**base, "isCertified": False, "isMerged": False}]
    for folder in await _folders(deps):
        entry = certified_model(folder, "")
        row = {key: entry[key] for key in ("name", "path", "displayName", "dna")}
        rows.append(
            {
                "id": folder.name,
                **row,
                "isCertified": True,
                "isMerged": folder.merged,
                "language": folder.language,
                "datasets": entry.get("datasets", []),
            }
        )
    return json_response({"models": rows, "modelsPath": str(PurePosixPath(serving.certified_path).parent)})


async def discover_base(request: Request) -> Response:
    """GET /api/admin/models/discover-base: the base model."""
    serving = deps_of(request).settings.serving
    row: shapes.BaseModel = {"name": serving.base_name, "path": base_path(serving), "type": "base", "parameters": None}
    return json_response(shapes.BaseModels(models=[row]))


async def metadata(request: Request) -> Response:
    """GET /api/admin/models/{id}/metadata: a version's metadata.json."""
    asked = request.path_params["id"]
    found = next((folder for folder in await _folders(deps_of(request)) if folder.name == asked), None)
    if found is None or not found.readable:
        return json_response(Error(error="Model not found"), status=404)
    return json_response(found.metadata)


def read_metadata(certified: Path, path: str) -> bytes | None:
    """Reads `<certified folder's name>/<path inside>`; None if it is not served."""
    root, _, inside = path.partition("/")
    parts = inside.split("/")
    if root != certified.name or parts[-1] not in SERVED:
        return None
    if any(not part or part.startswith(".") or "\x00" in part or "\\" in part for part in parts):
        return None
    try:
        real = certified.joinpath(*parts).resolve(strict=True)  # CURRENT is a link; its target must be inside
        if not real.is_relative_to(certified.resolve()) or real.name not in SERVED or not real.is_file():
            return None
        if real.stat().st_size > _LIMIT:
            return None
        return real.read_bytes()
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, an impossible name
        return None


async def file(request: Request) -> Response:
    """GET /models/{path}: a metadata file of a certified version, or of a training run; never cached."""
    deps = deps_of(request)
    certified, path = Path(deps.settings.serving.certified_path), request.path_params["path"]
    data = await asyncio.to_thread(read_metadata, certified, path)
    if data is None and path.startswith(f"{certified.name}/"):
        return await _file_of_run(request, certified, path.removeprefix(f"{certified.name}/"))
    return no_such_page(request) if data is None else _json_file(data)


async def _file_of_run(request: Request, certified: Path, inside: str) -> Response:
    """The files that the old trainer wrote into a folder named like its run.

    Runs have no folder here; `metadata.json` is that of the version made by the run.
    """
    deps = deps_of(request)
    name, _, wanted = inside.partition("/")
    runs = (Run.of(item) for item in deps.cluster.informer.runs)
    run = next((run for run in runs if name in (run.name, run.dna)), None)
    if run is not None and wanted == "live_metrics.json":
        return json_response(live_file(run, timestamp(deps.now())), headers=_NEVER_CACHED)
    if run is not None and run.dna is not None and wanted == "metadata.json":
        data = await asyncio.to_thread(read_metadata, certified, f"{certified.name}/{run.dna}/{wanted}")
        if data is not None:
            return _json_file(data)
    return no_such_page(request)


def _json_file(data: bytes) -> Response:
    return Response(data, headers=_NEVER_CACHED, media_type="application/json; charset=utf-8")


async def start(_request: Request) -> Response:
    """POST /api/admin/training/start: gone, as in the old service."""
    return json_response(Error(error=_NO_START), status=410)


async def download(_request: Request) -> Response:
    """GET /api/admin/models/{id}/download: not offered, as in the old service."""
    return json_response(Error(error=_NO_DOWNLOAD), status=501)


_ID = Parameter("id", "Name of the certified folder: the DNA", "path", required=True)
_PAGE = Media("text/html; charset=utf-8", "There is no such file")

OPERATIONS = (
    get("/api/admin/models", "Every certified version, with its metadata", models, {200: shapes.AdminModels}),
    get(
        "/api/admin/models/available",
        "The base model and every certified version",
        available,
        {200: shapes.AvailableModels},
    ),
    get("/api/admin/models/discover-base", "The base model", discover_base, {200: shapes.BaseModels}),
    get(
        "/api/admin/models/{id}/metadata",
        "metadata.json of one version",
        metadata,
        {200: shapes.MetadataAnswer, 404: Error},
        parameters=(_ID,),
    ),
    get("/api/admin/models/{id}/download", "Not offered", download, {501: Error}, parameters=(_ID,)),
    post("/api/admin/training/start", "Gone", start, {410: Error}),
    get(
        "/models/{path:path}",
        "A metadata file of a certified version (oneseek-certified/DNA/metadata.json), or a run's"
        " (oneseek-certified/RUN/live_metrics.json)",
        file,
        {200: Media("application/json", "The file as it lies there"), 404: _PAGE},
        parameters=(Parameter("path", "Folder, version and file", "path", required=True),),
    ),
)
