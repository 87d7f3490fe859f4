"""Reads a model's records service and its ledger, and sends what waits in the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_operator.conditions import find
from oneseek_operator.errors import RecordsError
from oneseek_operator.model.ledger_witness import Proof, difference, sentence
from oneseek_operator.observe.model import RecordsView, is_records
from oneseek_operator.observe.ownership import claims_of, owner_of
from oneseek_operator.observe.pods import PodView
from oneseek_operator.reconcile.ports import ClusterPort, RecordsPort, RecordsPorts
from oneseek_operator.resources import records as build_records
from oneseek_operator.settings import Settings

__all__ = ["read_records"]

_GLANCE_SECONDS = 1.0  # timeout for reading the head while nothing waits for it


async def read_records(
    model: OneSeekModel, own: Sequence[PodView], cluster: ClusterPort, records: RecordsPorts, settings: Settings
) -> RecordsView:
    """The service's objects and ledger; transitions of the outbox are appended on the way."""
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
    requested = (
        model.status.request is not None and model.status.request.outcome == "Pending"
    )  # a reset waits for the ledger
    view = replace(view, witness=records.witness(model))
    stored = find(model.status.conditions, names.RECORDS_AVAILABLE)
    other = stored.message if stored and stored.reason == names.LEDGER_ROLLED_BACK else ""
    needed = bool(waiting or rolling or requested or other or view.witness is None)
    if not (needed or view.ready):
        return view
    try:
        # An older copy is found as soon as its pod runs, not only when there is something to append.
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
        if other:  # it may return as it was: sidecars act on this condition
            return replace(view, rolled_back=True, error=other)
        # A service that has never answered is still starting, which is no error.
        return replace(view, error=str(error) if view.ready or view.witness else "")
    return replace(judged, ready=True)


async def _applied_service(model: OneSeekModel, cluster: ClusterPort) -> str | None:
    """The hash that the service's Service was applied with; None if the model has none."""
    found = await cluster.get("Service", model.metadata.namespace, build_records.name(model))
    if found is None or owner_of(found) != model.metadata.uid:
        return None
    template: str = found["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE, "")
    return template


async def _judged(view: RecordsView, head: LedgerHead, model: OneSeekModel, records: RecordsPort) -> RecordsView:
    """The view with the ledger that was found, and whether it contains the witness."""
    if (witness := view.witness) is None:
        return replace(view, head=head)
    proof = await records.proof(witness, head) if head.height > witness.height else Proof()
    how = difference(witness, head, proof)
    error = sentence(model, witness, head, how) if how else ""
    return replace(view, head=head, rolled_back=bool(how), error=error)


async def _has_left_claim(model: OneSeekModel, cluster: ClusterPort, settings: Settings) -> bool:
    """Whether a deleted model of this name had a records service: its Secret is then this model's, too."""
    for name, tags in claims_of(build_records.stateful_set(model, settings)):
        claim = await cluster.get("PersistentVolumeClaim", model.metadata.namespace, name)
        if claim is not None and tags.items() <= claim["metadata"].get("labels", {}).items():
            return True
    return False
