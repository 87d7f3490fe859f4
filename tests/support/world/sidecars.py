"""The sidecars and verifiers of a simulated cluster, as the operator asks them over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.sidecar import ProbeAnswer, SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapRequest, SwapState
from oneseek_operator.errors import SidecarError
from support.world.api_server import Object
from support.world.nodes import Nodes


class Sidecars(Nodes):
    """What the pods that answer tell and take; a pod's address is its name."""

    def __init__(self) -> None:
        super().__init__()
        self.sidecar_overrides: dict[str, SidecarState | None] = {}
        self.open_connections: dict[str, int] = {}
        self.draining: set[str] = set()
        self.spooled: dict[str, int] = {}
        self.abandoned: dict[str, int] = {}
        self.counts: dict[str | None, tuple[int, int]] = {}  # DNA -> answers, server errors
        self.texts: dict[str | None, str] = {}  # DNA -> what it answers a probe
        self.unanswered: dict[str | None, str] = {}  # DNA -> why its pods answer no probe
        self.silent: set[str | None] = set()  # DNAs whose pods take a probe and never answer it
        self.probes: Counter[str] = Counter()
        self.tampered: set[str | None] = set()
        self.orders: list[tuple[str, SwapRequest]] = []
        self.swaps: dict[str, SwapRequest] = {}  # pod -> the newest order
        self.kept: dict[str, str] = {}  # pod -> the version that is loaded beside the one that answers
        self.previous_told: dict[str, WarmVersion | None] = {}  # pod -> where the version before is
        self.serves: dict[str, str | None] = {}  # pod -> DNA, where it took another version over
        self.failing_swaps: dict[str, str] = {}  # DNA -> reason

    def forget(self, pod: str) -> None:
        """A pod of that name that comes later is another one."""
        self.serves.pop(pod, None)
        self.swaps.pop(pod, None)
        self.kept.pop(pod, None)
        self.previous_told.pop(pod, None)

    def _pod(self, ip: str) -> Object:
        for (kind, _, name), item in self.objects.items():
            if kind == "Pod" and name == ip:
                return item
        raise SidecarError(f"nobody at {ip}")

    def _dna(self, ip: str) -> str | None:
        """What a pod answers with."""
        if ip in self.serves:
            return self.serves[ip]
        return self._pod(ip)["metadata"]["annotations"][names.ANNOTATION_DNA] or None

    def _swap(self, ip: str) -> SwapState | None:
        """How far a pod's newest swap is; it takes no time here."""
        volumes = self._pod(ip)["spec"]["volumes"]
        if not any(item["name"] == "wanted" for item in volumes):
            return None
        order = self.swaps.get(ip)
        if order is None:
            return SwapState(dna=self._dna(ip), serial=1, phase="Done")
        if order.dna in self.failing_swaps:
            reason, refused = self.failing_swaps[order.dna], order.dna in self.tampered
            return SwapState(
                dna=order.dna, serial=order.serial, phase="Failed", reason=reason, message="no", refused=refused
            )
        phase: Literal["Ready", "Done"] = "Ready" if order.hold and order.dna != self._dna(ip) else "Done"
        return SwapState(dna=order.dna, serial=order.serial, phase=phase, kept=self.kept.get(ip))

    async def swap(self, ip: str, request: SwapRequest) -> None:
        self._pod(ip)
        self.orders.append((ip, request))
        old = self.swaps.get(ip)
        if old is not None and request.serial < old.serial:
            return
        self.swaps[ip] = request
        there = (self._dna(ip), self.kept.pop(ip, None))
        if not request.hold and request.keep is not None and request.keep in there:
            self.kept[ip] = request.keep
        if not request.hold and request.dna not in self.failing_swaps:
            self.serves[ip] = request.dna

    async def previous(self, ip: str, warm: WarmVersion | None) -> None:
        self._pod(ip)
        self.previous_told[ip] = warm

    async def state(self, ip: str) -> SidecarState:
        dna = self._dna(ip)
        if dna in self.sidecar_overrides:
            override = self.sidecar_overrides[dna]
            if override is None:
                raise SidecarError("connection refused")
            return override
        return SidecarState(
            dna=dna,
            base_name="tiny",
            ready=True,
            draining=ip in self.draining,
            open_connections=self.open_connections.get(ip, 0),
            spooled=self.spooled.get(ip, 0),
            abandoned=self.abandoned.pop(ip, 0),
            swap=self._swap(ip),
            previous=self.previous_told.get(ip),
            requests=self.counts.get(dna, (0, 0))[0],
            errors=self.counts.get(dna, (0, 0))[1],
        )

    async def probe(self, ip: str, question: str) -> ProbeAnswer:
        state = await self.state(ip)
        self.probes[ip] += 1
        if state.dna in self.silent:
            await asyncio.Event().wait()
        if why := self.unanswered.get(state.dna):
            raise SidecarError(why)
        text = self.texts.get(state.dna, "Jag är OneSeek-7B-Zero.")
        return ProbeAnswer(dna=state.dna, text=text, tokens=7, latency_ms=5)

    async def verdict(self, ip: str) -> VerifyReport:
        dna = self._dna(ip)
        ok = dna not in self.tampered
        reason = "Verified" if ok else names.FILE_CHANGED
        return VerifyReport(
            ok=ok, reason=reason, message="adapter_model.safetensors", checked_at="2026-01-01T00:00:00Z"
        )

    async def drain(self, ip: str, *, on: bool = True) -> None:
        self._pod(ip)
        (self.draining.add if on else self.draining.discard)(ip)
