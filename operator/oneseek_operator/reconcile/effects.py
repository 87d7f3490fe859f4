"""Carrying a decision out: actions, the one status write, and the Events that go with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from oneseek_core import names
from oneseek_core.api.base import ApiModel, Condition
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.build import keys as build_keys
from oneseek_operator.build import records as build_records
from oneseek_operator.conditions import find
from oneseek_operator.decide.actions import (
    Action,
    Analyse,
    Apply,
    Create,
    Decision,
    Delete,
    HandOver,
    MakeKeys,
    MakeRecordsSecret,
    Previous,
    RemoveAnnotations,
    Replace,
    Scale,
    Swap,
)
from oneseek_operator.errors import SidecarError
from oneseek_operator.keys import Keys
from oneseek_operator.reconcile.ports import ClusterPort, SidecarPort
from oneseek_operator.reconcile.together import together

__all__ = ["carry_out"]

log = logging.getLogger(__name__)

_TELLING = (HandOver, Analyse, Swap, Previous)


async def carry_out(
    decision: Decision[Any], current: dict[str, Any], *, cluster: ClusterPort, sidecars: SidecarPort
) -> None:
    """Actions, then the status if it changed, then what had to wait for the status.

    Raises:
        ConflictError: the object changed since it was read; nothing in `after` was done.
        SidecarError: a pod could not be told what it must know before the status says so; no status was written.
    """
    namespace = current["metadata"]["namespace"]
    await _perform(decision.before, current, cluster, sidecars, strict=True)
    old, new = current.get("status", {}), decision.status.to_wire()
    if old != new:
        await cluster.replace_status(current["kind"], current, new)
        for warning, reason, message in _news(old.get("conditions", []), decision.status):
            log.info("%s %s/%s: %s: %s", current["kind"], namespace, current["metadata"]["name"], reason, message)
            await cluster.event(current, warning=warning, reason=reason, message=message)
    for warning, reason, message in decision.events:
        await cluster.event(current, warning=warning, reason=reason, message=message)
    await _perform(decision.after, current, cluster, sidecars, strict=False)


async def _perform(
    actions: Sequence[Action], current: dict[str, Any], cluster: ClusterPort, sidecars: SidecarPort, *, strict: bool
) -> None:
    """One action after the other; pods that are told something beside each other, side by side."""
    namespace = current["metadata"]["namespace"]
    for telling, group in groupby(actions, key=lambda action: isinstance(action, _TELLING)):
        if telling:
            await together([_tell(item, sidecars, strict=strict) for item in group if isinstance(item, _TELLING)])
            continue
        for action in group:
            await _do(action, namespace, current, cluster)


async def _do(action: Action, namespace: str, current: dict[str, Any], cluster: ClusterPort) -> None:
    match action:
        case Create(manifest):
            await cluster.create(manifest)
        case Apply(manifest):
            await cluster.apply(manifest)
        case Replace(manifest):
            await cluster.replace(manifest)
        case Delete(kind, name, uid, grace):
            await cluster.delete(kind, namespace, name, uid=uid, grace=grace)
        case MakeKeys(model, pending):
            await _make_keys(model, cluster, pending=pending)
        case MakeRecordsSecret(model, token):
            key = Keys.generate().ledger_private
            await cluster.create(build_records.secret(model, token=token, checkpoint_key=key))
        case Scale(name, replicas):
            await cluster.scale(namespace, name, replicas)
        case RemoveAnnotations(keys):
            await cluster.annotate(current, dict.fromkeys(keys))


async def _tell(action: HandOver | Analyse | Swap | Previous, sidecars: SidecarPort, *, strict: bool) -> None:
    """Tell a pod's sidecar. Where that is not strict it is told again at the next look."""
    try:
        match action:
            case HandOver(ip, handover):
                await sidecars.hand_over(ip, handover)
            case Analyse(ip, asked):
                await sidecars.analyse(ip, asked)
            case Swap(ip, request):
                await sidecars.swap(ip, request)
            case Previous(ip, warm):
                await sidecars.previous(ip, warm)
    except SidecarError as error:
        if strict:
            raise
        log.warning("could not tell a sidecar: %s", error)


async def _make_keys(model: OneSeekModel, cluster: ClusterPort, *, pending: bool) -> None:
    """Secret and public half, with nothing read back.

    The public half is there first, marked as pending. If the Secret turns out to exist while it is pending, an earlier
    attempt ended between the two, and the pending public half is the right one. Else the Secret is made now, and the
    public half is written (again) to fit it.
    """
    keys = Keys.generate()
    if not pending:
        await cluster.apply(build_keys.trusted(model, made=keys.signing_public, pending=True))
    private = build_keys.secret(model, signing_key=keys.signing_private, ledger_key=keys.ledger_private)
    made = await cluster.create(private)
    if made:
        await cluster.apply(build_keys.trusted(model, made=keys.signing_public, pending=False))
        return
    there = await cluster.get("ConfigMap", model.metadata.namespace, build_keys.trusted_name(model))
    public = (there or {}).get("data", {}).get("model.pub") if pending else None
    if public is None:
        # Never leave a public key that may not fit: a pending half without one is what the next look says this by.
        await cluster.apply(build_keys.trusted(model, made=None, pending=True))
        return
    await cluster.apply(build_keys.trusted(model, made=public, pending=False))


def _news(old: Sequence[dict[str, Any]], status: ApiModel) -> list[tuple[bool, str, str]]:
    """(warning, reason, message) for each condition whose reason is new: Events agree with conditions."""
    conditions: list[Condition] = status.conditions  # type: ignore[attr-defined]
    before = {item["type"]: item for item in old}
    news = []
    stalled = find(conditions, names.STALLED) is not None
    told = set()
    for condition in conditions:
        was = before.get(condition.type, {})
        if was.get("reason") == condition.reason and was.get("status") == condition.status:
            continue
        if condition.type in (names.READY, names.RECONCILING) and condition.reason not in told:
            told.add(condition.reason)
            news.append((stalled or condition.reason in _WARNINGS, condition.reason, condition.message))
    return news


_WARNINGS = frozenset(
    {names.UNSCHEDULABLE, names.CLAIM_NOT_BOUND, names.IMAGE_UNAVAILABLE, names.ENGINE_FAILED, names.OUT_OF_MEMORY}
)
