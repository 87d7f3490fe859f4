"""The typed dependencies of endpoints, made once at start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from starlette.requests import Request

from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder, certified_folders
from oneseek_runtime.sidecar.cluster.client import Kube, NoKube
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.cluster.token_review import TokenReviewer
from oneseek_runtime.sidecar.dashboard_files import Pages, installed_pages
from oneseek_runtime.sidecar.engine.analysis import Analysis
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.engine.external import ExternalModels
from oneseek_runtime.sidecar.engine.hotswap import Swapper
from oneseek_runtime.sidecar.engine.previous import PreviousVersion
from oneseek_runtime.sidecar.engine.verifier import VerdictPoller
from oneseek_runtime.sidecar.errors import EngineAnswerError, UpstreamError
from oneseek_runtime.sidecar.handover.orders import Orders
from oneseek_runtime.sidecar.http.access_log import AccessLog
from oneseek_runtime.sidecar.http.request_body import BodyReader
from oneseek_runtime.sidecar.lifecycle import Lifecycle
from oneseek_runtime.sidecar.records.recorder import Recorder
from oneseek_runtime.sidecar.settings import SidecarSettings
from oneseek_runtime.sidecar.state_changes import Changes
from oneseek_runtime.sidecar.training.run_events import MicroRunEvents

__all__ = ["ClusterAccess", "Deps", "Loaded", "deps_of"]


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Made once at start; without an API server every call raises KubeUnavailableError."""

    kube: Kube
    informer: Informer
    reviewer: TokenReviewer

    @classmethod
    def through(cls, kube: Kube, model: str, clock: Callable[[], float] = time.monotonic) -> Self:
        """Access through one client."""
        return cls(kube, Informer(kube, model), TokenReviewer(kube, clock))

    @classmethod
    def none(cls) -> Self:
        """For a sidecar outside a cluster."""
        return cls.through(NoKube(), "")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The engine's models now. `version`: the DNA, else the base model's name."""

    version: str | None
    dna: str | None
    ready: bool
    message: str


@dataclass(frozen=True, slots=True)
class Deps:
    """Settings, clients, state and clocks (wall clock in UTC, monotonic in seconds)."""

    settings: SidecarSettings
    engine: OpenAIEngine
    lifecycle: Lifecycle
    cluster: ClusterAccess = field(default_factory=ClusterAccess.none)
    recorder: Recorder | None = None  # None: nothing is recorded
    open_connections: Callable[[], int] = lambda: 0
    swapper: Swapper | None = None
    orders: Orders = field(default_factory=Orders)  # handover
    changes: Changes = field(default_factory=Changes)
    analysis: Analysis = field(default_factory=Analysis)
    verdicts: VerdictPoller | None = None
    external: ExternalModels | None = None
    previous: PreviousVersion = field(default_factory=PreviousVersion)
    way: Way = field(default_factory=Way)  # TLS and token for the model's other pods
    wake: Callable[[], None] = lambda: None  # ends the pause of the window notifier
    run_events: MicroRunEvents | None = None  # for WebSockets
    monotonic: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    bodies: BodyReader = field(default_factory=BodyReader)
    access_log: AccessLog | None = None
    pages: Pages = field(default_factory=installed_pages)

    @property
    def target(self) -> str:
        """The model that answers questions: the version to be served, else the base model."""
        if self.swapper is not None:
            return self.swapper.alias.target
        return self.settings.serving.dna or self.settings.serving.base_name

    def lease(self) -> AbstractContextManager[str]:
        """The target for one question; it is not unloaded until the block ends."""
        return self.swapper.alias.lease() if self.swapper is not None else nullcontext(self.target)

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC)

    async def folders(self) -> list[CertifiedFolder]:
        """Every certified folder, newest version first. Raises OSError."""
        serving = self.settings.serving
        return await asyncio.to_thread(certified_folders, Path(serving.certified_path), serving.family)

    def dna_of(self, model: str) -> str | None:
        """The DNA of an engine's model name; None for the base model."""
        return None if model == self.settings.serving.base_name else model

    async def ask(self, question: Question) -> Completion:
        """One generation by the target. Raises UpstreamError, also if another model answered."""
        with self.lease() as target:
            completion = await self.engine.complete(question.body(target))
        if completion.model not in (target, self.settings.serving.base_name):
            raise EngineAnswerError(f"the engine answered as {completion.model!r}; {target} was asked")
        return completion

    async def loaded(self) -> Loaded:
        """Reads the engine's models; an unreachable engine is a result, not an error."""
        base = self.settings.serving.base_name
        try:
            models = await self.engine.last_models()
        except UpstreamError as error:
            return Loaded(None, None, ready=False, message=str(error))
        others = [model for model in models if model != base]
        target = self.target
        dna = target if target in others else next(iter(others), None)
        if self.swapper is not None and target == base:
            dna = None  # other loaded models do not answer clients
        version = dna or (base if base in models else None)
        if self.swapper is not None and not self.swapper.answers:
            why = self.swapper.state.message or "it is being verified and loaded"
            return Loaded(version, dna, ready=False, message=f"{target} does not answer yet: {why}")
        if version == target:
            return Loaded(version, dna, ready=True, message=f"{version} answers")
        return Loaded(version, dna, ready=False, message=f"the engine serves {version}, not {target}")


def deps_of(request: Request) -> Deps:
    """The `Deps` of the app that a request came to."""
    deps = request.app.state.deps
    if not isinstance(deps, Deps):
        raise TypeError("the app was not made by create_app")
    return deps
