"""[I/O] The internal port of a pod's sidecar: what it serves, a probe, and the call to let its clients go."""

from __future__ import annotations

from typing import Self

import aiohttp
from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.network import failure
from oneseek_core.serving.sidecar import (
    DrainRequest,
    PreviousRequest,
    ProbeAnswer,
    ProbeRequest,
    SidecarState,
    WarmVersion,
)
from oneseek_core.serving.swap import SwapRequest
from oneseek_operator.errors import SidecarError

__all__ = ["Sidecars"]

_STATE_TIMEOUT = aiohttp.ClientTimeout(total=5)
_ACCEPTED = 202
_REFUSED = 503  # the verifier's status for "no"; its body says why
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=60)  # a small CPU engine generates a few tokens a second at worst


class Sidecars:
    """Talks to sidecars by pod address."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    def connect(cls) -> Self:
        """A session of its own: these calls must not wait behind those to the API server."""
        return cls(aiohttp.ClientSession())

    async def close(self) -> None:
        """Release the connections."""
        await self._session.close()

    async def state(self, ip: str) -> SidecarState:
        """What the sidecar found its engine to serve.

        Raises:
            SidecarError: it did not answer, or not with a state.
        """
        return SidecarState.model_validate_json(await self._call("GET", ip, "/internal/state", None, _STATE_TIMEOUT))

    async def probe(self, ip: str, question: str) -> ProbeAnswer:
        """One real generation through sidecar and engine.

        Raises:
            SidecarError: it failed, or took longer than a minute.
        """
        body = ProbeRequest(question=question).to_wire()
        return ProbeAnswer.model_validate_json(await self._call("POST", ip, "/internal/probe", body, _PROBE_TIMEOUT))

    async def verdict(self, ip: str) -> VerifyReport:
        """What the pod's watching verifier found in its last round.

        Raises:
            SidecarError: it did not answer, or has not looked yet.
        """
        data = await self._call("GET", ip, "/verdict", None, _STATE_TIMEOUT, port=names.PORT_VERIFY, also=_REFUSED)
        try:
            return VerifyReport.model_validate_json(data)
        except ValidationError as error:
            raise SidecarError(f"/verdict at {ip} gave no verdict") from error

    async def drain(self, ip: str, *, on: bool = True) -> None:
        """Have the sidecar close every connection with its next answer, or no longer.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/drain", DrainRequest(draining=on).to_wire(), _STATE_TIMEOUT)

    async def swap(self, ip: str, request: SwapRequest) -> None:
        """Have the pod begin to take over another version; how it goes is in its state.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/swap", request.to_wire(), _STATE_TIMEOUT, also=_ACCEPTED)

    async def previous(self, ip: str, warm: WarmVersion | None) -> None:
        """Tell the sidecar where the version before the one that answers can still be asked; None: nowhere.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/previous", PreviousRequest(previous=warm).to_wire(), _STATE_TIMEOUT)

    async def _call(
        self,
        method: str,
        ip: str,
        path: str,
        body: dict[str, object] | None,
        timeout: aiohttp.ClientTimeout,
        *,
        port: int = names.PORT_INTERNAL,
        also: int = 200,
    ) -> bytes:
        host = f"[{ip}]" if ":" in ip else ip
        url = f"http://{host}:{port}{path}"
        try:
            async with self._session.request(method, url, json=body, timeout=timeout) as response:
                data = await response.read()
                if response.status not in (200, also):
                    raise SidecarError(f"{path} answered {response.status}: {data[:300].decode(errors='replace')}")
                return data
        except TimeoutError as error:
            raise SidecarError(f"{path} at {ip} did not answer within {timeout.total} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise SidecarError(f"{path} at {ip} cannot be reached: {failure(error)}") from error
