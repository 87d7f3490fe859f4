"""`/ws/training`: a run's progress as it comes, for pages that draw it; and what micro-training made of each question.

A socket would hold a pod that drains; so it is closed with 1012 (service restart), and pages connect again.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from oneseek_runtime.sidecar.api.operation import Socket
from oneseek_runtime.sidecar.cluster.informer import Mirror
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.http.origins import may_read
from oneseek_runtime.sidecar.http.responses import timestamp
from oneseek_runtime.sidecar.training.run_events import CHANNEL, Listener
from oneseek_runtime.sidecar.training.runs import Run, live_file, no_run_yet

__all__ = ["SOCKETS"]

_HEARTBEAT_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_NO_RUN_ID = 1008
_GOING_AWAY = 1012
_FOREIGN = "this page's origin is not in spec.serving.cors.allowedOrigins of the OneSeekModel"
_ON_CHANNEL = "What Micro runs made of each question is told here as they end"


async def training(socket: WebSocket) -> None:
    """The state at first, then each change; a heartbeat every 30 s; and, for whom they are, the events of Micro runs."""
    deps: Deps = socket.app.state.deps
    name = socket.query_params.get("runId")
    await socket.accept()
    if not name:
        await socket.close(_NO_RUN_ID, "Missing runId parameter")
        return
    # What Micro runs made of each question tells what other people asked.
    told = may_read(socket.scope["headers"], deps.settings.allowed_origins)
    if name == CHANNEL and not told:
        await socket.close(_NO_RUN_ID, _FOREIGN)
        return
    with deps.news.listen(asked=name == CHANNEL) if deps.news and told else nullcontext() as listener:
        telling = asyncio.create_task(_tell(socket, deps, name, listener))
        leaving = asyncio.create_task(_left(socket))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
                await socket.close(_GOING_AWAY)
        except WebSocketDisconnect:
            pass
        finally:
            telling.cancel()
            leaving.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)


async def _tell(socket: WebSocket, deps: Deps, name: str, listener: Listener | None) -> None:
    """Send until the pod drains."""
    told = _state(deps, name)
    await socket.send_json({**told, "type": "initial_state"})
    passing = asyncio.create_task(_pass_on(socket, listener)) if listener else None
    try:
        await _tell_changes(socket, deps, name, told)
    finally:
        if passing:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)


async def _pass_on(socket: WebSocket, listener: Listener) -> None:
    while True:
        await socket.send_json(await listener.next())


async def _tell_changes(socket: WebSocket, deps: Deps, name: str, told: dict[str, Any]) -> None:
    heard = deps.monotonic()
    while not deps.lifecycle.closing:
        look = partial(_news, deps, name, told)
        changed = await deps.cluster.mirror.until(look, seconds=_LOOK_SECONDS)
        if changed is not None:
            told = changed
            await socket.send_json({**told, "type": "epoch_end"})
        elif deps.monotonic() - heard >= _HEARTBEAT_SECONDS:
            heard = deps.monotonic()
            await socket.send_json({"type": "heartbeat", "timestamp": timestamp(deps.now())})


def _state(deps: Deps, name: str) -> dict[str, Any]:
    item = next((item for item in deps.cluster.mirror.runs if item["metadata"]["name"] == name), None)
    now = timestamp(deps.now())
    if item is None:
        return no_run_yet(name, _ON_CHANNEL if name == CHANNEL else f"There is no training run {name!r} yet", now)
    return live_file(Run.of(item), now)


def _news(deps: Deps, name: str, told: dict[str, Any], _mirror: Mirror) -> dict[str, Any] | None:
    """The state, if it is not the one that was told; its clock alone is no news."""
    state = _state(deps, name)
    return None if state | {"timestamp": ""} == told | {"timestamp": ""} else state


async def _left(socket: WebSocket) -> None:
    """Until the client leaves; what it sends is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


SOCKETS = (
    Socket(
        path="/ws/training",
        summary="A training run as it goes (`?runId=NAME`); `?runId=micro-training`: what Micro runs made of each question",
        endpoint=training,
    ),
)
