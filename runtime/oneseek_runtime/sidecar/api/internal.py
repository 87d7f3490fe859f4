"""The internal port's endpoints for the operator (state and orders) and the kubelet (readiness). Nothing here is recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_core.api.base import ApiModel
from oneseek_core.roles import Role, bearer, role_of
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.handover import HandoverRequest
from oneseek_core.serving.sidecar import DrainRequest, PreviousRequest, ProbeAnswer, ProbeRequest, SidecarState
from oneseek_core.serving.swap import SwapRequest
from oneseek_runtime.sidecar.api.health import health
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.engine.completion import Question
from oneseek_runtime.sidecar.engine.previous import ENGINE_PREFIX
from oneseek_runtime.sidecar.errors import OrderInvalidError, UpstreamError
from oneseek_runtime.sidecar.handover.forwarding import PEER_TOKEN
from oneseek_runtime.sidecar.http.paths import PEER_PREFIX
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import json_response

__all__ = ["INTERNAL", "OPEN", "Guard"]

Endpoint = Callable[[Request], Awaitable[Response]]
Order = TypeVar("Order", bound=ApiModel)

_WAIT = 30.0  # longest wait for a change, in seconds
_LOOK = 1.0  # interval of polling the engine and the connections
_WAITING = 16


async def state(request: Request) -> Response:
    """GET /internal/state: the engine's models and the number of connections, read now."""
    return json_response((await _state(deps_of(request))).to_wire())


async def _state(deps: Deps) -> SidecarState:
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
        handover=deps.orders.order,
        analysis=deps.analysis.state,
        verdict=deps.verdicts.last if deps.verdicts else None,
    )
    return deps.changes.number(found, terminating=deps.lifecycle.terminating)


async def changes(request: Request) -> Response:
    """GET /internal/changes?after=REVISION&wait=SECONDS: the state, once its revision differs from `after`."""
    deps = deps_of(request)
    try:
        after = int(request.query_params.get("after", "-1"))
        wait = min(_WAIT, float(request.query_params.get("wait", _WAIT)))
    except ValueError:
        return json_response({"error": "after must be a whole number, wait a number of seconds"}, status=400)
    if deps.changes.waiting >= _WAITING:
        return json_response({"error": f"{_WAITING} wait for changes already"}, status=503)
    deps.changes.waiting += 1
    try:
        found = await while_connected(request, _changed(deps, after, wait))
    finally:
        deps.changes.waiting -= 1
    return json_response(found.to_wire())


async def _changed(deps: Deps, after: int, wait: float) -> SidecarState:
    until = deps.monotonic() + wait
    while (found := await _state(deps)).revision == after and (left := until - deps.monotonic()) > 0:
        await deps.changes.wait(min(left, _LOOK))
        if deps.lifecycle.terminating:
            return await _state(deps)  # the port closes once no request is in progress
    return found


async def ready(request: Request) -> Response:
    """GET /internal/ready: 200 while the pod may receive clients, also while it drains."""
    deps = deps_of(request)
    if deps.lifecycle.terminating:
        return json_response({"ready": False, "message": "the pod is stopping"}, status=503)
    loaded = await deps.loaded()
    return json_response({"ready": loaded.ready, "message": loaded.message}, status=200 if loaded.ready else 503)


async def probe(request: Request) -> Response:
    """POST /internal/probe: one greedy generation by the target model."""
    deps = deps_of(request)
    asked = await _order(request, ProbeRequest)
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


async def handover(request: Request) -> Response:
    """POST /internal/handover: forward new public requests, or stop forwarding. In force when this is answered."""
    deps = deps_of(request)
    asked = await _order(request, HandoverRequest)
    try:
        deps.orders.set(asked.handover)
    except ValueError as error:
        raise OrderInvalidError(f"the body is no HandoverRequest: {error}") from error
    deps.lifecycle.drain(deps.monotonic(), on=asked.handover is not None)
    try:
        await deps.orders.write()
    except OSError as error:
        message = f"in force, but a restart would forget it: the order cannot be written: {error.strerror}"
        return json_response({"error": message}, status=503)
    deps.changes.notify()
    return json_response(HandoverRequest(handover=deps.orders.order).to_wire())


async def analysis(request: Request) -> Response:
    """POST /internal/analysis: start an analysis; its progress is in /internal/state."""
    deps = deps_of(request)
    asked = await _order(request, AnalysisRequest)
    return json_response(deps.analysis.want(asked, deps).to_wire(), status=202)


async def drain(request: Request) -> Response:
    """POST /internal/drain: public answers close their connection from now on, or no longer. Idempotent.

    For an operator that knows no handover: ending the drain also ends a handover.
    """
    deps = deps_of(request)
    order = await _order(request, DrainRequest, empty=b"{}")
    if not order.draining:
        deps.orders.set(None)
        await deps.orders.write()
    deps.lifecycle.drain(deps.monotonic(), on=order.draining)
    return json_response({"draining": deps.lifecycle.draining, "openConnections": deps.open_connections()})


async def previous(request: Request) -> Response:
    """POST /internal/previous: set or clear the addresses of the previous version."""
    deps = deps_of(request)
    asked = await _order(request, PreviousRequest)
    try:
        deps.previous.update(asked)
    except ValueError as error:
        raise OrderInvalidError(f"the body is no PreviousRequest: {error}") from error
    return json_response(PreviousRequest(previous=deps.previous.warm).to_wire())


async def swap(request: Request) -> Response:
    """POST /internal/swap: change to another version (HotSwap); progress is in /internal/state."""
    deps = deps_of(request)
    if deps.swapper is None:
        return json_response({"error": "this pod was made for one version; it cannot swap"}, status=409)
    asked = await _order(request, SwapRequest)
    return json_response(deps.swapper.want(asked).to_wire(), status=202)


async def engine(request: Request) -> Response:
    """POST /internal/engine/v1/chat/completions: pass another pod's request to this pod's engine."""
    deps = deps_of(request)
    connections = deps.engine.connections
    body = await deps.bodies.read(request.scope, request.receive)
    try:
        headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
        head = connections.head(b"POST", b"/v1/chat/completions", headers)
        status, answer = await while_connected(request, connections.fetch((head, body)))
    except UpstreamError as error:
        return json_response({"error": str(error)}, status=503)
    finally:
        deps.bodies.release(body)
    return Response(answer, status, media_type="application/json")


async def _order(request: Request, kind: type[Order], *, empty: bytes = b"") -> Order:
    """Parses an order of the operator, which may be of a neighbouring release. Raises OrderInvalidError."""
    try:
        return kind.from_wire(await request.body() or empty)
    except ValidationError as error:
        raise OrderInvalidError(f"the body is no {kind.__name__}: {error.errors()[0]['msg']}") from error


OPEN = None
"""For the kubelet's probes, which have no token."""


class Guard:
    """ASGI middleware. Paths that are not in `roles` require the operator's token."""

    def __init__(self, app: ASGIApp, roles: Mapping[str, Role | None], accepted: Mapping[str, str]) -> None:
        self._app = app
        self._roles = roles
        self._accepted = accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, or refuse the request."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # this port has no WebSockets
            return
        path, passed_on = scope["path"], scope["path"].startswith(f"{PEER_PREFIX}/")
        needed = Role.SIDECAR if passed_on else self._roles.get(path, Role.OPERATOR)
        if needed is not OPEN:
            header = PEER_TOKEN.decode() if passed_on else "authorization"
            role = role_of(bearer(Headers(scope=scope).get(header, "")), self._accepted)
            if role is not needed:
                status = 403 if role else 401
                sentence = (
                    f"{path} takes the token of this model's {needed}" if not passed_on else "no pod of this model"
                )
                headers = {} if role else {"WWW-Authenticate": "Bearer"}
                await json_response({"error": sentence}, status=status, headers=headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


INTERNAL: tuple[tuple[str, Endpoint, str, Role | None], ...] = (
    ("/health", health, "GET", OPEN),  # the liveness probe
    ("/internal/ready", ready, "GET", OPEN),
    ("/internal/state", state, "GET", Role.OPERATOR),
    ("/internal/changes", changes, "GET", Role.OPERATOR),
    ("/internal/probe", probe, "POST", Role.OPERATOR),
    ("/internal/analysis", analysis, "POST", Role.OPERATOR),
    ("/internal/handover", handover, "POST", Role.OPERATOR),
    ("/internal/drain", drain, "POST", Role.OPERATOR),
    ("/internal/swap", swap, "POST", Role.OPERATOR),
    ("/internal/previous", previous, "POST", Role.OPERATOR),
    (f"{ENGINE_PREFIX}/v1/chat/completions", engine, "POST", Role.SIDECAR),
)
"""Path, endpoint, method, and the role whose token is required."""
