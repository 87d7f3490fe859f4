"""What reconciling needs of the world. Two implementations: the cluster, and a simulator in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oneseek_core.api.v1alpha1.model import LedgerHead, OneSeekModel
from oneseek_core.job_contract import ProbeAnswer, SidecarState, VerifyReport
from oneseek_core.ledger_entries import Transition

__all__ = ["Appended", "ClusterPort", "RecordsPort", "SidecarPort"]

Object = dict[str, Any]


class ClusterPort(Protocol):
    """Objects in and out; see `cluster.client.Cluster` for what each promises."""

    async def get(self, kind: str, namespace: str, name: str) -> Object | None: ...
    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]: ...
    async def create(self, manifest: Object) -> bool: ...
    async def apply(self, manifest: Object) -> None: ...
    async def replace(self, manifest: Object) -> None: ...
    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> None: ...
    async def replace_status(self, kind: str, current: Object, status: Object) -> None: ...
    async def log_tail(self, namespace: str, pod: str, *, container: str, lines: int) -> str: ...
    async def event(self, about: Object, *, warning: bool, reason: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of transitions: the keys of those that are durable, a sentence for each that the ledger refuses."""

    head: LedgerHead
    acknowledged: tuple[str, ...]
    refused: tuple[str, ...] = ()


class RecordsPort(Protocol):
    """A model's records service; see `records.Records`."""

    def token(self, model: OneSeekModel) -> str: ...
    async def append(self, model: OneSeekModel, entries: Sequence[Transition]) -> Appended: ...
    async def head(self, model: OneSeekModel) -> LedgerHead: ...


class SidecarPort(Protocol):
    """A pod's sidecar; see `sidecars.Sidecars`."""

    async def state(self, ip: str) -> SidecarState: ...
    async def probe(self, ip: str, question: str) -> ProbeAnswer: ...
    async def verdict(self, ip: str) -> VerifyReport: ...
    async def drain(self, ip: str) -> None: ...
