"""Carries out a decision: actions, the one status write, and the Events that go with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from oneseek_core import names
from oneseek_core.api.base import ApiModel, Condition
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRunStatus
from oneseek_operator.actions import (
    Action,
    Analyse,
    Apply,
    Create,
    Decision,
    Delete,
    Event,
    HandOver,
    MakeAccess,
    MakeKeys,
    MakeRecordsSecret,
    MarkRecords,
    Previous,
    RemoveAnnotations,
    Replace,
    Reserve,
    Scale,
    Swap,
)
from oneseek_operator.conditions import find
from oneseek_operator.errors import ClusterError, ListTooLargeError, SidecarError
from oneseek_operator.observe.ownership import refuse_foreign
from oneseek_operator.observe.refusals import Refusal, again_after, refusal_of, standing, with_refusal
from oneseek_operator.reconcile import secrets
from oneseek_operator.reconcile.concurrency import gather
from oneseek_operator.reconcile.ports import AuthorityPort, ClusterPort, SidecarPort
from oneseek_operator.resources import records as build_records

__all__ = ["carry_out", "report_too_large"]


_STATUS: dict[str, type[OneSeekModelStatus | TrainingRunStatus]] = {
    "OneSeekModel": OneSeekModelStatus,
    "TrainingRun": TrainingRunStatus,
}


log = logging.getLogger(__name__)


Port = TypeVar("Port")


_ORDERS = (HandOver, Analyse, Swap, Previous)


async def carry_out(
    decisions: Iterable[Decision[Any]],
    current: dict[str, Any],
    now: datetime,
    *,
    cluster: ClusterPort,
    sidecars: SidecarPort | None = None,
    authority: AuthorityPort | None = None,
    reached: Callable[[str], None] = lambda _: None,
    given_up: Callable[[Refusal], Decision[Any] | None] = lambda _: None,
) -> float | None:
    """Carry out the first decision that the API server accepts; seconds until the next reconcile.

    Actions, then the status if it changed, then the actions that needed it. If an action of `before` is refused, nothing of its
    decision has happened, and the next decision is tried; the status reports the refusal. If one of `after` is refused, the
    others are carried out. `reached` gets the address of each pod that took an order to hand over. `given_up` may return what to
    do once all decisions are refused. A run has neither sidecars nor certificates.

    Raises:
        ConflictError: the object changed since it was read; nothing in `after` was done.
        SidecarError: an order that a pod needs before the status did not reach it; no status was written.
    """
    executor = _Executor(current, now, cluster=cluster, sidecars=sidecars, authority=authority, reached=reached)
    old = _STATUS[current["kind"]].model_validate(current.get("status", {}))
    generation, refusal, last = current["metadata"].get("generation", 1), None, None
    for decision in decisions:
        refused = await executor.perform(decision.before)
        if refused is None:
            return await _finish(decision, executor, now, old=old, refusal=refusal)
        refusal, last = refusal or refused, decision
    if refusal is None or last is None:
        raise AssertionError("there is always a decision")
    if end := given_up(refusal):
        return await _finish(end, executor, now, old=old, refusal=None)
    conditions = with_refusal(
        last.status.conditions, refusal, old.conditions, generation=generation, now=now, blocked=True
    )
    await executor.write(old.model_copy(update={"conditions": conditions, "observed_generation": generation}))
    return again_after(conditions, now)


async def report_too_large(
    error: ListTooLargeError, current: dict[str, Any], now: datetime, *, cluster: ClusterPort
) -> float:
    """Have the status say that nothing can be decided, because a list cannot be read; seconds until the next reconcile."""
    refusal = Refusal(names.LIST_TOO_LARGE, str(error))
    old, generation = (
        _STATUS[current["kind"]].model_validate(current.get("status", {})),
        current["metadata"]["generation"],
    )
    conditions = with_refusal(old.conditions, refusal, old.conditions, generation=generation, now=now, blocked=True)
    executor = _Executor(current, now, cluster=cluster, sidecars=None, authority=None, reached=lambda _: None)
    await executor.write(old.model_copy(update={"conditions": conditions, "observed_generation": generation}))
    return again_after(conditions, now)


async def _finish(
    decision: Decision[Any], executor: _Executor, now: datetime, *, old: Any, refusal: Refusal | None
) -> float | None:
    generation = executor.current["metadata"].get("generation", 1)

    def saying(refused: Refusal | None) -> Any:
        if refused is None:
            return decision.status
        conditions = with_refusal(
            decision.status.conditions, refused, old.conditions, generation=generation, now=now, blocked=False
        )
        return decision.status.model_copy(update={"conditions": conditions})

    # A refusal of `after` is reported until the action was tried again, so that the status is not written twice.
    written = saying(refusal or (standing(old.conditions) if decision.after else None))
    await executor.write(written)
    await executor.announce(decision.events)
    refusal = refusal or await executor.perform(decision.after, all_of_them=True)
    final = saying(refusal)
    if final != written:
        await executor.write_again(final)
    if refusal is None or decision.again_after:
        return decision.again_after
    return again_after(final.conditions, now)


class _Executor:
    """Carries out the actions of one object as it was read."""

    def __init__(
        self,
        current: dict[str, Any],
        now: datetime,
        *,
        cluster: ClusterPort,
        sidecars: SidecarPort | None,
        authority: AuthorityPort | None,
        reached: Callable[[str], None],
    ) -> None:
        self.current, self._now, self._cluster = current, now, cluster
        self._sidecars, self._authority, self._reached = sidecars, authority, reached

    async def write(self, status: ApiModel) -> None:
        """Write the status if it changed, with an Event for each condition whose reason changed."""
        old, new = self.current.get("status", {}), status.to_wire()
        if old == new:
            return
        meta, kind = self.current["metadata"], self.current["kind"]
        await self._cluster.replace_status(kind, self.current, new)
        news = _news(old.get("conditions", []), status)
        for event in news:
            log.info("%s %s/%s: %s: %s", kind, meta["namespace"], meta["name"], event.reason, event.message)
        await self.announce(news)

    async def write_again(self, status: ApiModel) -> None:
        """Write the status a second time, because an action of `after` was refused, or no longer is."""
        meta = self.current["metadata"]
        self.current = await self._cluster.get(self.current["kind"], meta["namespace"], meta["name"]) or self.current
        await self.write(status)

    async def announce(self, events: Iterable[Event]) -> None:
        """Create Events. One that the API server refuses is dropped: the conditions say the same."""
        for event in events:
            try:
                await self._cluster.event(
                    self.current, warning=event.warning, reason=event.reason, message=event.message
                )
            except ClusterError as error:
                log.warning("an Event was not taken: %s", error)

    async def perform(self, actions: Iterable[Action], *, all_of_them: bool = False) -> Refusal | None:
        """Carry out actions up to the first that the API server refuses; or all, and return the first refusal."""
        refusal = None
        for are_orders, group in groupby(actions, key=lambda action: isinstance(action, _ORDERS)):
            if are_orders:
                orders = [item for item in group if isinstance(item, _ORDERS)]
                await gather([self._send(order, strict=not all_of_them) for order in orders])
                continue
            for action in group:
                try:
                    await self._do(action)
                except ClusterError as error:
                    refused = refusal_of(_what(action), error)
                    if refused is None:
                        raise
                    refusal = refusal or refused
                    if not all_of_them:
                        return refusal
        return refusal

    async def _send(self, order: HandOver | Analyse | Swap | Previous, *, strict: bool) -> None:
        """Send an order to a pod's sidecar. Unless `strict`, the next reconcile repeats one that fails."""
        sidecars = _there(self._sidecars)
        try:
            match order:
                case HandOver(ip, handover):
                    await sidecars.hand_over(ip, handover)
                    self._reached(ip)
                case Analyse(ip, request):
                    await sidecars.analyse(ip, request)
                case Swap(ip, request):
                    await sidecars.swap(ip, request)
                case Previous(ip, warm):
                    await sidecars.previous(ip, warm)
        except SidecarError as error:
            if strict:
                raise
            log.warning("could not tell a sidecar: %s", error)

    async def _do(self, action: Action) -> None:
        cluster, namespace = self._cluster, self.current["metadata"]["namespace"]
        match action:
            case Create(manifest):
                await cluster.create(manifest)
            case Apply(manifest):
                await cluster.apply(manifest)
            case Replace(manifest):
                await cluster.replace(manifest)
            case Reserve(manifest):
                if there := await cluster.get(manifest["kind"], namespace, manifest["metadata"]["name"]):
                    refuse_foreign(there, manifest)
            case Delete(kind, name, uid, grace):
                await cluster.delete(kind, namespace, name, uid=uid, grace=grace)
            case MakeKeys(model, pending):
                await secrets.make_keys(model, cluster, pending=pending)
            case MakeRecordsSecret(model, known):
                await secrets.make_records_secret(model, cluster, known=known)
            case MarkRecords(model):
                await secrets.mark_records(model, cluster)
            case MakeAccess():
                await secrets.make_access(action, cluster, _there(self._authority), self._now)
            case Scale(name, replicas, uid):
                await cluster.scale(namespace, name, replicas, uid=uid)
            case RemoveAnnotations(keys):
                await cluster.annotate(self.current, dict.fromkeys(keys))


def _what(action: Action) -> str:
    """What an action changes, for a sentence."""
    match action:
        case Create(manifest) | Apply(manifest) | Replace(manifest):
            return f"the {manifest['kind']} {manifest['metadata']['name']!r}"
        case Delete(kind, name):
            return f"to delete the {kind} {name!r}"
        case Scale(name):
            return f"another number of replicas of the Deployment {name!r}"
        case MakeKeys(model):
            return f"the signing keys of {model.metadata.name!r}"
        case MakeAccess(model):
            return f"the Secrets that the parts of {model.metadata.name!r} know each other by"
        case MakeRecordsSecret(model) | MarkRecords(model):
            return f"the Secret {build_records.name(model)!r}"
        case _:
            return "a change of annotations"


def _there(port: Port | None) -> Port:
    if port is None:
        raise AssertionError("a decision about a run tells no pod and writes no certificate")
    return port


def _news(old: Sequence[dict[str, Any]], status: ApiModel) -> list[Event]:
    """An Event for each condition whose reason changed."""
    conditions: list[Condition] = status.conditions  # type: ignore[attr-defined]
    before = {item["type"]: item for item in old}
    news = []
    stalled = find(conditions, names.STALLED) is not None
    reported = set()
    for condition in conditions:
        was = before.get(condition.type, {})
        if was.get("reason") == condition.reason and was.get("status") == condition.status:
            continue
        if condition.type in (names.READY, names.RECONCILING) and condition.reason not in reported:
            reported.add(condition.reason)
            warning = stalled or condition.reason in _WARNINGS
            news.append(Event(condition.reason, condition.message, warning=warning))
    return news


_WARNINGS = frozenset(
    {names.UNSCHEDULABLE, names.CLAIM_NOT_BOUND, names.IMAGE_UNAVAILABLE, names.ENGINE_FAILED, names.OUT_OF_MEMORY}
    | set(names.REFUSED_REASONS)
)
