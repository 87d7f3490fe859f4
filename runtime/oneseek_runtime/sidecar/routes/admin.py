"""`/api/admin/models*` and `/models/*`: the certified versions as the old administration page and leaderboard read them."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_core import names
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.metadata_files import read_metadata
from oneseek_runtime.sidecar.responses import json_response, no_such_page
from oneseek_runtime.sidecar.routes.table import Media, Operation, Parameter
from oneseek_runtime.sidecar.shapes import companions as shapes
from oneseek_runtime.sidecar.shapes.base import Error
from oneseek_runtime.sidecar.versions import CertifiedFolder, certified_folders
from oneseek_runtime.sidecar.wire import timestamp

__all__ = ["OPERATIONS"]


async def _folders(deps: Deps) -> list[CertifiedFolder]:
    serving = deps.settings.serving
    try:
        return await asyncio.to_thread(certified_folders, Path(serving.certified_path), serving.family)
    except OSError:  # these pages have no body for it; an empty list is what they show
        return []


async def models(request: Request) -> Response:
    """GET /api/admin/models: every certified version, with what its metadata says."""
    deps = deps_of(request)
    current = deps.dna_of(deps.target)
    now = timestamp(deps.now())
    return json_response({"models": [_row(folder, current, now) for folder in await _folders(deps)]})


def _row(folder: CertifiedFolder, current: str | None, now: str) -> dict[str, Any]:
    entry = folder.entry(now)
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
        "metrics": {key: metrics.get(key) for key in ("loss", "accuracy", "fairness")},
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
    """GET /api/admin/models/available: the base model, and every certified version."""
    deps = deps_of(request)
    serving = deps.settings.serving
    base = {
        "id": serving.base_name,
        "name": serving.base_name,
        "path": _base_path(deps),
        "displayName": serving.base_name,
    }
    rows: list[dict[str, Any]] = [{**base, "isCertified": False, "isMerged": False}]
    for folder in await _folders(deps):
        entry = folder.entry("")
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
    """GET /api/admin/models/discover-base: the one base model."""
    deps = deps_of(request)
    row = {"name": deps.settings.serving.base_name, "path": _base_path(deps), "type": "base", "parameters": None}
    return json_response({"models": [row]})


def _base_path(deps: Deps) -> str:
    serving = deps.settings.serving
    return str(PurePosixPath(serving.certified_path).parent / names.BASE_DIR / serving.base_name)


async def metadata(request: Request) -> Response:
    """GET /api/admin/models/{id}/metadata: metadata.json as it was certified."""
    asked = request.path_params["id"]
    found = next((folder for folder in await _folders(deps_of(request)) if folder.name == asked), None)
    if found is None or not found.readable:
        return json_response({"error": "Model not found"}, status=404)
    return json_response(found.metadata)


async def file(request: Request) -> Response:
    """GET /models/{path}: a metadata file of a certified version, never cached."""
    certified = Path(deps_of(request).settings.serving.certified_path)
    data = await asyncio.to_thread(read_metadata, certified, request.path_params["path"])
    if data is None:
        return no_such_page(request)
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate"}
    return Response(data, headers=headers, media_type="application/json; charset=utf-8")


_ID = Parameter("id", "Name of the certified folder: the DNA", "path", required=True)
_PAGE = Media("text/html; charset=utf-8", "There is no such file")

OPERATIONS = (
    Operation(
        method="GET",
        path="/api/admin/models",
        summary="Every certified version, with its metadata",
        endpoint=models,
        answers={200: shapes.AdminModels},
    ),
    Operation(
        method="GET",
        path="/api/admin/models/available",
        summary="The base model and every certified version",
        endpoint=available,
        answers={200: shapes.AvailableModels},
    ),
    Operation(
        method="GET",
        path="/api/admin/models/discover-base",
        summary="The base model",
        endpoint=discover_base,
        answers={200: shapes.BaseModels},
    ),
    Operation(
        method="GET",
        path="/api/admin/models/{id}/metadata",
        summary="metadata.json of one version",
        endpoint=metadata,
        parameters=(_ID,),
        answers={200: shapes.MetadataAnswer, 404: Error},
    ),
    Operation(
        method="GET",
        path="/models/{path:path}",
        summary="A metadata file of a certified version, such as oneseek-certified/DNA/metadata.json",
        endpoint=file,
        parameters=(Parameter("path", "Folder, version and file", "path", required=True),),
        answers={200: Media("application/json", "The file as it lies there"), 404: _PAGE},
    ),
)
