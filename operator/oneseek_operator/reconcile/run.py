"""One reconcile of a TrainingRun: read, decide, apply. A crash at any line is made good by the next reconcile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.jobs.train import TrainProgress
from oneseek_operator.errors import ListTooLargeError
from oneseek_operator.observe.ownership import owner_of
from oneseek_operator.observe.pods import JobView, PodView, lacks_pod, owned_job
from oneseek_operator.observe.run import RunSnapshot, is_finished, is_retry_requested, may_leave_jobs
from oneseek_operator.reconcile.apply import carry_out, report_too_large
from oneseek_operator.reconcile.concurrency import task_group
from oneseek_operator.reconcile.model import utc_now
from oneseek_operator.reconcile.pod_events import failed_creates_of, sooner, with_failed_creates
from oneseek_operator.reconcile.ports import ClusterPort
from oneseek_operator.reconcile.read_objects import runs_of
from oneseek_operator.resources import run as build
from oneseek_operator.run.decide import decide
from oneseek_operator.run.jobs import refused_for_good
from oneseek_operator.settings import Settings
from oneseek_operator.versions.states import certified_by, number

__all__ = ["is_counted", "reconcile"]

_LOG_LINES = 20  # the newest progress line has everything; other lines may follow it


async def reconcile(
    namespace: str, name: str, *, cluster: ClusterPort, settings: Settings, clock: Callable[[], datetime] = utc_now
) -> float | None:
    """Bring a run one step further; seconds until the next reconcile, None: on events only."""
    current = await cluster.get("TrainingRun", namespace, name)
    if current is None or "deletionTimestamp" in current["metadata"]:
        return None
    run = TrainingRun.model_validate(current)
    if is_finished(run) and not (is_retry_requested(run) or may_leave_jobs(run)):
        return None
    labels = {names.LABEL_RUN: name}
    try:
        async with task_group() as group:
            model_task = group.create_task(cluster.get("OneSeekModel", namespace, run.spec.model_ref.name))
            listed = [group.create_task(cluster.list(kind, namespace, labels)) for kind in ("Job", "Pod")]
            siblings = group.create_task(runs_of(run.spec.model_ref.name, namespace, cluster))
    except ListTooLargeError as error:
        return await report_too_large(error, current, clock(), cluster=cluster)
    model = model_task.result()
    jobs = [JobView.parse(item) for item in listed[0].result() if owner_of(item) == run.metadata.uid]
    pods = [PodView.parse(item) for item in listed[1].result()]
    if any(lacks_pod(job, pods) for job in jobs):
        jobs = list(with_failed_creates(jobs, await failed_creates_of(namespace, cluster)))
    snapshot = RunSnapshot(
        run=run,
        model=OneSeekModel.model_validate(model) if model else None,
        siblings=tuple(item for item in siblings.result() if item.metadata.uid != run.metadata.uid),
        jobs=tuple(jobs),
        pods=tuple(pods),
        progress=await _read_progress(run, jobs, pods, cluster),
    )
    now = clock()
    decision = decide(snapshot, settings, now)
    if decision is None:
        return None
    wait = await carry_out(
        [decision], current, now, cluster=cluster, given_up=lambda refusal: refused_for_good(snapshot, refusal, now)
    )
    return sooner(wait, snapshot.jobs, snapshot.pods, now)


async def is_counted(namespace: str, name: str, *, cluster: ClusterPort) -> bool:
    """Whether the model counts the version that the run made; True also if there is no version or no model."""
    found = await cluster.get("TrainingRun", namespace, name)
    made = certified_by([TrainingRun.model_validate(found)]) if found else []
    if found is None or not made:
        return True
    there = await cluster.get("OneSeekModel", namespace, found["spec"]["modelRef"]["name"])
    if there is None or "deletionTimestamp" in there["metadata"]:
        return True
    model = OneSeekModel.model_validate(there)
    counters = model.status.counters
    # Before its base model is imported a model knows no version: the base Job finds this one on the claim.
    return model.status.base_model is None or number(made[0].dna) <= (counters.major, counters.micro)


async def _read_progress(
    run: TrainingRun, jobs: Sequence[JobView], pods: Sequence[PodView], cluster: ClusterPort
) -> TrainProgress | None:
    """The newest progress line of the train pod's log; None if nothing trains."""
    resolved = run.status.resolved
    if resolved is None or resolved.data_digest is None or resolved.created_at is not None:
        return None
    job = owned_job(jobs, build.train_job_name(run, run.status.attempts), run.metadata.uid)
    own = [pod for pod in pods if job is not None and pod.owner == job.uid]
    newest = max(own, key=lambda pod: pod.created, default=None)
    if newest is None or newest.phase == "Pending":
        return None
    text = await cluster.log_tail(run.metadata.namespace, newest.name, container="main", lines=_LOG_LINES)
    for line in reversed(text.splitlines()):
        try:
            return TrainProgress.from_wire(line)
        except ValidationError:
            continue
    return None
