"""One reconcile of a OneSeekModel: read, decide, apply. A crash at any line is made good by the next reconcile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.errors import ConflictError, ListTooLargeError, SidecarError
from oneseek_operator.model.decide import decide
from oneseek_operator.observe.ownership import is_ours
from oneseek_operator.reconcile import pod_events
from oneseek_operator.reconcile.apply import carry_out, report_too_large
from oneseek_operator.reconcile.pod_contacts import PodContacts
from oneseek_operator.reconcile.ports import AuthorityPort, ClusterPort, RecordsPorts, SidecarPort, SidecarPorts
from oneseek_operator.reconcile.read_objects import read_snapshot, reviewers_binding
from oneseek_operator.reconcile.read_sidecars import ask_service, ask_sidecars
from oneseek_operator.resources import common
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import service_account as build_identity
from oneseek_operator.settings import Settings

__all__ = ["finish_deletion", "reconcile", "utc_now"]


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


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
    """Bring a model one step nearer to its spec; seconds until the next reconcile, None: on events only.

    `follow` gets the revision of each pod's state by address, and the port to ask them through.

    Raises:
        SidecarError: an order that a pod needs before the status is written did not reach it.
    """
    current = await cluster.get("OneSeekModel", namespace, name)
    if current is None or "deletionTimestamp" in current["metadata"]:
        return None
    contacts = contacts or PodContacts()
    trusted = await authority.view(clock())
    try:
        snapshot, ours = await read_snapshot(
            current, cluster, settings, records=records, authority=trusted, contacts=contacts
        )
    except ListTooLargeError as error:
        return await report_too_large(error, current, clock(), cluster=cluster)
    port = sidecars.of(snapshot.model, ours)
    snapshot = replace(snapshot, endpoints=await ask_sidecars(ours, port, contacts, clock()))
    states = [(pod.ip, snapshot.endpoints[pod.name].state) for pod in snapshot.pods if pod.name in snapshot.endpoints]
    follow({ip: state.revision for ip, state in states if state}, port)
    now = clock()
    decisions = list(decide(snapshot, settings, now))
    if any(decision.asks_service for decision in decisions):
        snapshot = replace(snapshot, service_answer=await ask_service(snapshot, port))
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
    return pod_events.sooner(wait, snapshot.jobs, snapshot.pods, now)


async def finish_deletion(model: OneSeekModel, *, cluster: ClusterPort, settings: Settings) -> None:
    """Delete the claim if the operator made it and the spec says so, and take the sidecars' right to review tokens.

    Everything else is owned by the model and deleted by the garbage collector.
    """
    storage = model.spec.storage
    if not storage.claim_name and storage.reclaim_policy == "Delete":
        claim = await cluster.get("PersistentVolumeClaim", model.metadata.namespace, common.claim_name(model))
        if claim is not None and is_ours(claim, build_model.claim(model)):
            meta = claim["metadata"]
            await cluster.delete("PersistentVolumeClaim", meta["namespace"], meta["name"], uid=meta["uid"])
    entry = build_identity.subject(model)
    while reviewers := await reviewers_binding(cluster, settings):
        changed = build_identity.without_subject(reviewers, entry)
        if changed["subjects"] == (reviewers.get("subjects") or []):
            return
        try:
            await cluster.replace(changed)
        except ConflictError:  # another model's entry changed meanwhile
            continue
