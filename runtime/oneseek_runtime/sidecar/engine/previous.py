"""[I/O] The version that answered before this one, while pods of its own are still warm.

The operator tells where they are and when they are gone, and is asked nothing: whatever it said last is here. It may be
a moment old, so an engine that is not where it should be is forgotten, and the operator, who sees that in our state, tells
again. Engines listen on their own pod's loopback: they are asked through its sidecar.
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
    """What was told, and the way to ask it."""

    def __init__(self, port: int = names.PORT_INTERNAL) -> None:
        self.warm: WarmVersion | None = None
        self.port = port

    def update(self, request: PreviousRequest) -> None:
        """Take the operator's word.

        Raises:
            ValueError: an address is none of a pod.
        """
        for address in request.previous.addresses if request.previous else ():
            ipaddress.ip_address(address)  # nothing that would have to be looked up: questions go there
        self.warm = request.previous

    async def complete(self, warm: WarmVersion, way: Way, body: Mapping[str, Any]) -> Completion:
        """One answer of the version, by the first of its engines that can be reached.

        Raises:
            UpstreamError: there is none.
        """
        slow: EngineSlowError | None = None
        for address in warm.addresses:
            host = f"[{address}]" if ":" in address else address
            async with OpenAIEngine(f"http://{host}:{self.port}{ENGINE_PREFIX}", OTHER_POD, way=way) as engine:
                try:
                    return await engine.complete(body)
                except EngineSlowError as error:  # a busy node: it may answer the next question
                    slow = error
                except EngineUnavailableError:
                    self._forget(address)
        raise slow or EngineUnavailableError("its pods are gone")

    def _forget(self, address: str) -> None:
        if self.warm is None:
            return
        left = [one for one in self.warm.addresses if one != address]
        self.warm = self.warm.model_copy(update={"addresses": left}) if left else None
