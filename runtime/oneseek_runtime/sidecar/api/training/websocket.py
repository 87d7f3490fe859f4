"""`/ws/training`: progress of a run, and events of Micro runs.

A socket would keep a draining pod alive, so it is closed with 1012 (service restart) and pages reconnect.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from oneseek_runtime.sidecar.api.operation import Socket
from oneseek_runtime.sidecar.cluster.informer import Informer
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
    """Sends the initial state, each change, a heartbeat every 30 s, and events of Micro runs to permitted origins."""
    deps: Deps = socket.app.state.deps
    name = socket.query_params.get("runId")
    await socket.accept()
    if not name:
        await socket.close(_NO_RUN_ID, "Missing runId parameter")
        return
    # Events of Micro runs hold questions of other clients.
    sent = may_read(socket.scope["headers"], deps.settings.allowed_origins)
    if name == CHANNEL and not sent:
        await socket.close(_NO_RUN_ID, _FOREIGN)
        return
    with deps.run_events.listen(asked=name == CHANNEL) if deps.run_events and sent else nullcontext() as listener:
        sending = asyncio.create_task(_send_updates(socket, deps, name, listener))
        disconnecting = asyncio.create_task(_until_disconnected(socket))
        try:
            await asyncio.wait((sending, disconnecting), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
                await socket.close(_GOING_AWAY)
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()
            disconnecting.cancel()
            await asyncio.gather(sending, disconnecting, return_exceptions=True)


async def _send_updates(socket: WebSocket, deps: Deps, name: str, listener: Listener | None) -> None:
    """Send until the pod drains."""
    sent = _state(deps, name)
    await socket.send_json({**sent, "type": "initial_state"})
    forwarding = asyncio.create_task(_forward(socket, listener)) if listener else None
    try:
        await _send_changes(socket, deps, name, sent)
    finally:
        if forwarding:
            forwarding.cancel()
            await asyncio.gather(forwarding, return_exceptions=True)


async def _forward(socket: WebSocket, listener: Listener) -> None:
    while True:
        await socket.send_json(await listener.next())


async def _send_changes(socket: WebSocket, deps: Deps, name: str, sent: dict[str, Any]) -> None:
    last_sent = deps.monotonic()
    while not deps.lifecycle.closing:
        look = partial(_changed_state, deps, name, sent)
        changed = await deps.cluster.informer.until(look, seconds=_LOOK_SECONDS)
        if changed is not None:
            sent = changed
            await socket.send_json({**sent, "type": "epoch_end"})
        elif deps.monotonic() - last_sent >= _HEARTBEAT_SECONDS:
            last_sent = deps.monotonic()
            await socket.send_json({"type": "heartbeat", "timestamp": timestamp(deps.now())})


def _state(deps: Deps, name: str) -> dict[str, Any]:
    item = next((item for item in deps.cluster.informer.runs if item.metadata.name == name), None)
    now = timestamp(deps.now())
    if item is None:
        return no_run_yet(name, _ON_CHANNEL if name == CHANNEL else f"There is no training run {name!r} yet", now)
    return live_file(Run.of(item), now)


def _changed_state(deps: Deps, name: str, sent: dict[str, Any], _informer: Informer) -> dict[str, Any] | None:
    """The state if it changed, apart from its timestamp."""
    state = _state(deps, name)
    return None if state | {"timestamp": ""} == sent | {"timestamp": ""} else state


async def _until_disconnected(socket: WebSocket) -> None:
    """Wait until the client disconnects; its messages are ignored."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


SOCKETS = (
    Socket(
        path="/ws/training",
        summary="A training run as it goes (`?runId=NAME`); `?runId=micro-training`: what Micro runs made of each question",
        endpoint=training,
    ),
)
