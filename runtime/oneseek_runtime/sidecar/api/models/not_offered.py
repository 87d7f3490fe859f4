"""`/api/models/merge*` and `/api/models/gguf*`: lists of what there is, and an honest no to what is not offered."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from oneseek_core.files import read_json
from oneseek_runtime.sidecar.api.models import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Endpoint, get, post
from oneseek_runtime.sidecar.api.schemas import Error
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder, certified_folders
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.responses import json_response, read_object

__all__ = ["OPERATIONS"]

_NO_MERGE = "Merging is not offered: a version is its adapter, and what is served is what was certified"
_NO_GGUF = "GGUF export is not offered"


def _merged(deps: Deps) -> list[CertifiedFolder]:
    serving = deps.settings.serving
    try:
        return [item for item in certified_folders(Path(serving.certified_path), serving.family) if item.merged]
    except OSError:
        return []


async def manifests(request: Request) -> Response:
    """GET /api/models/merge/manifests: those of merged folders that an older service left."""
    folders = await asyncio.to_thread(_merged, deps_of(request))
    found = [manifest for folder in folders if (manifest := read_json(folder.path / "merge_manifest.json"))]
    return json_response({"success": True, "manifests": found, "count": len(found)})


async def versions(request: Request) -> Response:
    """GET /api/models/merge/versions: the merged folders that an older service left."""
    folders = await asyncio.to_thread(_merged, deps_of(request))
    rows = [{"name": item.name, "path": str(item.path), "version": f"{item.major}.{item.minor}"} for item in folders]
    return json_response({"success": True, "versions": rows, "count": len(rows)})


async def gguf(_request: Request) -> Response:
    """GET /api/models/gguf: none are made."""
    return json_response({"success": True, "exports": [], "count": 0, "quantizationTypes": []})


async def gguf_active(_request: Request) -> Response:
    """GET /api/models/gguf/active: none serves."""
    return json_response({"success": True, "activeGguf": None})


def _refusing(asked: type[BaseModel], sentence: str) -> Endpoint:
    """What answers a post that is not offered: the contract's 400 for what it lacks, else 501."""

    async def refuse(request: Request) -> Response:
        body = await read_object(request, deps_of(request).bodies)
        try:
            asked.model_validate(dict(body), strict=True)
        except ValidationError as error:
            fields = sorted({str(row["loc"][0]) for row in error.errors()})
            missing = [name for name in fields if not body.get(name)]
            what = (
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} required"
                if missing
                else f"{' and '.join(fields)} cannot be used"
            )
            return json_response({"error": what}, status=400)
        return json_response({"error": sentence}, status=501)

    return refuse


_REFUSED = {400: Error, 501: Error}

OPERATIONS = (
    get("/api/models/merge/manifests", "Manifests of merged models", manifests, {200: shapes.Manifests}),
    get("/api/models/merge/versions", "Merged models", versions, {200: shapes.MergedVersions}),
    get("/api/models/gguf", "GGUF exports: none are made", gguf, {200: shapes.Exports}),
    get("/api/models/gguf/active", "The GGUF export that serves: none does", gguf_active, {200: shapes.ActiveExport}),
    post("/api/models/merge", "Not offered", _refusing(shapes.MergeAsked, _NO_MERGE), _REFUSED, body=shapes.MergeAsked),
    post(
        "/api/models/merge/quick",
        "Not offered",
        _refusing(shapes.QuickMergeAsked, _NO_MERGE),
        _REFUSED,
        body=shapes.QuickMergeAsked,
    ),
    post(
        "/api/models/gguf/export",
        "Not offered",
        _refusing(shapes.ExportAsked, _NO_GGUF),
        _REFUSED,
        body=shapes.ExportAsked,
    ),
    post(
        "/api/models/gguf/set-active",
        "Not offered",
        _refusing(shapes.ActiveExportAsked, _NO_GGUF),
        _REFUSED,
        body=shapes.ActiveExportAsked,
    ),
)
