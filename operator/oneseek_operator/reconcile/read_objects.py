"""Reads the objects of a model, concurrently, into a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.observe.model import Snapshot
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
from oneseek_operator.observe.ownership import is_ours, owner_of
from oneseek_operator.observe.pods import JobView, PodView, lacks_pod
from oneseek_operator.reconcile import pod_events
from oneseek_operator.reconcile.concurrency import gather, task_group
from oneseek_operator.reconcile.pod_contacts import PodContacts
from oneseek_operator.reconcile.ports import AuthorityView, ClusterPort, RecordsPorts
from oneseek_operator.reconcile.read_records import read_records
from oneseek_operator.resources import common
from oneseek_operator.resources import keys as build_keys
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import pod_access as build_access
from oneseek_operator.resources import service_account as build_identity
from oneseek_operator.settings import Settings

__all__ = ["read_snapshot", "reviewers_binding", "runs_of"]

_LISTED = ("ConfigMap", "Deployment", "ReplicaSet", "Job", "Pod", "NetworkPolicy")


async def read_snapshot(
    current: dict[str, Any],
    cluster: ClusterPort,
    settings: Settings,
    *,
    records: RecordsPorts,
    authority: AuthorityView,
    contacts: PodContacts,
) -> tuple[Snapshot, list[PodView]]:
    """The snapshot without what sidecars say, and the serving pods that may be asked."""
    model = OneSeekModel.model_validate(current)
    namespace, name, uid = model.metadata.namespace, model.metadata.name, model.metadata.uid
    labels = {names.LABEL_MODEL: name}
    async with task_group() as group:
        claim = group.create_task(cluster.get("PersistentVolumeClaim", namespace, common.claim_name(model)))
        trusted = group.create_task(cluster.get("ConfigMap", namespace, build_keys.trusted_name(model)))
        service = group.create_task(cluster.get("Service", namespace, name))
        maps, deployments, replica_sets, jobs, pods, policies = (
            group.create_task(cluster.list(kind, namespace, labels)) for kind in _LISTED
        )
        runs = group.create_task(runs_of(name, namespace, cluster))
        identity = group.create_task(_identity(model, cluster, settings))
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
        records=await read_records(model, own, cluster, records, settings),
        identity=identity.result(),
        access=_access(maps.result(), model),
        authorities=authority.fingerprints,
        bundle=authority.bundle,
        endpoints={},
        wanted=wanted,
        policies=tuple(PolicyView.parse(item) for item in policies.result()),
    )
    return await _with_failed_creates(snapshot, cluster), ours


async def runs_of(model: str, namespace: str, cluster: ClusterPort) -> list[TrainingRun]:
    """The runs that name a model, without any that a newer operator wrote and this one cannot parse."""
    runs = []
    for item in await cluster.list("TrainingRun", namespace):
        try:
            run = TrainingRun.model_validate(item)
        except ValidationError:
            continue
        if run.spec.model_ref.name == model:
            runs.append(run)
    return runs


def _access(config_maps: Sequence[dict[str, Any]], model: OneSeekModel) -> AccessView | None:
    name = build_access.config_name(model)
    found = [item for item in config_maps if item["metadata"]["name"] == name and owner_of(item) == model.metadata.uid]
    return AccessView.parse(found[0]) if found else None


async def _identity(model: OneSeekModel, cluster: ClusterPort, settings: Settings) -> IdentityView:
    namespace, wanted = model.metadata.namespace, build_identity.objects(model, policy=True)
    reviewers, *there = await gather(
        [
            reviewers_binding(cluster, settings),
            *(cluster.get(item["kind"], namespace, item["metadata"]["name"]) for item in wanted),
        ]
    )
    found = [one for one, item in zip(there, wanted, strict=True) if one and is_ours(one, item)]
    return IdentityView.parse(found, reviewers, policy=settings.admission_policy)


async def reviewers_binding(cluster: ClusterPort, settings: Settings) -> dict[str, Any] | None:
    """The ClusterRoleBinding of accounts that may review tokens; None if the operator has no cluster-scoped rights."""
    if not settings.token_reviewers:
        return None
    return await cluster.get("ClusterRoleBinding", "", settings.token_reviewers)


async def _with_failed_creates(snapshot: Snapshot, cluster: ClusterPort) -> Snapshot:
    """With what controllers report about pods that they cannot create, if some are missing."""
    if not (snapshot.records.lacks_pod(snapshot.pods) or any(lacks_pod(job, snapshot.pods) for job in snapshot.jobs)):
        return snapshot
    found = await pod_events.failed_creates_of(snapshot.model.metadata.namespace, cluster)
    records = replace(snapshot.records, failed_create=found.get(snapshot.records.uid))
    return replace(snapshot, jobs=pod_events.with_failed_creates(snapshot.jobs, found), records=records)
