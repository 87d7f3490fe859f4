"""The internal port: for the operator (state, probe, drain, swap) and the kubelet (ready). Nothing here is recorded."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from oneseek_core.serving.sidecar import DrainRequest, PreviousRequest, ProbeAnswer, ProbeRequest, SidecarState
from oneseek_core.serving.swap import SwapRequest
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.endpoints import while_connected
from oneseek_runtime.sidecar.errors import UpstreamError
from oneseek_runtime.sidecar.responses import json_response
from oneseek_runtime.sidecar.wire import Question

__all__ = ["drain", "previous", "probe", "ready", "state", "swap"]


async def state(request: Request) -> Response:
    """GET /internal/state: what the engine reports and how many clients are connected, both right now."""
    deps = deps_of(request)
    loaded = await deps.loaded()
    found = SidecarState(
        dna=loaded.dna,
        base_name=deps.settings.serving.base_name,
        ready=loaded.ready and not deps.lifecycle.terminating,
        draining=deps.lifecycle.closing,
        open_connections=deps.open_connections(),
        spooled=deps.recorder.spooled if deps.recorder else 0,
        lost=deps.recorder.lost if deps.recorder else 0,
        abandoned=deps.recorder.abandoned() if deps.recorder else 0,
        requests=deps.lifecycle.requests,
        errors=deps.lifecycle.errors,
        swap=deps.swapper.state if deps.swapper else None,
        previous=deps.previous.warm,
    )
    return json_response(found.to_wire())


async def ready(request: Request) -> Response:
    """GET /internal/ready: 200 while the pod may be sent clients. Draining keeps it: the pod still serves well."""
    deps = deps_of(request)
    if deps.lifecycle.terminating:
        return json_response({"ready": False, "message": "the pod is stopping"}, status=503)
    loaded = await deps.loaded()
    return json_response({"ready": loaded.ready, "message": loaded.message}, status=200 if loaded.ready else 503)


async def probe(request: Request) -> Response:
    """POST /internal/probe: one real, greedy generation by the model that questions go to."""
    deps = deps_of(request)
    try:
        asked = ProbeRequest.model_validate_json(await request.body())
    except ValidationError as error:
        return json_response({"error": f"the body is no ProbeRequest: {error.errors()[0]['msg']}"}, status=400)
    question = Question(asked.question, max_tokens=asked.max_tokens)
    started = deps.monotonic()
    try:
        completion = await while_connected(request, deps.ask(question))
    except UpstreamError as error:
        return json_response({"error": str(error)}, status=503)
    answer = ProbeAnswer(
        dna=deps.dna_of(completion.model),
        text=completion.text,
        tokens=completion.tokens,
        latency_ms=round((deps.monotonic() - started) * 1000),
    )
    return json_response(answer.to_wire())


async def drain(request: Request) -> Response:
    """POST /internal/drain: from now on every public answer ends its connection, or no longer. Any number of times."""
    deps = deps_of(request)
    try:
        order = DrainRequest.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        return json_response({"error": f"the body is no DrainRequest: {error.errors()[0]['msg']}"}, status=400)
    deps.lifecycle.drain(deps.monotonic(), on=order.draining)
    return json_response({"draining": deps.lifecycle.draining, "openConnections": deps.open_connections()})


async def previous(request: Request) -> Response:
    """POST /internal/previous: where the version before this one can still be asked, or that it no longer can."""
    deps = deps_of(request)
    try:
        deps.previous.told(PreviousRequest.model_validate_json(await request.body()))
    except ValidationError as error:
        return json_response({"error": f"the body is no PreviousRequest: {error.errors()[0]['msg']}"}, status=400)
    except ValueError as error:
        return json_response({"error": f"the body is no PreviousRequest: {error}"}, status=400)
    return json_response(PreviousRequest(previous=deps.previous.warm).to_wire())


async def swap(request: Request) -> Response:
    """POST /internal/swap: begin to answer with another version (HotSwap). How it goes is in /internal/state."""
    deps = deps_of(request)
    if deps.swapper is None:
        return json_response({"error": "this pod was made for one version; it cannot swap"}, status=409)
    try:
        asked = SwapRequest.model_validate_json(await request.body())
    except ValidationError as error:
        return json_response({"error": f"the body is no SwapRequest: {error.errors()[0]['msg']}"}, status=400)
    return json_response(deps.swapper.want(asked).to_wire(), status=202)
