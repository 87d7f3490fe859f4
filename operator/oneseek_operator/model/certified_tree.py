"""What is to change in the tree of certified versions: CURRENT, retention, reset. One tree Job at a time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.actions import Action, Create, Delete
from oneseek_operator.model import imports
from oneseek_operator.observe.objects import DeploymentView
from oneseek_operator.observe.pod_failures import failure_of
from oneseek_operator.observe.pods import JobView, PodView, owned_job
from oneseek_operator.observe.run import is_active
from oneseek_operator.requests import annotations
from oneseek_operator.resources import model as build
from oneseek_operator.settings import Settings
from oneseek_operator.versions import retention

__all__ = ["current_link", "pruned", "reset"]

Told = tuple[bool, str, str]


def pruned(
    model: OneSeekModel,
    status: OneSeekModelStatus,
    jobs: Sequence[JobView],
    in_use: Collection[str],
    settings: Settings,
    *,
    begun: bool,
) -> tuple[OneSeekModelStatus, tuple[Action, ...]]:
    """Have a Job delete what retention gives up; its line says Deleted once the Job has done it. `begun`: another begins."""
    held = {model.spec.version, *in_use, *([status.selection.dna] if status.selection and status.selection.dna else [])}
    gone = retention.retired(status.versions, model.spec.retention.keep_versions, held)
    ours = _prunes(model, jobs)
    wanted = build.prune_job_name(model, gone) if gone else ""
    stale = tuple(Delete("Job", job.name, job.uid) for job in ours if job.name != wanted and job.state != "Running")
    job = owned_job(ours, wanted, model.metadata.uid) if gone else None
    if job and job.state == "Succeeded":
        versions = [
            item.model_copy(update={"state": names.STATE_DELETED, "reason": None}) if item.dna in gone else item
            for item in status.versions
        ]
        return status.model_copy(update={"versions": versions}), stale
    running = any(item.state == "Running" for item in jobs if item.owner == model.metadata.uid)
    if not gone or job or running or begun:  # one Job at a time changes the tree
        return status, stale
    dna = status.current.dna if status.current else ""
    return status, (
        *stale,
        Create(build.tree_job(model, settings, name=wanted, dna=dna, quarantine=status.quarantine, remove=gone)),
    )


def current_link(
    model: OneSeekModel,
    status: OneSeekModelStatus,
    jobs: Sequence[JobView],
    pods: Sequence[PodView],
    settings: Settings,
) -> tuple[tuple[Action, ...], Told | None, float | None]:
    """Have a tree Job move CURRENT to what answers, one Job at a time; CURRENT may lag and gates nothing."""
    current = status.current
    was = model.status.current
    if current is None and not status.quarantine and was is None and not _ours(model, jobs):
        return (), None, None
    # With nothing left that may answer, the base model does, and CURRENT goes.
    if current:
        dna, since = current.dna, current.since
    else:
        last = status.quarantine[-1].since if status.quarantine else ""
        dna, since = "", status.selection.since if status.selection else last
    wanted = build.tree_job_name(model, dna, since, status.quarantine)
    ours = _ours(model, jobs)
    job = owned_job(ours, wanted, model.metadata.uid)
    if current is None and not since:
        return tuple(Delete("Job", item.name, item.uid) for item in ours if item.state != "Running"), None, None
    stale = tuple(
        Delete("Job", item.name, item.uid) for item in ours if item.name != wanted and item.state != "Running"
    )
    if job is None:
        if any(item.state == "Running" for item in (*ours, *_prunes(model, jobs))) or imports.is_importing(
            model, jobs, pods
        ):
            return stale, (False, "Moving", "waiting for the tree Job before this one"), 2.0
        made = Create(build.tree_job(model, settings, name=wanted, dna=dna, quarantine=status.quarantine))
        return (*stale, made), (False, "Moving", f"moving CURRENT to {dna or 'nothing'}"), None
    if job.state == "Succeeded":
        return stale, (True, "Published", f"CURRENT points at {dna or 'nothing'}"), None
    if job.state == "Failed":
        problem = failure_of(job, pods, what="the tree Job")
        return stale, (False, problem.reason, f"CURRENT could not be moved: {problem.message}"), None
    return stale, (False, "Moving", f"moving CURRENT to {dna or 'nothing'}"), None


def _prunes(model: OneSeekModel, jobs: Sequence[JobView]) -> list[JobView]:
    prefix = f"{model.metadata.name}-prune-"
    return [job for job in jobs if job.name.startswith(prefix) and job.owner == model.metadata.uid]


def _ours(model: OneSeekModel, jobs: Sequence[JobView]) -> list[JobView]:
    prefix = f"{model.metadata.name}-tree-"
    return [job for job in jobs if job.name.startswith(prefix) and job.owner == model.metadata.uid]


def _at_work(jobs: Sequence[JobView], pods: Sequence[PodView], runs: Sequence[TrainingRun]) -> str:
    """What of the runs is still at work: one that seals must not add a version to those that a reset deletes."""
    owners = {run.metadata.uid for run in runs}
    found = [f"Job {job.name}" for job in jobs if job.owner in owners and job.state == "Running"]
    found += [
        f"pod {pod.name}" for pod in pods if names.LABEL_RUN in pod.labels and pod.phase in ("Pending", "Running")
    ]
    return found[0] if found else ""


def reset(
    model: OneSeekModel,
    status: OneSeekModelStatus,
    *,
    jobs: Sequence[JobView],
    pods: Sequence[PodView],
    deployments: Sequence[DeploymentView],
    runs: Sequence[TrainingRun],
    settings: Settings,
    now: datetime,
) -> tuple[OneSeekModelStatus, tuple[Action, ...], str]:
    """Once nothing of a version runs any more, have a Job delete them all; the sentence says what is waited for."""
    request = status.request
    if request is None:
        return status, (), ""
    if active := [run.metadata.name for run in runs if is_active(run)]:
        return status, (), f"waiting for the run {active[0]!r} to stop"
    if left := _at_work(jobs, pods, runs):
        return status, (), f"waiting for {left} of a stopped run to go"
    if status.current is not None or any(item.dna for item in deployments):
        return status, (), "the base model takes over; waiting for the versions' pods to go"
    name = build.reset_job_name(model, request.id)
    job = owned_job(jobs, name, model.metadata.uid)
    if job is None:
        if any(item.state == "Running" for item in jobs if item.owner == model.metadata.uid):
            return status, (), "waiting for another Job of the model"
        return status, (Create(build.reset_job(model, settings, request)),), "deleting the certified versions"
    if job.state == "Running":
        return status, (), "deleting the certified versions"
    if job.state == "Failed":
        problem = failure_of(job, pods, what="the reset Job")
        failed = annotations.with_outcome(request, "Failed", problem.reason, problem.message, now)
        return status.model_copy(update={"request": failed}), (), ""
    count = sum(item.state != names.STATE_DELETED for item in status.versions)
    versions = [item.model_copy(update={"state": names.STATE_DELETED, "reason": None}) for item in status.versions]
    text = f"{count} certified versions are deleted; base model, ledger and counters are kept"
    changes = {
        "versions": versions,
        "quarantine": [],
        "previous": None,
        "candidate": None,
        "request": annotations.with_outcome(request, "Succeeded", names.DONE, text, now),
    }
    return status.model_copy(update=changes), (), ""
