"""Carrying a decision out: actions, the one status write, and the Events that go with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from oneseek_core import names
from oneseek_core.api.base import ApiModel, Condition
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRunStatus
from oneseek_operator.actions import (
    Action,
    Analyse,
    Apply,
    Create,
    Decision,
    Delete,
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
from oneseek_operator.conditions import find, timestamp
from oneseek_operator.errors import ClusterError, SidecarError
from oneseek_operator.observe.ownership import refuse_foreign, unknown_secret
from oneseek_operator.observe.refusals import Refusal, again_after, refusal_of, standing, with_refusal
from oneseek_operator.reconcile.concurrency import gather
from oneseek_operator.reconcile.ports import AuthorityPort, ClusterPort, SidecarPort
from oneseek_operator.reconcile.signing_keys import Keys
from oneseek_operator.resources import keys as build_keys
from oneseek_operator.resources import pod_access as build_access
from oneseek_operator.resources import records as build_records

__all__ = ["carry_out"]

_STATUS: dict[str, type[OneSeekModelStatus | TrainingRunStatus]] = {
    "OneSeekModel": OneSeekModelStatus,
    "TrainingRun": TrainingRunStatus,
}

log = logging.getLogger(__name__)

Port = TypeVar("Port")

_TELLING = (HandOver, Analyse, Swap, Previous)


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
    """Carry out the first decision that the API server takes; seconds until the object is looked at again.

    Actions, then the status if it changed, then what had to wait for the status. Where an action of `before` is
    refused, nothing of its decision has come about, and the next one has its turn; the status says so. Where one of
    `after` is refused, the others are carried out all the same. `reached` is told the address of each pod that took
    the order to hand over. `given_up` may say, once all decisions are refused, what is to be done in their place. A run
    has neither sidecars nor certificates.

    Raises:
        ConflictError: the object changed since it was read; nothing in `after` was done.
        SidecarError: a pod could not be told what it must know before the status says so; no status was written.
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

    # What was refused after the status last time is told until it has been tried again, so that it is not written twice.
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
    """What carries a decision out, for one object as it was read."""

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
        """Write the status if it changed, with an Event for each condition whose reason is new."""
        old, new = self.current.get("status", {}), status.to_wire()
        if old == new:
            return
        meta, kind = self.current["metadata"], self.current["kind"]
        await self._cluster.replace_status(kind, self.current, new)
        news = _news(old.get("conditions", []), status)
        for _, reason, message in news:
            log.info("%s %s/%s: %s: %s", kind, meta["namespace"], meta["name"], reason, message)
        await self.announce(news)

    async def write_again(self, status: ApiModel) -> None:
        """Write the status a second time, once it is known that something after it was refused, or no longer is."""
        meta = self.current["metadata"]
        self.current = await self._cluster.get(self.current["kind"], meta["namespace"], meta["name"]) or self.current
        await self.write(status)

    async def announce(self, events: Iterable[tuple[bool, str, str]]) -> None:
        """Make Events. Nothing waits for one that the API server refuses: the conditions say the same."""
        for warning, reason, message in events:
            try:
                await self._cluster.event(self.current, warning=warning, reason=reason, message=message)
            except ClusterError as error:
                log.warning("an Event was not taken: %s", error)

    async def perform(self, actions: Iterable[Action], *, all_of_them: bool = False) -> Refusal | None:
        """Do what is asked for, up to the first action that the API server refuses; or all, with the first refusal told."""
        refusal = None
        for telling, group in groupby(actions, key=lambda action: isinstance(action, _TELLING)):
            if telling:
                orders = [item for item in group if isinstance(item, _TELLING)]
                await gather([self._tell(order, strict=not all_of_them) for order in orders])
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

    async def _tell(self, order: HandOver | Analyse | Swap | Previous, *, strict: bool) -> None:
        """Tell a pod's sidecar. Where that is not strict it is told again at the next look."""
        sidecars = _there(self._sidecars)
        try:
            match order:
                case HandOver(ip, handover):
                    await sidecars.hand_over(ip, handover)
                    self._reached(ip)
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
                await _make_keys(model, cluster, pending=pending)
            case MakeRecordsSecret(model, known):
                await _make_records_secret(model, cluster, known=known)
            case MarkRecords(model):
                await _mark_records(model, cluster)
            case MakeAccess():
                await _make_access(action, cluster, _there(self._authority), self._now)
            case Scale(name, replicas, uid):
                await cluster.scale(namespace, name, replicas, uid=uid)
            case RemoveAnnotations(keys):
                await cluster.annotate(self.current, dict.fromkeys(keys))


def _what(action: Action) -> str:
    """What an action is about, for a sentence."""
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


async def _make_access(action: MakeAccess, cluster: ClusterPort, authority: AuthorityPort, now: datetime) -> None:
    """Secrets first, nothing read back; a crash before the ConfigMap has them written once more."""
    model, leaves = action.model, dict(action.written.leaves)
    await cluster.create(action.tokens)
    for part in action.parts:
        signed_by, leaf = authority.issue(build_access.host(model, part), now)
        secret = build_access.leaf_secret(model, part, certificate=leaf.certificate, key=leaf.key)
        if not await cluster.create(secret):
            await cluster.replace(secret)
        leaves[part] = build_access.LeafNote(
            authority=signed_by, since=timestamp(leaf.since), until=timestamp(leaf.until)
        )
    written = action.written.model_copy(update={"leaves": leaves})
    await cluster.apply(build_access.config(model, written, bundle=action.bundle))


async def _make_keys(model: OneSeekModel, cluster: ClusterPort, *, pending: bool) -> None:
    """Secret and public half, with nothing read back.

    The public half is there first, marked as pending. If the Secret turns out to exist while it is pending, an earlier
    attempt ended between the two, and the pending public half is the right one. Else the Secret is made now, and the
    public half is written (again) to fit it.
    """
    keys = Keys.generate()
    private = build_keys.secret(model, signing_key=keys.signing_private, ledger_key=keys.ledger_private)
    if not pending:
        # A model that has signed loses its public half now and then, and is told so; one that is new took a name.
        if model.status.base_model is None and not await cluster.create(private, dry_run=True):
            how = f"restore the ConfigMap {build_keys.trusted_name(model)!r} with its public half"
            raise unknown_secret(build_keys.secret_name(model), how)
        await cluster.apply(build_keys.trusted(model, made=keys.signing_public, pending=True))
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


async def _make_records_secret(model: OneSeekModel, cluster: ClusterPort, *, known: bool) -> None:
    """The Secret, unless it is there; where it is not `known` as the model's, it must not be.

    That it is the model's is written down before it is made, once it is certain that none of its name is there: a crash
    between the two must not make it a stranger's.
    """
    secret = build_records.secret(model, checkpoint_key=Keys.generate().ledger_private)
    if not known:
        if not await cluster.create(secret, dry_run=True):
            about = f"{build_keys.trusted_name(model)} {names.ANNOTATION_RECORDS}=made"
            raise unknown_secret(build_records.name(model), f"say so: kubectl annotate configmap {about}")
        await _mark_records(model, cluster)
    await cluster.create(secret)


async def _mark_records(model: OneSeekModel, cluster: ClusterPort) -> None:
    """The mark stands on the ConfigMap of the public keys, which outlives the model as the Secret does."""
    there = await cluster.get("ConfigMap", model.metadata.namespace, build_keys.trusted_name(model))
    if there is not None:
        refuse_foreign(there, build_keys.trusted(model, made=None, pending=False))
        await cluster.annotate(there, {names.ANNOTATION_RECORDS: "made"})


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
    | set(names.REFUSED_REASONS)
)
