"""[I/O] The internal port of a pod's sidecar, and the public port of a model's Service.

What travels is read leniently: a pod may be of the release before or after.
"""

from __future__ import annotations

import json
from typing import Self, TypeVar

import aiohttp
from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.network import failure
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.handover import Handover, HandoverRequest
from oneseek_core.serving.sidecar import DrainRequest, PreviousRequest, SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapRequest
from oneseek_operator.errors import SidecarError

__all__ = ["Sidecars"]

Parsed = TypeVar("Parsed", bound=ApiModel)

_TIMEOUT = aiohttp.ClientTimeout(total=3)
_CHANGES_GRACE = 5.0  # seconds beyond those that a pod was asked to wait
_SERVICE_PORT = 80
_ACCEPTED = 202
_REFUSED = 503  # the verifier's status for "no"; its body says why
_UNKNOWN = (404, 405)  # a sidecar of the release before knows no such path


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
        return _parsed(SidecarState, ip, await self._call("GET", ip, "/internal/state"))

    async def changes(self, ip: str, after: int, *, wait: float) -> SidecarState:
        """The state once its revision is another than `after`, else the same one after `wait` seconds.

        Raises:
            SidecarError: it did not answer, or not with a state.
        """
        path = f"/internal/changes?after={after}&wait={wait:g}"
        timeout = aiohttp.ClientTimeout(total=wait + _CHANGES_GRACE)
        return _parsed(SidecarState, ip, await self._call("GET", ip, path, timeout=timeout))

    async def verdict(self, ip: str) -> VerifyReport:
        """What the verifier of a pod found last that does not tell it in its state (it is of the release before).

        Raises:
            SidecarError: it did not answer, or has not looked yet.
        """
        data = await self._call("GET", ip, "/verdict", port=names.PORT_VERIFY, also=_REFUSED)
        return _parsed(VerifyReport, ip, data)

    async def hand_over(self, ip: str, handover: Handover | None) -> None:
        """Have the sidecar pass every new request on, or answer again; returns once it does.

        One of the release before can only be told to let its clients go.

        Raises:
            SidecarError: it did not answer, or another order is in force than this one.
        """
        body = HandoverRequest(handover=handover).to_wire()
        try:
            data = await self._call("POST", ip, "/internal/handover", body)
        except SidecarError as error:
            if error.status not in _UNKNOWN:
                raise
            order = DrainRequest(draining=handover is not None)
            await self._call("POST", ip, "/internal/drain", order.to_wire())
            return
        if _parsed(HandoverRequest, ip, data).handover != handover:
            raise SidecarError(f"/internal/handover at {ip} left another order in force", ip=ip)

    async def analyse(self, ip: str, request: AnalysisRequest) -> None:
        """Have the pod ask itself questions; how it goes is in its state. One of the release before does not.

        Raises:
            SidecarError: it did not answer.
        """
        try:
            await self._call("POST", ip, "/internal/analysis", request.to_wire(), also=_ACCEPTED)
        except SidecarError as error:
            if error.status not in _UNKNOWN:
                raise

    async def served(self, host: str) -> str:
        """The name of the version or base model that answers a fresh connection to a Service.

        Raises:
            SidecarError: nobody answered, or not as a sidecar does.
        """
        data = await self._call("GET", host, "/api/inference/status", port=_SERVICE_PORT, close=True)
        try:
            name = json.loads(data)["model"]
        except (ValueError, KeyError, TypeError) as error:
            raise SidecarError("/api/inference/status names no model", ip=host) from error
        return str(name)

    async def swap(self, ip: str, request: SwapRequest) -> None:
        """Have the pod begin to take over another version; how it goes is in its state.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/swap", request.to_wire(), also=_ACCEPTED)

    async def previous(self, ip: str, warm: WarmVersion | None) -> None:
        """Tell the sidecar where the version before the one that answers can still be asked; None: nowhere.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/previous", PreviousRequest(previous=warm).to_wire())

    async def _call(
        self,
        method: str,
        ip: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
        port: int = names.PORT_INTERNAL,
        also: int = 200,
        close: bool = False,
    ) -> bytes:
        host = f"[{ip}]" if ":" in ip else ip
        url = f"http://{host}:{port}{path}"
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) if close else self._session
        what = path.partition("?")[0]
        try:
            async with session.request(method, url, json=body, timeout=timeout) as response:
                data = await response.read()
                if response.status not in (200, also):
                    text = data[:300].decode(errors="replace")
                    raise SidecarError(f"{what} answered {response.status}: {text}", ip=ip, status=response.status)
                return data
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise SidecarError(f"{what} at {ip}: {failure(error)}", ip=ip, refused=refused) from error
        except TimeoutError as error:
            raise SidecarError(f"{what} at {ip} did not answer within {timeout.total:g} s", ip=ip) from error
        except (aiohttp.ClientError, OSError) as error:
            raise SidecarError(f"{what} at {ip}: {failure(error)}", ip=ip) from error
        finally:
            if close:
                await session.close()


def _parsed(kind: type[Parsed], ip: str, data: bytes) -> Parsed:
    try:
        return kind.from_wire(data)
    except ValidationError as error:
        raise SidecarError(f"the sidecar at {ip} gave no {kind.__name__}", ip=ip) from error
