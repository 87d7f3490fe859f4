"""Authorization on the internal port: the role whose token each path requires, or none.

A refused request is not read further. A forwarded request carries the pod's token in a header of its own, because
Authorization is the client's.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_core.roles import Role, bearer, role_of
from oneseek_runtime.sidecar.handover.forwarding import PEER_TOKEN
from oneseek_runtime.sidecar.http.paths import PEER_PREFIX
from oneseek_runtime.sidecar.http.responses import json_response

__all__ = ["OPEN", "Guard"]

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
