"""[I/O] The internal port of a pod's sidecar, and the public port of a model's Service.

Bodies are parsed leniently: a pod may be of the previous or next release. One of the previous release has no TLS and no
token; the volumes of its template tell which it is.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.roles import Role
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.handover import Handover, HandoverRequest
from oneseek_core.serving.sidecar import DrainRequest, PreviousRequest, SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapRequest
from oneseek_operator.clients.pod_http import Peer, PodHttpClient, PodHttpError
from oneseek_operator.errors import SidecarError
from oneseek_operator.observe.pods import PodView
from oneseek_operator.resources import pod_access
from oneseek_operator.settings import Settings

__all__ = ["ModelSidecars", "Sidecars"]

Parsed = TypeVar("Parsed", bound=ApiModel)

_SECONDS = 3.0
_CHANGES_GRACE = 5.0  # seconds beyond the requested wait
_SERVICE_PORT = 80
_NAME = 253  # characters of the name that answers a Service
_ACCEPTED = 202
_REFUSED = 503  # the verifier's HTTP status for a refusal; its body says why
_ALIEN = (401, 403)  # it expects another token than ours
_UNKNOWN = (404, 405)  # a sidecar of the previous release has no such path


class Sidecars:
    """Finds each model's pods. `trust`: the TLS context for their certificates."""

    def __init__(self, http: PodHttpClient, settings: Settings, trust: Callable[[], ssl.SSLContext]) -> None:
        self._http = http
        self._settings = settings
        self._trust = trust

    def of(self, model: OneSeekModel, pods: Sequence[PodView]) -> ModelSidecars:
        """These pods of a model, and no others."""
        token, name = pod_access.token(model, self._settings, Role.OPERATOR), pod_access.host(model, "serving")
        book: dict[str, Peer] = {}
        for pod in pods:
            peer = Peer(pod.ip, names.PORT_INTERNAL, f"at {pod.ip}")
            if pod.speaks == "tls":
                peer = replace(peer, trust=self._trust(), name=name, token=token)
            elif pod.speaks == "plain" and not self._settings.internal_tls:
                # Whoever may create pods decides what `speaks` is: with TLS enabled, no token is sent without it.
                peer = replace(peer, token=token)
            book[pod.ip] = peer
        return ModelSidecars(self._http, book)


class ModelSidecars:
    """A model's sidecars, by pod address."""

    def __init__(self, http: PodHttpClient, book: Mapping[str, Peer]) -> None:
        self._http = http
        self._book = book

    async def state(self, ip: str) -> SidecarState:
        """The sidecar's state: what it serves, and how its orders are going.

        Raises:
            SidecarError: it did not answer, or not with a state.
        """
        return _parsed(SidecarState, ip, await self._call("GET", ip, "/internal/state"))

    async def changes(self, ip: str, after: int, *, wait: float) -> SidecarState:
        """The state once its revision differs from `after`, or after `wait` seconds.

        Raises:
            SidecarError: it did not answer, or not with a state.
        """
        path = f"/internal/changes?after={after}&wait={wait:g}"
        return _parsed(SidecarState, ip, await self._call("GET", ip, path, seconds=wait + _CHANGES_GRACE))

    async def verdict(self, ip: str) -> VerifyReport:
        """The last report of the verifier in a pod of the previous release; later verifiers report through the state.

        Raises:
            SidecarError: it did not answer, or has no report yet.
        """
        peer = self._peer(ip)
        if peer.token:
            raise SidecarError(f"the verifier at {ip} talks to its own pod alone", ip=ip)
        answer = await self._asked(replace(peer, port=names.PORT_VERIFY), "GET", "/verdict", also=_REFUSED)
        return _parsed(VerifyReport, ip, answer)

    async def hand_over(self, ip: str, handover: Handover | None) -> None:
        """Order the sidecar to pass every new request on, or to answer again; returns once it does.

        One of the previous release can only be ordered to drain.

        Raises:
            SidecarError: it did not answer, or another order is in force.
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
        """Order the pod to run an analysis; its state reports the result. The previous release ignores it.

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
            SidecarError: there was no answer, or not a sidecar's.
        """
        peer = Peer(host, _SERVICE_PORT, f"at {host}")
        data = await self._asked(peer, "GET", "/api/inference/status", afresh=True)
        try:
            name = json.loads(data)["model"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SidecarError("/api/inference/status names no model", ip=host) from error
        if not isinstance(name, str) or len(name) > _NAME or not name.isprintable():
            raise SidecarError("/api/inference/status names no model", ip=host)
        return name

    async def swap(self, ip: str, request: SwapRequest) -> None:
        """Order the pod to load another version, or to serve it; its state reports the progress.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/swap", request.to_wire(), also=_ACCEPTED)

    async def previous(self, ip: str, warm: WarmVersion | None) -> None:
        """Tell the sidecar where the previous version can be asked; None: nowhere.

        Raises:
            SidecarError: it did not answer.
        """
        await self._call("POST", ip, "/internal/previous", PreviousRequest(previous=warm).to_wire())

    def _peer(self, ip: str) -> Peer:
        if ip not in self._book:
            raise SidecarError(f"at {ip} is no pod that was seen to be this model's own", ip=ip)
        return self._book[ip]

    async def _call(
        self,
        method: str,
        ip: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        seconds: float | None = None,
        also: int = 200,
    ) -> bytes:
        return await self._asked(self._peer(ip), method, path, body, seconds=seconds, also=also)

    async def _asked(
        self,
        peer: Peer,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        seconds: float | None = None,
        also: int = 200,
        afresh: bool = False,
    ) -> bytes:
        limit = _SECONDS if seconds is None else seconds
        try:
            answer = await self._http.ask(peer, method, path, seconds=limit, body=body, afresh=afresh)
        except PodHttpError as error:
            raise SidecarError(str(error), ip=peer.host, refused=error.refused, alien=error.alien) from error
        if answer.status not in (200, also):
            message = f": {answer.message}" if answer.message else ""
            sentence = f"{path.partition('?')[0]} {peer.label} answered {answer.status}{message}"
            raise SidecarError(sentence, ip=peer.host, status=answer.status, alien=answer.status in _ALIEN)
        return answer.data


def _parsed(kind: type[Parsed], ip: str, data: bytes) -> Parsed:
    try:
        return kind.from_wire(data)
    except (ValidationError, RecursionError) as error:
        raise SidecarError(f"the sidecar at {ip} gave no {kind.__name__}", ip=ip) from error
