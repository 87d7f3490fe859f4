"""One reconcile of a OneSeekModel: read what is, decide, do it. Any crash in between is made good by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.jobs.verify import VerifyReport
from oneseek_operator.conditions import find
from oneseek_operator.errors import ConflictError, RecordsError, SidecarError
from oneseek_operator.model.decide import decide
from oneseek_operator.model.ledger_witness import Proof, difference, sentence
from oneseek_operator.observe.model import RecordsView, Snapshot, is_records
from oneseek_operator.observe.objects import (
    AccessView,
    ClaimView,
    DeploymentView,
    IdentityView,
    PolicyView,
    ServiceView,
    TrustedKeysView,
    wanted_by_colour,
)
from oneseek_operator.observe.owned_pods import askable, foreign
from oneseek_operator.observe.ownership import claims_of, is_ours, owner_of
from oneseek_operator.observe.pods import JobView, PodView, lacks_pod
from oneseek_operator.observe.rollout import Endpoint, ServiceAnswer
from oneseek_operator.reconcile import pod_events as pods
from oneseek_operator.reconcile.apply import carry_out
from oneseek_operator.reconcile.concurrency import gather, task_group
from oneseek_operator.reconcile.ports import (
    AuthorityPort,
    AuthorityView,
    ClusterPort,
    RecordsPort,
    RecordsPorts,
    SidecarPort,
    SidecarPorts,
)
from oneseek_operator.resources import common
from oneseek_operator.resources import keys as build_keys
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import pod_access as build_access
from oneseek_operator.resources import records as build_records
from oneseek_operator.resources import service_account as build_identity
from oneseek_operator.settings import Settings

__all__ = ["PodContacts", "finish_deletion", "reconcile", "runs_of", "utc_now"]

_LEAVING_SECONDS = 1.0
_GLANCE_SECONDS = 1.0  # at the ledger's head, where nothing waits for it
_UNKNOWN_SECONDS = (
    8.0  # the longest that a network needs to hear of the operator's own new pod; less than a silent pod is given
)


def utc_now() -> datetime:
    """The time, where nobody gives another one."""
    return datetime.now(UTC)


class PodContacts:
    """Since when a model's pods have been silent, or have taken no order: what no object tells. A process begins anew.

    `own`: uids of pods that were seen to be the model's own while their controllers were there.
    """

    def __init__(self) -> None:
        self._silent: dict[str, datetime] = {}
        self._deaf: dict[str, datetime] = {}
        self._began: datetime | None = None
        self.own: set[str] = set()

    def believes_refusals(self, now: datetime) -> bool:
        """Whether a refused connection means that nobody listens there.

        Not in the first seconds: a network that enforces policies refuses an operator of which it has not heard yet.
        """
        self._began = self._began or now
        return (now - self._began).total_seconds() >= _UNKNOWN_SECONDS

    def seconds(self, pod: PodView, now: datetime, *, silent: bool) -> float:
        """For how long the pod could not be told anything; `silent`: nor can it now."""
        if silent:
            self._silent.setdefault(pod.uid, now)
        else:
            self._silent.pop(pod.uid, None)
        since = [found[pod.uid] for found in (self._silent, self._deaf) if pod.uid in found]
        return (now - min(since)).total_seconds() if since else 0.0

    def order_failed(self, pod: PodView, now: datetime) -> None:
        """The pod answers, and an order did not reach it."""
        self._deaf.setdefault(pod.uid, now)

    def order_delivered(self, pod: PodView) -> None:
        """An order reached it."""
        self._deaf.pop(pod.uid, None)

    def forget_all_but(self, pods: Sequence[PodView]) -> None:
        """The others are gone."""
        there = {pod.uid for pod in pods}
        for found in (self._silent, self._deaf):
            for uid in found.keys() - there:
                del found[uid]


async def reconcile(
    namespace: str,
    name: str,
    *,
    cluster: ClusterPort,
    sidecars: SidecarPorts,
    records: RecordsPorts,
    authority: AuthorityPort,
    settings: Settings,
    clock: Callable[[], datetime] = utc_now,
    contacts: PodContacts | None = None,
    follow: Callable[[Mapping[str, int], SidecarPort], None] = lambda *_: None,
) -> float | None:
    """Bring a model one step nearer to its spec; seconds until it must be looked at again, None: on events only.

    `follow` is told the addresses of the pods that were seen, each with the revision of its state, and the way to them.

    Raises:
        SidecarError: a pod could not be told what it must know before the status is written.
    """
    current = await cluster.get("OneSeekModel", namespace, name)
    if current is None or "deletionTimestamp" in current["metadata"]:
        return None
    contacts = contacts or PodContacts()
    known = await authority.view(clock())
    snapshot, ours = await _observe(current, cluster, settings, records=records, authority=known, contacts=contacts)
    snapshot = await _with_failed_creates(snapshot, cluster)
    port = sidecars.of(snapshot.model, ours)
    snapshot = replace(snapshot, endpoints=await _ask_sidecars(snapshot, ours, port, contacts, clock()))
    states = [(pod.ip, snapshot.endpoints[pod.name].state) for pod in snapshot.pods if pod.name in snapshot.endpoints]
    follow({ip: state.revision for ip, state in states if state}, port)
    now = clock()
    decisions = list(decide(snapshot, settings, now))
    if any(decision.asks_service for decision in decisions):
        snapshot = replace(snapshot, service_answer=await _ask_service(snapshot, port))
        now = clock()
        decisions = list(decide(snapshot, settings, now))
    by_address = {pod.ip: pod for pod in snapshot.pods}
    try:
        wait = await carry_out(
            decisions,
            current,
            now,
            cluster=cluster,
            sidecars=port,
            authority=authority,
            reached=lambda ip: contacts.order_delivered(by_address[ip]),
        )
    except SidecarError as error:
        if pod := by_address.get(error.ip):
            contacts.order_failed(pod, clock())
        raise
    return pods.sooner(wait, snapshot.jobs, snapshot.pods, now)


async def finish_deletion(model: OneSeekModel, *, cluster: ClusterPort, settings: Settings) -> None:
    """What a deleted model leaves: its claim stays, unless it was made for the model and the spec says Delete.

    One of the claim's name that somebody else made stays whatever the spec says.

    Its account may review no tokens any more. Everything else is owned by the model and goes by garbage collection.
    """
    storage = model.spec.storage
    if not storage.claim_name and storage.reclaim_policy == "Delete":
        claim = await cluster.get("PersistentVolumeClaim", model.metadata.namespace, common.claim_name(model))
        if claim is not None and is_ours(claim, build_model.claim(model)):
            meta = claim["metadata"]
            await cluster.delete("PersistentVolumeClaim", meta["namespace"], meta["name"], uid=meta["uid"])
    entry = build_identity.subject(model)
    while reviewers := await _reviewers(cluster, settings):
        changed = build_identity.without_subject(reviewers, entry)
        if changed["subjects"] == (reviewers.get("subjects") or []):
            return
        try:
            await cluster.replace(changed)
        except ConflictError:  # another model's entry changed meanwhile
            continue


async def runs_of(model: str, namespace: str, cluster: ClusterPort) -> list[TrainingRun]:
    """The runs that name a model; one that cannot be parsed (written by a newer operator) is left out."""
    runs = []
    for item in await cluster.list("TrainingRun", namespace):
        try:
            run = TrainingRun.model_validate(item)
        except ValidationError:
            continue
        if run.spec.model_ref.name == model:
            runs.append(run)
    return runs


async def _observe(
    current: dict[str, Any],
    cluster: ClusterPort,
    settings: Settings,
    *,
    records: RecordsPorts,
    authority: AuthorityView,
    contacts: PodContacts,
) -> tuple[Snapshot, list[PodView]]:
    """What there is, and which of its pods may be asked."""
    model = OneSeekModel.model_validate(current)
    namespace, name = model.metadata.namespace, model.metadata.name
    labels = {names.LABEL_MODEL: name}
    async with task_group() as group:
        claim = group.create_task(cluster.get("PersistentVolumeClaim", namespace, common.claim_name(model)))
        trusted = group.create_task(cluster.get("ConfigMap", namespace, build_keys.trusted_name(model)))
        service = group.create_task(cluster.get("Service", namespace, name))
        maps, deployments, replica_sets, jobs, pods, policies = (
            group.create_task(cluster.list(kind, namespace, labels))
            for kind in ("ConfigMap", "Deployment", "ReplicaSet", "Job", "Pod", "NetworkPolicy")
        )
        runs = group.create_task(runs_of(name, namespace, cluster))
        identity = group.create_task(_identity(model, cluster, settings))
    uid = model.metadata.uid
    there = ServiceView.parse(found) if (found := service.result()) else None
    wanted = wanted_by_colour(maps.result(), uid)
    listed = [DeploymentView.parse(item, wanted) for item in deployments.result()]
    colours = [item for item in listed if item.owner == uid]
    controllers = {item["metadata"]["uid"]: owner_of(item) for item in replica_sets.result()}
    parsed = [PodView.parse(item) for item in pods.result()]
    own = [pod for pod in parsed if pod.uid in contacts.own or not foreign(pod, controllers, colours)]
    ours = askable(own, controllers, colours, contacts.own)
    contacts.own = {pod.uid for pod in own if pod.uid in contacts.own or (pod in ours and not pod.terminating)}
    keys = build_keys.trusted(model, made=None, pending=False)
    snapshot = Snapshot(
        model=model,
        claim=ClaimView.parse(found, is_ours=is_ours(found, build_model.claim(model)))
        if (found := claim.result())
        else None,
        trusted=TrustedKeysView.parse(found) if (found := trusted.result()) and is_ours(found, keys) else None,
        jobs=tuple(JobView.parse(item) for item in jobs.result()),
        pods=tuple(own),
        deployments=tuple(colours),
        service=there if there and there.owner == uid else None,
        runs=tuple(runs.result()),
        records=await _ask_records(model, own, cluster, records, settings),
        identity=identity.result(),
        access=_access(maps.result(), model),
        authorities=authority.fingerprints,
        bundle=authority.bundle,
        endpoints={},
        wanted=wanted,
        policies=tuple(PolicyView.parse(item) for item in policies.result()),
    )
    return snapshot, ours


def _access(config_maps: Sequence[dict[str, Any]], model: OneSeekModel) -> AccessView | None:
    name = build_access.config_name(model)
    found = [item for item in config_maps if item["metadata"]["name"] == name and owner_of(item) == model.metadata.uid]
    return AccessView.parse(found[0]) if found else None


async def _identity(model: OneSeekModel, cluster: ClusterPort, settings: Settings) -> IdentityView:
    namespace = model.metadata.namespace
    wanted = [(item["kind"], item["metadata"]["name"], item) for item in build_identity.objects(model, policy=True)]
    found = [
        there
        for kind, name, item in wanted
        if (there := await cluster.get(kind, namespace, name)) and is_ours(there, item)
    ]
    return IdentityView.parse(found, await _reviewers(cluster, settings), policy=settings.admission_policy)


async def _reviewers(cluster: ClusterPort, settings: Settings) -> dict[str, Any] | None:
    """The binding of those who may review tokens; None where the operator has no cluster-scoped rights."""
    if not settings.token_reviewers:
        return None
    return await cluster.get("ClusterRoleBinding", "", settings.token_reviewers)


async def _ask_records(
    model: OneSeekModel, own: Sequence[PodView], cluster: ClusterPort, records: RecordsPorts, settings: Settings
) -> RecordsView:
    """What of the records service is there; what waits in the outbox is sent, what arrived is told."""
    namespace, name = model.metadata.namespace, build_records.name(model)
    found = await cluster.get("StatefulSet", namespace, name)
    applied = await _applied_service(model, cluster)
    if found is None or owner_of(found) != model.metadata.uid:
        return RecordsView(service=applied, left_claim=await _has_left_claim(model, cluster, settings))
    view = RecordsView(
        template=found["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE, ""),
        ready=found.get("status", {}).get("readyReplicas", 0) > 0,
        uid=found["metadata"]["uid"],
        created=found["metadata"].get("creationTimestamp", ""),
        replicas=found["spec"].get("replicas", 1),
        service=applied,
    )
    pods = [pod for pod in own if is_records(pod) and pod.owner == view.uid and pod.ip and not pod.terminating]
    port = records.of(model, pods[0] if pods else None)
    waiting = model.status.outbox
    rolling = model.status.candidate is not None
    asked = (
        model.status.request is not None and model.status.request.outcome == "Pending"
    )  # a reset waits for the ledger
    view = replace(view, witness=records.witness(model))
    told = find(model.status.conditions, names.RECORDS_AVAILABLE)
    other = told.message if told and told.reason == names.LEDGER_ROLLED_BACK else ""
    needed = bool(waiting or rolling or asked or other or view.witness is None)
    if not (needed or view.ready):
        return view
    try:
        # An older copy is found as soon as its pod runs, not only when there is something to enter.
        async with asyncio.timeout(None if needed else _GLANCE_SECONDS):
            judged = await _judged(view, await port.head(), model, port)
        if waiting and not judged.rolled_back:
            done = await port.append(waiting)
            judged = await _judged(view, done.head, model, port)
            if not judged.rolled_back:
                judged = replace(judged, acknowledged=done.acknowledged, refused=done.refused)
    except (RecordsError, TimeoutError) as error:
        if not needed:
            return view
        if other:  # it may come back as it went: sidecars go by what the condition says
            return replace(view, rolled_back=True, error=other)
        # A service that has never answered is still starting; that is no news worth an error.
        return replace(view, error=str(error) if view.ready or view.witness else "")
    return replace(judged, ready=True)


async def _applied_service(model: OneSeekModel, cluster: ClusterPort) -> str | None:
    """What the service's Service was applied as; None where there is none of the model's own."""
    found = await cluster.get("Service", model.metadata.namespace, build_records.name(model))
    if found is None or owner_of(found) != model.metadata.uid:
        return None
    template: str = found["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE, "")
    return template


async def _judged(view: RecordsView, head: LedgerHead, model: OneSeekModel, records: RecordsPort) -> RecordsView:
    """The view with the ledger that was found, and whether that is the one witnessed or goes on from it."""
    if (witness := view.witness) is None:
        return replace(view, head=head)
    proof = await records.proof(witness, head) if head.height > witness.height else Proof()
    how = difference(witness, head, proof)
    error = sentence(model, witness, head, how) if how else ""
    return replace(view, head=head, rolled_back=bool(how), error=error)


async def _has_left_claim(model: OneSeekModel, cluster: ClusterPort, settings: Settings) -> bool:
    """Whether a records service of a model of this name was there before: its Secret is then the model's, too."""
    for name, tags in claims_of(build_records.stateful_set(model, settings)):
        claim = await cluster.get("PersistentVolumeClaim", model.metadata.namespace, name)
        if claim is not None and tags.items() <= claim["metadata"].get("labels", {}).items():
            return True
    return False


async def _with_failed_creates(snapshot: Snapshot, cluster: ClusterPort) -> Snapshot:
    """With what controllers say of pods that they cannot make, where some are missing."""
    if not (snapshot.records.lacks_pod(snapshot.pods) or any(lacks_pod(job, snapshot.pods) for job in snapshot.jobs)):
        return snapshot
    found = await pods.failed_creates_of(snapshot.model.metadata.namespace, cluster)
    records = replace(snapshot.records, failed_create=found.get(snapshot.records.uid))
    return replace(snapshot, jobs=pods.with_failed_creates(snapshot.jobs, found), records=records)


async def _ask_sidecars(
    snapshot: Snapshot, ours: Sequence[PodView], sidecars: SidecarPort, contacts: PodContacts, now: datetime
) -> dict[str, Endpoint]:
    """What each serving pod's sidecar says of itself, all asked at once; one that does not run yet is not asked."""
    asked = [
        pod
        for pod in ours
        if pod.labels.get(names.LABEL_COLOUR)
        and pod.ip
        and pod.phase == "Running"
        and (pod.ready or pod.sidecar_runs or pod.terminating)
    ]
    answers = await gather([_ask(pod, sidecars) for pod in asked])
    if not contacts.believes_refusals(now):
        answers = [replace(said, refused=False) for said in answers]
    contacts.forget_all_but(asked)
    return {
        pod.name: replace(
            said, unreachable_seconds=contacts.seconds(pod, now, silent=said.state is None and not said.refused)
        )
        for pod, said in zip(asked, answers, strict=True)
    }


async def _ask(pod: PodView, sidecars: SidecarPort) -> Endpoint:
    """What the pod says; one on its way out, which may be gone, is not waited for."""
    try:
        async with asyncio.timeout(_LEAVING_SECONDS if pod.terminating else None):
            state = await sidecars.state(pod.ip)
    except (SidecarError, TimeoutError) as error:
        text = str(error) or f"it did not answer within {_LEAVING_SECONDS:g} s"
        refused = isinstance(error, SidecarError) and error.refused
        alien = isinstance(error, SidecarError) and error.alien
        return Endpoint(error=text, refused=refused, alien=alien, verdict=await _verdict(pod, sidecars))
    of_before = pod.speaks == "before" and state.verdict is None and not state.revision and not pod.terminating
    return Endpoint(state=state, verdict=await _verdict(pod, sidecars) if of_before else state.verdict)


async def _verdict(pod: PodView, sidecars: SidecarPort) -> VerifyReport | None:
    """What the verifier itself says; silence is not a refusal: it has not looked yet, or talks to its own pod only."""
    if pod.speaks != "before":
        return None
    try:
        async with asyncio.timeout(_LEAVING_SECONDS):
            return await sidecars.verdict(pod.ip)
    except (SidecarError, TimeoutError):
        return None


async def _ask_service(snapshot: Snapshot, sidecars: SidecarPort) -> ServiceAnswer:
    """Who answers a fresh connection through the Service, as clients make them."""
    meta, address = snapshot.model.metadata, snapshot.service.ip if snapshot.service else ""
    try:
        return ServiceAnswer(await sidecars.served(address or f"{meta.name}.{meta.namespace}.svc"))
    except SidecarError as error:
        return ServiceAnswer(error=str(error))
