"""[I/O] HotSwap: the running engine takes over another version, and no question notices more than a new DNA.

The order is fixed: proved and copied → loaded → one real answer by its DNA, and the promotion's questions → the alias
moves → the old one stays loaded until its last answer is out, or longer where the order says `keep` → unloaded, its copy
removed. Whatever fails before the alias moves leaves the old version answering and says why in the state.

Level-triggered, like the operator: what is wanted, what answers and what the engine holds are compared again and again,
so an engine that was restarted gets its version back, and nothing depends on a step having been seen.

The ConfigMap is the truth about what answers. The operator writes it first, then orders, because the kubelet takes up to a
minute or two to bring the pod's file up: an order is believed on credit, and what the file does not bear out by then is
taken back. What is held back answers nobody, so it needs no such word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.errors import places
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.swap import SwapRequest, SwapState, WantedVersion
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.engine.alias import Alias
from oneseek_runtime.sidecar.engine.analysis import judge, question_of
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.errors import (
    AdapterRefusedError,
    EngineBusyError,
    OrderRefusedError,
    SettingsError,
    UpstreamError,
)

__all__ = ["Copier", "Swapper", "SwappingEngine", "read_wanted", "wanted_now"]

_LOOK_SECONDS = 1.0
_SOON_SECONDS = 0.05  # while the last answers of an old version are awaited
_CREDIT_SECONDS = 300.0  # the kubelet looks at ConfigMaps every 60 to 90 s
_AHEAD = 1000  # by so much a serial may be ahead of the file's: nobody changes versions faster than that
_FIRST_QUESTION = Question("Who are you?", max_tokens=8)


class SwappingEngine(Protocol):
    """An engine whose adapters come and go."""

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """Generate one answer; raises UpstreamError."""

    async def models(self) -> tuple[str, ...]:
        """Names of the loaded models; raises UpstreamError."""

    async def load(self, name: str, path: str) -> None:
        """Load an adapter; raises UpstreamError, AdapterRefusedError where it never will."""

    async def unload(self, name: str) -> None:
        """Unload an adapter; raises UpstreamError."""


class Copier(Protocol):
    """The verifier, as far as it is needed here; all raise UpstreamError."""

    async def copy(self, wanted: WantedVersion) -> VerifyReport:
        """Prove and copy a version."""

    async def use(self, wanted: WantedVersion) -> None:
        """Note what answers; other copies go."""

    async def in_use(self) -> WantedVersion | None:
        """What was noted."""


class _SwapFailedError(Exception):
    """The wanted version will never answer."""

    def __init__(self, reason: str, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.reason, self.message, self.refused = reason, message, refused


def wanted_now(path: str) -> WantedVersion | None:
    """What the ConfigMap's file says at the moment; None where it cannot be read, as while the volume is renewed."""
    try:
        return read_wanted(path)
    except SettingsError:
        return None


def read_wanted(path: str) -> WantedVersion:
    """The version that the pod's ConfigMap names.

    Raises:
        SettingsError: there is no such file, or it names none.
    """
    try:
        return WantedVersion.from_wire(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise SettingsError(f"{path} names no version: {places(error)}") from error


class Swapper:
    """What is wanted, what answers, and the loop that brings the two together.

    `file`: what the pod's ConfigMap says, None where its file cannot be read at the moment.
    """

    def __init__(
        self,
        serving: ServingSettings,
        engine: SwappingEngine,
        copier: Copier,
        wanted: WantedVersion,
        *,
        file: Callable[[], WantedVersion | None],
        flipped: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._clock = file, clock
        self._file = wanted
        self._credited: tuple[SwapRequest, float] | None = (
            None  # an order that the file does not bear out yet, until when
        )
        self._base = serving.base_name
        self._verified = Path(serving.verified_path or "")
        self._engine = engine
        self._copier = copier
        self._flipped = flipped
        self.changed: Callable[[], None] = lambda: None
        """Told when the state changes."""
        self._wanted = SwapRequest(dna=wanted.dna, digest=wanted.digest, serial=wanted.serial)
        self._answering: WantedVersion | None = None
        self._ready: WantedVersion | None = None  # loaded and probed, held back
        self._noted: WantedVersion | None = None
        self._failed: SwapRequest | None = None
        self._wake = asyncio.Event()
        self._state = SwapState(dna=wanted.dna, serial=wanted.serial, phase="Verifying")
        self.alias = Alias(self._name(wanted))
        self.kept: str | None = None
        """What answered before, while it is loaded still because an order said so."""

    @property
    def state(self) -> SwapState:
        """How far the newest order is, and what is kept beside it."""
        return self._state.model_copy(update={"kept": self.kept})

    @property
    def answers(self) -> bool:
        """Whether some version was proved and answers; before that the pod must get no questions."""
        return self._answering is not None

    def want(self, request: SwapRequest) -> SwapState:
        """Take an order, any number of times. One to hold a version back that is older than what answers is ignored.

        Raises:
            OrderRefusedError: the ConfigMap, or a newer order, says otherwise, or the ConfigMap cannot have come so far.
        """
        self.look()
        if request.serial > self._file.serial + _AHEAD:
            raise OrderRefusedError(f"serial {request.serial} is far beyond the ConfigMap's, {self._file.serial}")
        meant = self._credited[0] if self._credited else self._file
        if not request.hold and request.serial <= meant.serial and not _same(request, meant):
            found, asked = self._name(meant), self._name(request)
            raise OrderRefusedError(
                f"serial {meant.serial} names {found}, and {asked} was ordered under {request.serial}"
            )
        if request.serial >= meant.serial and request != self._wanted:
            if not request.hold and request.serial > self._file.serial:
                self._credited = (request, self._clock() + _CREDIT_SECONDS)
            self._take(request)
        return self.state

    def _take(self, request: SwapRequest) -> None:
        self._wanted = request
        self._say("Done" if self._is_answering(request) else "Verifying")
        self._wake.set()

    def look(self) -> None:
        """Compare with the ConfigMap's file: it is right, but for an order that it may not have come up with yet."""
        found, before = self._read(), self._file
        self._file = found or before
        over = False
        if self._credited:
            order, until = self._credited
            over = self._clock() >= until
            if over or self._file.serial >= order.serial:
                self._credited = None
        if self._credited is None and (over or self._file != before):
            meant = self._answering if self._wanted.hold else self._wanted
            if meant is None or not _same(meant, self._file):
                self._take(SwapRequest(**self._file.model_dump()))

    async def run(self) -> None:
        """Compare and act until cancelled. A new order interrupts whatever an older one is waiting for."""
        await self._begin()
        while True:
            self._wake.clear()
            step, woken = asyncio.create_task(self._step()), asyncio.create_task(self._wake.wait())
            try:
                await asyncio.wait((step, woken), return_when=asyncio.FIRST_COMPLETED)
                soon = step.result() if step.done() else None
            finally:
                for task in (step, woken):
                    task.cancel()
                await asyncio.gather(step, woken, return_exceptions=True)
            if soon is not None:
                await self._pause(soon=soon)

    async def _pause(self, *, soon: bool) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), _SOON_SECONDS if soon else _LOOK_SECONDS)
        except TimeoutError:
            return

    async def _begin(self) -> None:
        """Another process of this pod may have moved on from what the ConfigMap's file says by now."""
        while True:
            try:
                self._noted = await self._copier.in_use()
                break
            except UpstreamError:  # it starts beside us
                await asyncio.sleep(_SOON_SECONDS)
        if self._noted is None:
            return
        self.alias.target = self._name(self._noted)
        self._answering = self._noted
        if self._file.serial < self._noted.serial <= self._file.serial + _AHEAD:
            order = SwapRequest(**self._noted.model_dump())
            self._credited = (order, self._clock() + _CREDIT_SECONDS)
            self._take(order)

    async def _step(self) -> bool:
        """One comparison; True where there is more to do soon."""
        self.look()
        try:
            models = await self._engine.models()
            if self._answering and self._name(self._answering) not in models:
                await self._load(self._answering, models)
            if self._is_answering(self._wanted):
                self._ready = None
            elif self._failed is not self._wanted and not await self._swap(models):
                return True
            waiting = await self._tidy()
            if self._is_answering(self._wanted) and (self.state.phase != "Done" or self.state.message):
                self._say("Done")
            return waiting  # noqa: TRY300 - the end of the way through
        except UpstreamError as error:
            self._say(self.state.phase, message=str(error), reason=self.state.reason)
        except _SwapFailedError as error:  # of what answers; the pod is not ready, and the next look tries again
            self._say("Failed", message=error.message, reason=error.reason, refused=error.refused)
        return False

    async def _swap(self, models: Sequence[str]) -> bool:
        """Bring the wanted version up and let it answer; False where the engine has no slot yet."""
        wanted = self._wanted
        if self._ready is None or not _same(self._ready, wanted):
            self._ready = None
            if wanted.dna is not None and not await self._make_room(models):
                return False
            try:
                if self.state.phase != "Verifying":
                    self._say("Verifying")
                await self._load(wanted, models)
                self._say("Probing")
                await self._probe(wanted)
            except _SwapFailedError as error:
                self._failed = wanted
                self._say("Failed", message=error.message, reason=error.reason, refused=error.refused)
                return True
        version = _plain(wanted)
        if wanted.hold:
            self._ready = version
            if self.state.phase != "Ready":
                self._say("Ready")
            return True
        self._ready, self._answering = None, version
        self.alias.target = self._name(version)
        self._flipped()
        self._say("Done")
        return True

    async def _load(self, version: WantedVersion, models: Sequence[str]) -> None:
        """Have a version proved, copied and loaded; the base model always is."""
        if version.dna is None:
            return
        if self._noted is None or not _same(version, self._noted):
            self._noted = None  # there will be a copy that must go again
        report = await self._copier.copy(_plain(version))
        if not report.ok:
            raise _SwapFailedError(report.reason, report.message, refused=report.reason != names.STORAGE_FULL)
        if version.dna not in models:
            if version is self._wanted:
                self._say("Loading")
            try:
                await self._engine.load(version.dna, str(self._verified / version.dna))
            except AdapterRefusedError as error:
                # A load that a newer order interrupted goes on in the engine: this one, or one that took the slot.
                there = await self._engine.models()
                if version.dna not in there:
                    if self._left_over(there, version.dna):
                        raise EngineBusyError("an interrupted load still has the slot") from error
                    raise _SwapFailedError(names.ENGINE_FAILED, str(error)) from error

    async def _probe(self, wanted: SwapRequest) -> None:
        """One real answer under its own name, then the promotion's questions."""
        name = self._name(wanted)
        for probe in (None, *wanted.probes):
            question = question_of(probe) if probe else _FIRST_QUESTION
            answer = await self._engine.complete(question.body(name))
            if answer.model != name:
                raise _SwapFailedError(names.PROBE_FAILED, f"{name} was asked, {answer.model} answered")
            if probe and (wrong := judge(probe, answer.text)):
                raise _SwapFailedError(names.PROBE_FAILED, wrong)

    async def _make_room(self, models: Sequence[str]) -> bool:
        """One adapter beside the one that answers is all an engine has a slot for."""
        for name in self._left_over(models, self._name(self._wanted)):
            if self.alias.under_way(name):
                return False
            self.kept = None
            await self._engine.unload(name)
        return True

    async def _tidy(self) -> bool:
        """Let go what neither answers nor is held; True while answers of such a version are under way."""
        held = self._ready.dna if self._ready else None
        waiting = False
        models = await self._engine.models()
        keep = self._wanted.keep if self._is_answering(self._wanted) else None
        self.kept = keep if keep in models and keep != self.alias.target else None
        for name in self._left_over(models, held):
            if self.alias.under_way(name):
                waiting = True
            elif name != keep:
                await self._engine.unload(name)
        if self._answering and not waiting and not self._ready and self._noted != self._answering:
            await self._copier.use(self._answering)
            self._noted = self._answering
        return waiting

    def _left_over(self, models: Sequence[str], kept: str | None) -> list[str]:
        return [name for name in models if name not in (self._base, self.alias.target, kept)]

    def _is_answering(self, wanted: WantedVersion) -> bool:
        return self._answering is not None and _same(self._answering, wanted)

    def _name(self, version: WantedVersion) -> str:
        return version.dna or self._base

    def _say(
        self,
        phase: Literal["Verifying", "Loading", "Probing", "Ready", "Done", "Failed"],
        *,
        reason: str | None = None,
        message: str | None = None,
        refused: bool = False,
    ) -> None:
        before = self._state
        self._state = SwapState(
            dna=self._wanted.dna,
            serial=self._wanted.serial,
            phase=phase,
            refused=refused,
            reason=reason,
            message=message[:1000] if message else None,
        )
        if self._state != before:
            say("swap", **self._state.to_wire())
            self.changed()


def _same(one: WantedVersion, other: WantedVersion) -> bool:
    return (one.dna, one.digest) == (other.dna, other.digest)


def _plain(version: WantedVersion) -> WantedVersion:
    """The version of an order, without how it is to be done."""
    return WantedVersion(dna=version.dna, digest=version.digest, serial=version.serial)
