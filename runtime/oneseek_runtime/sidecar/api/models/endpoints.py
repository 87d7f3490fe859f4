"""The certified versions, and set-current and reset, which submit a request to the operator and report its outcome."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from oneseek_core import names
from oneseek_runtime.sidecar.api.auth import Caller, needs, to_promote, to_reset
from oneseek_runtime.sidecar.api.models import schemas
from oneseek_runtime.sidecar.api.schemas import Error
from oneseek_runtime.sidecar.certified_folders import current_pointer
from oneseek_runtime.sidecar.cluster.requests import ModelRequest, Outcome, submit
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.errors import KubeError, KubeUnavailableError
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import failure, json_response, read_object, timestamp

__all__ = ["certified", "current", "reset", "set_current"]


@needs(to_promote)
async def set_current(request: Request, caller: Caller) -> Response:
    """POST /api/models/set-current: promote a certified version, newer or older."""
    deps = deps_of(request)
    serving = deps.settings.serving
    model_id = schemas.parse_model_id(await read_object(request, deps.bodies))
    if model_id is None:
        return json_response(Error(error="modelId is required"), status=400)
    try:
        folders = await deps.folders()
    except OSError as error:
        return _failed(schemas.SET_CURRENT_FAILED, error)
    named = schemas.find(model_id, folders, serving.family)
    if named is None:
        return json_response(schemas.not_found(model_id, serving), status=404)
    try:
        outcome = await while_connected(
            request, _ask(deps, ModelRequest("promote", named.dna, caller.requested_by(serving.model)))
        )
    except KubeError as error:
        return _failed(schemas.SET_CURRENT_FAILED, error)
    status, body = schemas.set_current_answer(named, outcome, serving)
    return json_response(body, status=status)


@needs(to_reset)
async def reset(request: Request, caller: Caller) -> Response:
    """POST /api/models/reset: delete every certified version; the base model answers.

    In Legacy mode, where no token is needed, the word RESET must be sent.
    """
    deps = deps_of(request)
    serving = deps.settings.serving
    if serving.auth == "Legacy":
        confirmation = request.query_params.get("confirm") or (await read_object(request, deps.bodies)).get("confirm")
        if confirmation != names.RESET_WORD:
            return json_response(schemas.failed(schemas.RESET_WORD_MISSING, names.NOT_CONFIRMED), status=400)
    asked = ModelRequest("reset", names.RESET_WORD, caller.requested_by(serving.model))
    try:
        outcome = await while_connected(request, _ask(deps, asked))
    except KubeError as error:
        return _failed(schemas.RESET_FAILED, error)
    status, body = schemas.reset_answer(outcome, serving, caller.name, deps.now())
    return json_response(body, status=status)


async def _ask(deps: Deps, asked: ModelRequest) -> Outcome:
    return await submit(deps.cluster.kube, deps.cluster.informer, asked, seconds=deps.settings.request_seconds)


def _failed(sentence: str, error: Exception) -> Response:
    """503 if the API server is not available, else 500."""
    if isinstance(error, KubeUnavailableError):
        return json_response(schemas.failed(sentence, str(error)), status=503, headers={"Retry-After": "5"})
    return json_response(schemas.failed(sentence, str(error)), status=500)


async def certified(request: Request) -> Response:
    """GET /api/models/certified: every certified folder, newest version first."""
    deps = deps_of(request)
    try:
        folders = await deps.folders()
    except OSError as error:
        return failure("Failed to fetch certified models", str(error.strerror), status=500)
    now = timestamp(deps.now())
    answer: schemas.CertifiedAnswer = {
        "success": True,
        "models": [schemas.certified_model(folder, now) for folder in folders],
        "count": len(folders),
    }
    return json_response(answer)


async def current(request: Request) -> Response:
    """GET /api/models/current: where CURRENT points. It may lag behind the served version; `/api/oqt/status` does not."""
    serving = deps_of(request).settings.serving
    pointer = await asyncio.to_thread(current_pointer, Path(serving.certified_path), serving.family)
    body: schemas.CurrentAnswer = {"success": True, "currentModel": pointer.name if pointer else None}
    if pointer is None:
        body["message"] = "No current model set"
    else:
        source = "marker file" if pointer.from_marker else "symbolic link"
        body |= {
            "symlinkPath": str(pointer.link),
            "target": pointer.target,
            "note": f"Read from the {source}",
        }
    return json_response(body)
