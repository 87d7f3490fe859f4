"""Who answers clients of a simulated cluster: behind a Service whose nodes may be as far behind as they like."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_operator.errors import SidecarError
from support.world.api_server import Object
from support.world.sidecars import Sidecars

WAITS, REFUSED, BASE = "waits", "refused", "base"


class Clients(Sidecars):
    """New requests, on every connection that a client may have: kept alive, or through a proxy that is far behind."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: list[str] | None = None  # pods that every proxy still sends fresh connections to
        self.reached: set[str] = set()  # pods that some client has a way to
        self.begun: set[str] = set()  # versions to which a takeover has begun since the status last named one
        self.looking = False
        self.seen: set[str] = set()  # all that new requests could come to so far

    def behind(self) -> list[str]:
        """The pods that the Service selects now."""
        service = self.objects.get(("Service", "team", "zero"))
        colour = service["spec"]["selector"][names.LABEL_COLOUR] if service else ""
        return [
            pod["metadata"]["name"]
            for pod in self.serving_pods()
            if pod["metadata"]["labels"][names.LABEL_COLOUR] == colour and pod["status"]["phase"] == "Running"
        ]

    def outcome(self, pod: str) -> str:
        """What comes of a request that begins at a pod now."""
        if not self._is_there(pod):
            return REFUSED
        order = self.handovers.get(pod)
        if order is None:
            return self._dna(pod) or BASE
        there = [address for address in order.addresses if self._is_there(address)]
        return (self._dna(there[0]) or BASE) if there else WAITS  # a peer's request is answered, never passed on again

    def _is_there(self, pod: str) -> bool:
        return ("Pod", "team", pod) in self.objects and not self.quiet.get(pod)

    async def served(self, host: str) -> str:
        """Through the proxy, as it is."""
        pods = self.frozen if self.frozen is not None else self.behind()
        if not pods:
            raise SidecarError("connection refused", ip=host, refused=True)
        found = self.outcome(pods[0])
        if found in (WAITS, REFUSED):
            raise SidecarError(f"the request {found}", ip=host)
        return "tiny" if found == BASE else found

    def noticed(self, dna: str | None, *, over: bool) -> None:
        if over:
            self.begun.add(dna or BASE)

    def look(self) -> None:
        """Every request that could begin at this moment is answered by what the status says, or by what takes over."""
        if not self.looking:
            return
        self.reached |= set(self.behind())
        self.reached = {pod for pod in self.reached if ("Pod", "team", pod) in self.objects}
        found = {self.outcome(pod) for pod in self.reached if not self.quiet.get(pod)}
        self.seen |= found
        status = self.objects[("OneSeekModel", "team", "zero")]["status"]
        right = {current_of(status), WAITS, *self.begun}
        assert found <= right, f"{found - right} answers, where {current_of(status)} is current and {self.begun} begun"
        barred = {item["dna"] for item in status.get("quarantine", [])}
        assert not found & barred, f"{found & barred} answers from quarantine"

    async def apply(self, manifest: Object) -> None:
        await super().apply(manifest)
        if manifest["kind"] == "Service" and (colour := manifest["spec"]["selector"].get(names.LABEL_COLOUR)):
            there = self.objects.get(("Deployment", "team", f"zero-{colour}"))
            if there:
                self.begun.add(self._answers_with(there) or BASE)
        self.look()

    def _answers_with(self, deployment: Object) -> str | None:
        name = f"{deployment['metadata']['name']}-0"
        return self._dna(name) if ("Pod", "team", name) in self.objects else self._born_with(deployment)

    async def replace_status(self, kind: str, current: Object, status: Object) -> None:
        before = current_of(current.get("status", {})) if kind == "OneSeekModel" else ""
        try:
            await super().replace_status(kind, current, status)
        finally:
            if (
                kind == "OneSeekModel"
                and current_of(self.objects[("OneSeekModel", "team", "zero")]["status"]) != before
            ):
                self.begun.clear()
        self.look()

    async def hand_over(self, ip: str, handover: Any) -> None:
        try:
            await super().hand_over(ip, handover)
        finally:
            self.look()

    async def swap(self, ip: str, request: Any) -> None:
        await super().swap(ip, request)
        self.look()


def current_of(status: Object) -> str:
    """What the status says answers."""
    return str(status.get("current", {}).get("dna", BASE))
