"""The sidecars and verifiers of a simulated cluster, as the operator asks them over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.analysis import AnalysisRequest, AnalysisState
from oneseek_core.serving.handover import Handover
from oneseek_core.serving.sidecar import SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapRequest, SwapState
from oneseek_operator.errors import SidecarError
from support.world.api_server import Crash, Object
from support.world.nodes import Nodes


class Sidecars(Nodes):
    """What the pods that answer tell and take; a pod's address is its name."""

    def __init__(self) -> None:
        super().__init__()
        self.sidecar_overrides: dict[str, SidecarState | None] = {}
        self.open_connections: dict[str, int] = {}
        self.handovers: dict[str, Handover] = {}  # pod -> whom it passes new requests on to
        self.of_before: set[str] = set()  # pods of the release before: they know of no handover, only of draining
        self.draining: set[str] = set()  # of these, those that let their clients go
        self.deaf: set[str] = set()  # pods that take no order
        self.quiet: dict[str, bool] = {}  # pods whose sidecar says nothing; True: nothing listens there
        self.spooled: dict[str, int] = {}
        self.abandoned: dict[str, int] = {}
        self.counts: dict[str | None, tuple[int, int]] = {}  # DNA -> answers, server errors
        self.texts: dict[str | None, str] = {}  # DNA -> what it answers a probe
        self.unanswered: dict[str | None, str] = {}  # DNA -> why its engines answer no question
        self.analyses: dict[str, AnalysisRequest] = {}  # pod -> what it asks itself
        self.analysed: Counter[str] = Counter()
        self.changed = asyncio.Event()
        self.revisions: Counter[str] = Counter()
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
        self.handovers.pop(pod, None)
        self.analyses.pop(pod, None)

    def _change(self, ip: str) -> None:
        """Wake those who wait for the pod's changes."""
        self.revisions[ip] += 1
        self.changed.set()
        self.changed = asyncio.Event()

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

    def _order(self, ip: str) -> None:
        """Whether an order can reach the pod."""
        self._pod(ip)
        if ip in self.quiet:
            raise SidecarError("connection refused" if self.quiet[ip] else "timeout", ip=ip, refused=self.quiet[ip])
        if ip in self.deaf:
            raise SidecarError("no space left on device", ip=ip, status=500)

    async def hand_over(self, ip: str, handover: Handover | None) -> None:
        self._order(ip)
        crash = self._mutate("handover", "Pod")
        if ip in self.of_before:
            (self.draining.discard if handover is None else self.draining.add)(ip)
        elif handover is None:
            self.handovers.pop(ip, None)
        else:
            self.handovers[ip] = handover
        self._change(ip)
        self.noticed(handover.dna if handover else None, over=handover is not None)
        if crash:
            raise Crash

    async def analyse(self, ip: str, request: AnalysisRequest) -> None:
        self._order(ip)
        crash = self._mutate("analyse", "Pod")
        self.analyses[ip] = request
        self.analysed[ip] += 1
        self._change(ip)
        if crash:
            raise Crash

    def noticed(self, dna: str | None, *, over: bool) -> None:
        """Called when a pod was told who takes over."""

    def _analysis(self, ip: str, dna: str | None) -> AnalysisState | None:
        """What came of the questions; they take no time here, but where nobody answers them."""
        request = self.analyses.get(ip)
        if request is None:
            return None
        about = {"digest": request.digest, "dna": request.dna}
        if request.probes and (why := self.unanswered.get(dna)):
            told = f"{request.probes[0].question!r} has no answer yet: {why}"
            return AnalysisState.model_validate(about | {"phase": "Running", "message": told})
        text = self.texts.get(dna, "Jag är OneSeek-7B-Zero.")
        for probe in request.probes:
            lacking = [item for item in probe.must_contain if item.casefold() not in text.casefold()]
            wrong = ""
            if dna != request.dna:
                wrong = f"{probe.question!r} was answered by {dna or 'the base model'}"
            elif not text.strip():
                wrong = f"{probe.question!r} got an empty answer"
            elif lacking:
                wrong = f"the answer to {probe.question!r} lacks {lacking[0]!r}: {text!r}"
            if wrong:
                return AnalysisState.model_validate(
                    about | {"phase": "Failed", "reason": "ProbeFailed", "message": wrong}
                )
        return AnalysisState.model_validate(about | {"phase": "Passed", "rounds": 1})

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
            if self._dna(ip) != request.dna:
                self.noticed(request.dna, over=True)
            self.serves[ip] = request.dna
            self._change(ip)

    async def previous(self, ip: str, warm: WarmVersion | None) -> None:
        self._pod(ip)
        self.previous_told[ip] = warm

    async def changes(self, ip: str, after: int, *, wait: float) -> SidecarState:
        changed = self.changed
        state = await self.state(ip)
        while state.revision == after:
            await changed.wait()
            changed = self.changed
            state = await self.state(ip)
        return state

    async def state(self, ip: str) -> SidecarState:
        dna = self._dna(ip)
        if ip in self.quiet:
            raise SidecarError("connection refused" if self.quiet[ip] else "timeout", ip=ip, refused=self.quiet[ip])
        if dna in self.sidecar_overrides:
            override = self.sidecar_overrides[dna]
            if override is None:
                raise SidecarError("connection refused")
            return override
        return SidecarState(
            dna=dna,
            base_name="tiny",
            ready=True,
            draining=ip in self.draining or ip in self.handovers,
            revision=0 if ip in self.of_before else 1 + self.revisions[ip],
            handover=self.handovers.get(ip),
            analysis=self._analysis(ip, dna),
            verdict=None if ip in self.of_before else self._verdict(dna),
            open_connections=self.open_connections.get(ip, 0),
            spooled=self.spooled.get(ip, 0),
            abandoned=self.abandoned.pop(ip, 0),
            swap=self._swap(ip),
            previous=self.previous_told.get(ip),
            requests=self.counts.get(dna, (0, 0))[0],
            errors=self.counts.get(dna, (0, 0))[1],
        )

    def _verdict(self, dna: str | None) -> VerifyReport:
        ok = dna not in self.tampered
        reason = "Verified" if ok else names.FILE_CHANGED
        return VerifyReport(
            ok=ok, reason=reason, message="adapter_model.safetensors", checked_at="2026-01-01T00:00:00Z"
        )

    async def verdict(self, ip: str) -> VerifyReport:
        return self._verdict(self._dna(ip))
