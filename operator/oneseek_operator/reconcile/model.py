"""One reconcile of a OneSeekModel: read what is, decide, do it. Any crash in between is made good by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.build import common
from oneseek_operator.build import identity as build_identity
from oneseek_operator.build import keys as build_keys
from oneseek_operator.build import records as build_records
from oneseek_operator.decide import proof, rollout
from oneseek_operator.decide.model import decide
from oneseek_operator.decide.model_seen import Observed, RecordsView, rollout_view
from oneseek_operator.decide.seen import Endpoint
from oneseek_operator.decide.views import (
    ClaimView,
    DeploymentView,
    IdentityView,
    JobView,
    PodView,
    ServiceView,
    TrustedKeysView,
    lacks_pod,
    wanted_by_colour,
)
from oneseek_operator.errors import ConflictError, RecordsError, SidecarError
from oneseek_operator.reconcile import pods
from oneseek_operator.reconcile.effects import carry_out
from oneseek_operator.reconcile.ports import ClusterPort, RecordsPort, SidecarPort
from oneseek_operator.settings import Settings

__all__ = ["finish_deletion", "reconcile", "runs_of"]

_LEAVING_SECONDS = 1.0
_SHORTEST_PROBE = 5.0  # seconds; a candidate that is almost too late gets this much


async def reconcile(
    namespace: str, name: str, *, cluster: ClusterPort, sidecars: SidecarPort, records: RecordsPort, settings: Settings
) -> float | None:
    """Bring a model one step nearer to its spec; seconds until it must be looked at again, None: on events only."""
    current = await cluster.get("OneSeekModel", namespace, name)
    if current is None or "deletionTimestamp" in current["metadata"]:
        return None
    seen = await _observe(current, cluster)
    seen = replace(seen, identity=await _identity(seen.model, cluster, settings))
    seen = replace(seen, records=await _ask_records(seen.model, cluster, records))
    seen = await _with_failed_creates(seen, cluster)
    seen = await _ask_sidecars(seen, sidecars, settings)
    now = datetime.now(UTC)
    wait = await carry_out(decide(seen, settings, now), current, now, cluster=cluster, sidecars=sidecars)
    return pods.sooner(wait, seen.jobs, seen.pods, now)


async def finish_deletion(model: OneSeekModel, *, cluster: ClusterPort, settings: Settings) -> None:
    """What a deleted model leaves: its claim stays, unless it was made for the model and the spec says Delete.

    Its account may review no tokens any more. Everything else is owned by the model and goes by garbage collection.
    """
    storage = model.spec.storage
    if not storage.claim_name and storage.reclaim_policy == "Delete":
        await cluster.delete("PersistentVolumeClaim", model.metadata.namespace, common.claim_name(model))
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


async def _observe(current: dict[str, Any], cluster: ClusterPort) -> Observed:
    model = OneSeekModel.model_validate(current)
    namespace, name = model.metadata.namespace, model.metadata.name
    labels = {names.LABEL_MODEL: name}
    claim = await cluster.get("PersistentVolumeClaim", namespace, common.claim_name(model))
    trusted = await cluster.get("ConfigMap", namespace, build_keys.trusted_name(model))
    service = await cluster.get("Service", namespace, name)
    mine = service is not None and ServiceView.parse(service).owner == model.metadata.uid
    wanted = wanted_by_colour(await cluster.list("ConfigMap", namespace, labels), model.metadata.uid)
    deployments = [DeploymentView.parse(item, wanted) for item in await cluster.list("Deployment", namespace, labels)]
    return Observed(
        model=model,
        claim=ClaimView.parse(claim) if claim else None,
        trusted=TrustedKeysView.parse(trusted) if trusted else None,
        jobs=tuple(JobView.parse(item) for item in await cluster.list("Job", namespace, labels)),
        pods=tuple(PodView.parse(item) for item in await cluster.list("Pod", namespace, labels)),
        deployments=tuple(item for item in deployments if item.owner == model.metadata.uid),
        service=ServiceView.parse(service) if service and mine else None,
        runs=tuple(await runs_of(name, namespace, cluster)),
        records=RecordsView(),
        identity=IdentityView(),
        endpoints={},
        wanted=wanted,
    )


async def _identity(model: OneSeekModel, cluster: ClusterPort, settings: Settings) -> IdentityView:
    namespace = model.metadata.namespace
    kinds = [(item["kind"], item["metadata"]["name"]) for item in build_identity.objects(model)]
    found = [item for kind, name in kinds if (item := await cluster.get(kind, namespace, name))]
    return IdentityView.parse(found, await _reviewers(cluster, settings))


async def _reviewers(cluster: ClusterPort, settings: Settings) -> dict[str, Any] | None:
    """The binding of those who may review tokens; None where the operator has no cluster-scoped rights."""
    if not settings.token_reviewers:
        return None
    return await cluster.get("ClusterRoleBinding", "", settings.token_reviewers)


async def _ask_records(model: OneSeekModel, cluster: ClusterPort, records: RecordsPort) -> RecordsView:
    """What of the records service is there; what waits in the outbox is sent, what arrived is told."""
    namespace, name = model.metadata.namespace, build_records.name(model)
    token = records.token(model)
    found = await cluster.get("StatefulSet", namespace, name)
    if found is None:
        return RecordsView(token=token)
    view = RecordsView(
        token=token,
        template=found["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE, ""),
        ready=found.get("status", {}).get("readyReplicas", 0) > 0,
        uid=found["metadata"]["uid"],
        created=found["metadata"].get("creationTimestamp", ""),
        replicas=found["spec"].get("replicas", 1),
        has_service=await cluster.get("Service", namespace, name) is not None,
    )
    waiting = model.status.outbox
    rolling = model.status.candidate is not None
    asked = (
        model.status.request is not None and model.status.request.outcome == "Pending"
    )  # a reset waits for the ledger
    if not (waiting or rolling or asked or model.status.ledger is None):
        return view
    try:
        if waiting:
            done = await records.append(model, waiting)
            view = replace(view, acknowledged=done.acknowledged, refused=done.refused, head=done.head)
        else:
            view = replace(view, head=await records.head(model))
    except RecordsError as error:
        # A service that has never answered is still starting; that is no news worth an error.
        return replace(view, error=str(error) if view.ready or model.status.ledger else "")
    return replace(view, ready=True)


async def _with_failed_creates(seen: Observed, cluster: ClusterPort) -> Observed:
    """With what controllers say of pods that they cannot make, where some are missing."""
    if not (seen.records.lacks_pod(seen.pods) or any(lacks_pod(job, seen.pods) for job in seen.jobs)):
        return seen
    found = await pods.failed_creates_of(seen.model.metadata.namespace, cluster)
    records = replace(seen.records, failed_create=found.get(seen.records.uid))
    return replace(seen, jobs=pods.with_failed_creates(seen.jobs, found), records=records)


async def _ask_sidecars(seen: Observed, sidecars: SidecarPort, settings: Settings) -> Observed:
    """What each serving pod's sidecar says of itself; a colour about to take over must also answer questions."""
    now = datetime.now(UTC)
    questions, fresh = rollout.asking(rollout_view(seen), settings, now)
    left = max(_SHORTEST_PROBE, proof.time_left(seen.model, settings, now))
    endpoints = {}
    for pod in seen.pods:
        colour = pod.labels.get(names.LABEL_COLOUR)
        if not colour or not pod.ip or pod.phase != "Running":
            continue
        if pod.terminating:
            endpoints[pod.name] = await _ask_leaving(pod, sidecars)
            continue
        if colour in fresh and not pod.ready and not pod.sidecar_runs:
            continue
        endpoints[pod.name] = await _ask(pod, sidecars, questions.get(colour, ()), within=left)
    return replace(seen, endpoints=endpoints)


async def _ask_leaving(pod: PodView, sidecars: SidecarPort) -> Endpoint:
    """Whether a pod on its way out still has answers to record; one that is gone must not be waited for."""
    try:
        async with asyncio.timeout(_LEAVING_SECONDS):
            return Endpoint(state=await sidecars.state(pod.ip))
    except (SidecarError, TimeoutError) as error:
        return Endpoint(error=str(error))


async def _ask(pod: PodView, sidecars: SidecarPort, probes: Sequence[Probe], *, within: float) -> Endpoint:
    try:
        verdict = await sidecars.verdict(pod.ip)
    except SidecarError:
        verdict = None  # not looked yet; silence is not a refusal
    answers = {}
    try:
        state = await sidecars.state(pod.ip)
        if state.ready:
            async with asyncio.timeout(within):
                for probe in probes:
                    answers[probe.question] = await sidecars.probe(pod.ip, probe.question)
    except TimeoutError:
        return Endpoint(error=f"its questions were not answered within {within:.0f} s", verdict=verdict)
    except SidecarError as error:
        return Endpoint(error=str(error), verdict=verdict)
    return Endpoint(state=state, answers=answers, verdict=verdict)
