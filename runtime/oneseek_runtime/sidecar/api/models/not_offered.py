"""`/api/models/merge*` and `/api/models/gguf*`: empty or old lists, and 501 for what is not offered."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from oneseek_core.files import read_json
from oneseek_runtime.sidecar.api.operation import Endpoint, get, post
from oneseek_runtime.sidecar.api.schemas import Answer, Error, RequestBody
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.responses import json_response, read_object

__all__ = ["OPERATIONS"]

_NO_MERGE = "Merging is not offered: a version is its adapter, and what is served is what was certified"
_NO_GGUF = "GGUF export is not offered"


class MergeAsked(RequestBody):
    """What would be merged."""

    baseModel: str = Field(min_length=1)
    adapters: list[str] = Field(min_length=1)


class QuickMergeAsked(RequestBody):
    """What would be merged."""

    modelId: str = Field(min_length=1)
    mergeType: Literal["micro", "major"]


class ExportAsked(RequestBody):
    """What would be exported."""

    modelPath: str = Field(min_length=1)


class ActiveExportAsked(RequestBody):
    """What would serve."""

    ggufName: str = Field(min_length=1)


class Manifests(Answer):
    """Merge manifests that an older service left."""

    success: Literal[True]
    manifests: list[dict[str, Any]]
    count: int


class MergedVersion(Answer):
    """A merged folder."""

    name: str
    path: str
    version: str


class MergedVersions(Answer):
    """Merged folders that an older service left."""

    success: Literal[True]
    versions: list[MergedVersion]
    count: int


class Exports(Answer):
    """GGUF exports."""

    success: Literal[True]
    exports: list[dict[str, Any]]
    count: int
    quantizationTypes: list[str]


class ActiveExport(Answer):
    """The GGUF export that serves."""

    success: Literal[True]
    activeGguf: str | None


async def _merged(deps: Deps) -> list[CertifiedFolder]:
    try:
        return [item for item in await deps.folders() if item.merged]
    except OSError:
        return []


async def manifests(request: Request) -> Response:
    """GET /api/models/merge/manifests: manifests of merged folders of an older service."""
    folders = await _merged(deps_of(request))
    found = [dict(manifest) for folder in folders if (manifest := read_json(folder.path / "merge_manifest.json"))]
    return json_response(Manifests(success=True, manifests=found, count=len(found)))


async def versions(request: Request) -> Response:
    """GET /api/models/merge/versions: merged folders of an older service."""
    folders = await _merged(deps_of(request))
    rows = [
        MergedVersion(name=item.name, path=str(item.path), version=f"{item.major}.{item.minor}") for item in folders
    ]
    return json_response(MergedVersions(success=True, versions=rows, count=len(rows)))


async def gguf(_request: Request) -> Response:
    """GET /api/models/gguf: an empty list."""
    return json_response(Exports(success=True, exports=[], count=0, quantizationTypes=[]))


async def gguf_active(_request: Request) -> Response:
    """GET /api/models/gguf/active: none."""
    return json_response(ActiveExport(success=True, activeGguf=None))


def _refusing(asked: type[BaseModel], sentence: str) -> Endpoint:
    """An endpoint that answers 400 for a body that lacks a field, else 501."""

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
            return json_response(Error(error=what), status=400)
        return json_response(Error(error=sentence), status=501)

    return refuse


_REFUSED = {400: Error, 501: Error}

OPERATIONS = (
    get("/api/models/merge/manifests", "Manifests of merged models", manifests, {200: Manifests}),
    get("/api/models/merge/versions", "Merged models", versions, {200: MergedVersions}),
    get("/api/models/gguf", "GGUF exports: none are made", gguf, {200: Exports}),
    get("/api/models/gguf/active", "The GGUF export that serves: none does", gguf_active, {200: ActiveExport}),
    post("/api/models/merge", "Not offered", _refusing(MergeAsked, _NO_MERGE), _REFUSED, body=MergeAsked),
    post(
        "/api/models/merge/quick", "Not offered", _refusing(QuickMergeAsked, _NO_MERGE), _REFUSED, body=QuickMergeAsked
    ),
    post("/api/models/gguf/export", "Not offered", _refusing(ExportAsked, _NO_GGUF), _REFUSED, body=ExportAsked),
    post(
        "/api/models/gguf/set-active",
        "Not offered",
        _refusing(ActiveExportAsked, _NO_GGUF),
        _REFUSED,
        body=ActiveExportAsked,
    ),
)
