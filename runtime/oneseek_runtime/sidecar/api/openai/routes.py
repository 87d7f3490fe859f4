"""`/v1/*`: the OpenAI API. Generations are passed through; the list of models starts with the OneSeekModel's name."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from oneseek_runtime.sidecar.api.openai import schemas as shapes
from oneseek_runtime.sidecar.api.openai.names import find_model, model_rows
from oneseek_runtime.sidecar.api.openai.relay import Relay, model_names
from oneseek_runtime.sidecar.api.operation import Media, Parameter, get, post
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.errors import UpstreamError
from oneseek_runtime.sidecar.http.responses import DNA_HEADER, error_object, json_response

__all__ = ["OPERATIONS"]

_STREAM = Media("text/event-stream", "With `stream`: server-sent events, as the engine sends them")


async def models(request: Request) -> Response:
    """GET /v1/models: the engine's models, preceded by the OneSeekModel's name, which promotions do not change."""
    deps = deps_of(request)
    try:
        rows = await deps.engine.model_rows()
    except UpstreamError as error:
        return _away(error)
    data = model_rows(rows, deps.settings.serving.model, model_names(deps, deps.target))
    return json_response({"object": "list", "data": data}, headers=_dna(deps))


async def model(request: Request) -> Response:
    """GET /v1/models/{model}: one model by any of its names."""
    deps, asked = deps_of(request), request.path_params["model"]
    try:
        rows = await deps.engine.model_rows()
    except UpstreamError as error:
        return _away(error)
    names = model_names(deps, deps.target)
    found = find_model(model_rows(rows, deps.settings.serving.model, names), asked, names)
    if found is None:
        return json_response(error_object(f"there is no model {asked!r}", code="model_not_found"), status=404)
    return json_response(found, headers=_dna(deps))


def _away(error: UpstreamError) -> Response:
    body = error_object(str(error), kind="server_error", code="engine_unavailable")
    return json_response(body, status=503, headers={"Retry-After": "1"})


def _dna(deps: Deps) -> dict[str, str] | None:
    dna = deps.dna_of(deps.target)
    return {DNA_HEADER: dna} if dna else None


def _chat(deps: Deps) -> ASGIApp:
    return Relay(deps, deps.engine.connections, deps.bodies, b"/v1/chat/completions")


def _completions(deps: Deps) -> ASGIApp:
    return Relay(deps, deps.engine.connections, deps.bodies, b"/v1/completions")


_REFUSED = dict.fromkeys((400, 404, 413, 429, 503), shapes.OpenAIError)

OPERATIONS = (
    get("/v1/models", "The models that requests may name", models, {200: shapes.ModelList, 503: shapes.OpenAIError}),
    get(
        "/v1/models/{model}",
        "One model",
        model,
        {200: shapes.Model, 404: shapes.OpenAIError, 503: shapes.OpenAIError},
        parameters=(Parameter("model", "Any of a model's names", "path", required=True),),
    ),
    post(
        "/v1/chat/completions",
        "Go on with a conversation; passed through to the engine byte for byte, streams too",
        None,
        {200: shapes.ChatAnswer, **_REFUSED},
        direct=_chat,
        body=shapes.ChatAsked,
        streams=_STREAM,
    ),
    post(
        "/v1/completions",
        "Go on with a text; passed through to the engine byte for byte, streams too",
        None,
        {200: shapes.CompletionAnswer, **_REFUSED},
        direct=_completions,
        body=shapes.CompletionAsked,
        streams=_STREAM,
    ),
)
