"""The interfaces that reconciling needs. Two implementations: the cluster, and a simulator in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.ledger_entries import Transition
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.handover import Handover
from oneseek_core.serving.sidecar import SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapRequest
from oneseek_operator.certificates import Issued
from oneseek_operator.model.ledger_witness import Proof
from oneseek_operator.observe.pods import PodView

__all__ = [
    "Appended",
    "AuthorityPort",
    "AuthorityView",
    "ClusterPort",
    "RecordsPort",
    "RecordsPorts",
    "SidecarPort",
    "SidecarPorts",
]

Object = dict[str, Any]


class ClusterPort(Protocol):
    """Objects in and out; `clients.kubernetes.Cluster` says what each method promises."""

    async def get(self, kind: str, namespace: str, name: str) -> Object | None: ...
    async def list(
        self, kind: str, namespace: str, labels: Mapping[str, str] | None = None, *, fields: str = ""
    ) -> list[Object]: ...
    async def create(self, manifest: Object, *, dry_run: bool = False) -> bool: ...
    async def apply(self, manifest: Object) -> None: ...
    async def replace(self, manifest: Object) -> None: ...
    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, grace: int | None = None) -> None: ...
    async def replace_status(self, kind: str, current: Object, status: Object) -> None: ...
    async def annotate(self, current: Object, changes: Mapping[str, str | None]) -> None: ...
    async def scale(self, namespace: str, deployment: str, replicas: int, *, uid: str) -> None: ...
    async def log_tail(self, namespace: str, pod: str, *, container: str, lines: int) -> str: ...
    async def event(self, about: Object, *, warning: bool, reason: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Appended:
    """The outcome of an append: keys of the entries that are durable, and a sentence for each that the ledger refuses."""

    head: LedgerHead
    acknowledged: tuple[str, ...]
    refused: tuple[str, ...] = ()


class RecordsPort(Protocol):
    """A model's records service: `clients.records.ModelRecords`."""

    async def append(self, entries: Sequence[Transition]) -> Appended: ...
    async def head(self) -> LedgerHead: ...
    async def proof(self, witness: LedgerHead, found: LedgerHead) -> Proof: ...


class RecordsPorts(Protocol):
    """Every model's."""

    def of(self, model: OneSeekModel, pod: PodView | None, /) -> RecordsPort: ...
    def witness(self, model: OneSeekModel) -> LedgerHead | None: ...


@dataclass(frozen=True, slots=True)
class AuthorityView:
    """The certificates that a model's pods trust, PEM, and their fingerprints."""

    bundle: str
    fingerprints: tuple[str, ...]


class AuthorityPort(Protocol):
    """Signs certificates of model parts: `clients.certificate_authority.Authority`."""

    async def view(self, now: datetime) -> AuthorityView: ...
    def issue(self, host: str, now: datetime) -> tuple[str, Issued]: ...


class SidecarPort(Protocol):
    """The sidecars of a model's own pods: `clients.sidecar.ModelSidecars`."""

    async def state(self, ip: str) -> SidecarState: ...
    async def changes(self, ip: str, after: int, *, wait: float) -> SidecarState: ...
    async def verdict(self, ip: str) -> VerifyReport: ...
    async def hand_over(self, ip: str, handover: Handover | None) -> None: ...
    async def analyse(self, ip: str, request: AnalysisRequest) -> None: ...
    async def served(self, host: str) -> str: ...
    async def swap(self, ip: str, request: SwapRequest) -> None: ...
    async def previous(self, ip: str, warm: WarmVersion | None) -> None: ...


class SidecarPorts(Protocol):
    """Every model's."""

    def of(self, model: OneSeekModel, pods: Sequence[PodView], /) -> SidecarPort: ...
