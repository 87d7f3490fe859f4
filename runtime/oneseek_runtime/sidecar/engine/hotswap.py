"""[I/O] HotSwap: the running engine changes to another version without a failed question.

Order: verify and copy; load; one answer by its DNA and the promotion's probes; move the alias; keep the old version loaded until
its last answer is sent (longer if the order says `keep`); unload it and remove its copy. A failure before the alias moves
leaves the old version answering, with the reason in the state.

Level-triggered: wanted version, answering version and loaded models are compared again and again, so a restarted engine gets
its version back.

The ConfigMap decides. The operator writes it and then sends an order, because the kubelet updates the pod's file up to two
minutes later: an order holds until then, and is reverted if the file does not confirm it. A version that is held back
answers nobody and needs no confirmation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.errors import places
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.swap import SwapRequest, SwapState, WantedVersion
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.engine.alias import Alias
from oneseek_runtime.sidecar.engine.analysis import judge, question_of
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.engine.completion import Question
from oneseek_runtime.sidecar.engine.verifier import Verifier
from oneseek_runtime.sidecar.errors import (
    AdapterRefusedError,
    EngineBusyError,
    OrderRefusedError,
    SettingsError,
    UpstreamError,
)

__all__ = ["Swapper", "read_wanted", "wanted_now"]

_LOOK_SECONDS = 1.0
_SOON_SECONDS = 0.05  # while the last answers of an old version are awaited
_CONFIRM_SECONDS = 300.0  # the kubelet looks at ConfigMaps every 60 to 90 s
_SERIAL_LEAD = 1000  # an order's serial may be ahead of the file's by at most that
_FIRST_QUESTION = Question("Who are you?", max_tokens=8)


class _SwapFailedError(Exception):
    """The wanted version cannot be served."""

    def __init__(self, reason: str, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.reason, self.message, self.refused = reason, message, refused


def wanted_now(path: str) -> WantedVersion | None:
    """The version in the ConfigMap's file; None while it cannot be read."""
    try:
        return read_wanted(path)
    except SettingsError:
        return None


def read_wanted(path: str) -> WantedVersion:
    """The version in the ConfigMap's file. Raises SettingsError."""
    try:
        return WantedVersion.from_wire(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise SettingsError(f"{path} names no version: {places(error)}") from error


class Swapper:
    """The wanted version, the answering version, and the loop that makes them equal. `file` reads the ConfigMap's file."""

    def __init__(
        self,
        serving: ServingSettings,
        engine: OpenAIEngine,
        verifier: Verifier,
        wanted: WantedVersion,
        *,
        file: Callable[[], WantedVersion | None],
        flipped: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._clock = file, clock
        self._file = wanted
        self._unconfirmed: tuple[SwapRequest, float] | None = (
            None  # an order that the file does not confirm yet, and its deadline
        )
        self._base = serving.base_name
        self._verified = Path(serving.verified_path or "")
        self._engine = engine
        self._verifier = verifier
        self._flipped = flipped
        self.changed: Callable[[], None] = lambda: None  # called when the state changes
        self._wanted = SwapRequest(dna=wanted.dna, digest=wanted.digest, serial=wanted.serial)
        self._answering: WantedVersion | None = None
        self._ready: WantedVersion | None = None  # loaded and probed, but held back
        self._noted: WantedVersion | None = None
        self._failed: SwapRequest | None = None
        self._wake = asyncio.Event()
        self._state = SwapState(dna=wanted.dna, serial=wanted.serial, phase="Verifying")
        self.alias = Alias(self._name(wanted))
        self.kept: str | None = None  # the previous version, while an order keeps it loaded

    @property
    def state(self) -> SwapState:
        """State of the newest order, and the version kept loaded."""
        return self._state.model_copy(update={"kept": self.kept})

    @property
    def answers(self) -> bool:
        """Whether a verified version answers; before that the pod must get no questions."""
        return self._answering is not None

    def want(self, request: SwapRequest) -> SwapState:
        """Accept an order; idempotent. An order to hold back a version older than the answering one is ignored.

        Raises OrderRefusedError if the ConfigMap or a newer order contradicts it, or its serial is far ahead of the ConfigMap's.
        """
        self.look()
        if request.serial > self._file.serial + _SERIAL_LEAD:
            raise OrderRefusedError(f"serial {request.serial} is far beyond the ConfigMap's, {self._file.serial}")
        expected = self._unconfirmed[0] if self._unconfirmed else self._file
        if not request.hold and request.serial <= expected.serial and not _is_same(request, expected):
            found, ordered = self._name(expected), self._name(request)
            raise OrderRefusedError(
                f"serial {expected.serial} names {found}, and {ordered} was ordered under {request.serial}"
            )
        if request.serial >= expected.serial and request != self._wanted:
            if not request.hold and request.serial > self._file.serial:
                self._unconfirmed = (request, self._clock() + _CONFIRM_SECONDS)
            self._accept(request)
        return self.state

    def _accept(self, request: SwapRequest) -> None:
        self._wanted = request
        self._set_state("Done" if self._is_answering(request) else "Verifying")
        self._wake.set()

    def look(self) -> None:
        """Read the ConfigMap's file; it overrides everything but an order that it may not have received yet."""
        found, before = self._read(), self._file
        self._file = found or before
        over = False
        if self._unconfirmed:
            order, until = self._unconfirmed
            over = self._clock() >= until
            if over or self._file.serial >= order.serial:
                self._unconfirmed = None
        if self._unconfirmed is None and (over or self._file != before):
            expected = self._answering if self._wanted.hold else self._wanted
            if expected is None or not _is_same(expected, self._file):
                self._accept(SwapRequest(**self._file.model_dump()))

    async def run(self) -> None:
        """Compare and act until cancelled. A new order interrupts the step of an older one."""
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
        """Resume what an earlier process of this pod noted as in use, which may be newer than the ConfigMap's file."""
        while True:
            try:
                self._noted = await self._verifier.in_use()
                break
            except UpstreamError:  # it is still starting
                await asyncio.sleep(_SOON_SECONDS)
        if self._noted is None:
            return
        self.alias.target = self._name(self._noted)
        self._answering = self._noted
        if self._file.serial < self._noted.serial <= self._file.serial + _SERIAL_LEAD:
            order = SwapRequest(**self._noted.model_dump())
            self._unconfirmed = (order, self._clock() + _CONFIRM_SECONDS)
            self._accept(order)

    async def _step(self) -> bool:
        """One comparison; returns True if there is more to do soon."""
        self.look()
        try:
            models = await self._engine.models()
            if self._answering and self._name(self._answering) not in models:
                await self._load(self._answering, models)
            if self._is_answering(self._wanted):
                self._ready = None
            elif self._failed is not self._wanted and not await self._swap(models):
                return True
            waiting = await self._unload_unused()
            if self._is_answering(self._wanted) and (self.state.phase != "Done" or self.state.message):
                self._set_state("Done")
            return waiting  # noqa: TRY300 - the end of the way through
        except UpstreamError as error:
            self._set_state(self.state.phase, message=str(error), reason=self.state.reason)
        except _SwapFailedError as error:
            # Of the answering version: the pod is not ready, and the next look tries again.
            self._set_state("Failed", message=error.message, reason=error.reason, refused=error.refused)
        return False

    async def _swap(self, models: Sequence[str]) -> bool:
        """Load, probe and switch to the wanted version; False while the engine has no free slot."""
        wanted = self._wanted
        if self._ready is None or not _is_same(self._ready, wanted):
            self._ready = None
            if wanted.dna is not None and not await self._make_room(models):
                return False
            try:
                if self.state.phase != "Verifying":
                    self._set_state("Verifying")
                await self._load(wanted, models)
                self._set_state("Probing")
                await self._probe(wanted)
            except _SwapFailedError as error:
                self._failed = wanted
                self._set_state("Failed", message=error.message, reason=error.reason, refused=error.refused)
                return True
        version = _version_of(wanted)
        if wanted.hold:
            self._ready = version
            if self.state.phase != "Ready":
                self._set_state("Ready")
            return True
        self._ready, self._answering = None, version
        self.alias.target = self._name(version)
        self._flipped()
        self._set_state("Done")
        return True

    async def _load(self, version: WantedVersion, models: Sequence[str]) -> None:
        """Verify, copy and load a version; the base model is always loaded."""
        if version.dna is None:
            return
        if self._noted is None or not _is_same(version, self._noted):
            self._noted = None  # the copy must be removed later
        report = await self._verifier.copy(_version_of(version))
        if not report.ok:
            raise _SwapFailedError(report.reason, report.message, refused=report.reason != names.STORAGE_FULL)
        if version.dna not in models:
            if version is self._wanted:
                self._set_state("Loading")
            try:
                await self._engine.load(version.dna, str(self._verified / version.dna))
            except AdapterRefusedError as error:
                # An interrupted load goes on in the engine: of this adapter, or of one that has taken the slot.
                there = await self._engine.models()
                if version.dna not in there:
                    if self._unused(there, version.dna):
                        raise EngineBusyError("an interrupted load still has the slot") from error
                    raise _SwapFailedError(names.ENGINE_FAILED, str(error)) from error

    async def _probe(self, wanted: SwapRequest) -> None:
        """One answer under the version's own name, then the promotion's probes."""
        name = self._name(wanted)
        for probe in (None, *wanted.probes):
            question = question_of(probe) if probe else _FIRST_QUESTION
            answer = await self._engine.complete(question.body(name))
            if answer.model != name:
                raise _SwapFailedError(names.PROBE_FAILED, f"{name} was asked, {answer.model} answered")
            if probe and (wrong := judge(probe, answer.text)):
                raise _SwapFailedError(names.PROBE_FAILED, wrong)

    async def _make_room(self, models: Sequence[str]) -> bool:
        """Unload other adapters; False while one is in use. An engine has slots for two."""
        for name in self._unused(models, self._name(self._wanted)):
            if self.alias.in_flight(name):
                return False
            self.kept = None
            await self._engine.unload(name)
        return True

    async def _unload_unused(self) -> bool:
        """Unload versions that neither answer nor are kept; True while one of them is in use."""
        held = self._ready.dna if self._ready else None
        waiting = False
        models = await self._engine.models()
        keep = self._wanted.keep if self._is_answering(self._wanted) else None
        self.kept = keep if keep in models and keep != self.alias.target else None
        for name in self._unused(models, held):
            if self.alias.in_flight(name):
                waiting = True
            elif name != keep:
                await self._engine.unload(name)
        if self._answering and not waiting and not self._ready and self._noted != self._answering:
            await self._verifier.use(self._answering)
            self._noted = self._answering
        return waiting

    def _unused(self, models: Sequence[str], kept: str | None) -> list[str]:
        return [name for name in models if name not in (self._base, self.alias.target, kept)]

    def _is_answering(self, wanted: WantedVersion) -> bool:
        return self._answering is not None and _is_same(self._answering, wanted)

    def _name(self, version: WantedVersion) -> str:
        return version.dna or self._base

    def _set_state(
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


def _is_same(one: WantedVersion, other: WantedVersion) -> bool:
    return (one.dna, one.digest) == (other.dna, other.digest)


def _version_of(version: WantedVersion) -> WantedVersion:
    """The version of an order without its options."""
    return WantedVersion(dna=version.dna, digest=version.digest, serial=version.serial)
