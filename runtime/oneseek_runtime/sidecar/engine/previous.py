"""[I/O] The previous version, while its own pods still run.

The operator sends their addresses. A pod that cannot be reached is dropped; the operator sees that in our state and sends again.
Engines listen on loopback, so they are reached through their pod's sidecar.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from oneseek_core import names
from oneseek_core.serving.sidecar import PreviousRequest, WarmVersion
from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.engine.completion import Completion
from oneseek_runtime.sidecar.engine.http_exchange import OTHER_POD
from oneseek_runtime.sidecar.errors import EngineSlowError, EngineUnavailableError

__all__ = ["ENGINE_PREFIX", "PreviousVersion"]

ENGINE_PREFIX = "/internal/engine"


class PreviousVersion:
    """The addresses of the previous version, and requests to it."""

    def __init__(self, port: int = names.PORT_INTERNAL) -> None:
        self.warm: WarmVersion | None = None
        self.port = port

    def update(self, request: PreviousRequest) -> None:
        """Replace the addresses. Raises ValueError if one is no IP address; names are not resolved."""
        for address in request.previous.addresses if request.previous else ():
            ipaddress.ip_address(address)  # no names: questions are sent there
        self.warm = request.previous

    async def complete(self, warm: WarmVersion, way: Way, body: Mapping[str, Any]) -> Completion:
        """One answer by the first pod that can be reached. Raises UpstreamError."""
        slow: EngineSlowError | None = None
        for address in warm.addresses:
            host = f"[{address}]" if ":" in address else address
            async with OpenAIEngine(f"http://{host}:{self.port}{ENGINE_PREFIX}", OTHER_POD, way=way) as engine:
                try:
                    return await engine.complete(body)
                except EngineSlowError as error:  # the node is busy; the address stays
                    slow = error
                except EngineUnavailableError:
                    self._forget(address)
        raise slow or EngineUnavailableError("its pods are gone")

    def _forget(self, address: str) -> None:
        if self.warm is None:
            return
        left = [one for one in self.warm.addresses if one != address]
        self.warm = self.warm.model_copy(update={"addresses": left}) if left else None
