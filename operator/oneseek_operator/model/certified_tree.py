"""The Jobs that change the tree of certified versions, one at a time: CURRENT, retention, reset. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_operator.actions import Action, Create, Delete
from oneseek_operator.conditions import ConditionRow
from oneseek_operator.model import imports
from oneseek_operator.observe.model import Snapshot
from oneseek_operator.observe.pod_failures import failure_of
from oneseek_operator.observe.pods import JobView, owned_job
from oneseek_operator.observe.run import is_active
from oneseek_operator.requests.annotations import with_outcome
from oneseek_operator.resources import model as build
from oneseek_operator.settings import Settings
from oneseek_operator.versions import retention

__all__ = ["current_link", "pruned", "reset"]


def pruned(
    snapshot: Snapshot, status: OneSeekModelStatus, in_use: Collection[str], settings: Settings, *, started: bool
) -> tuple[OneSeekModelStatus, tuple[Action, ...]]:
    """Have a Job delete the versions that retention gives up; they are Deleted once it has. `started`: another Job starts."""
    model, uid = snapshot.model, snapshot.model.metadata.uid
    held = {model.spec.version, *in_use, *([status.selection.dna] if status.selection and status.selection.dna else [])}
    gone = retention.retired(status.versions, model.spec.retention.keep_versions, held)
    ours = _own_jobs(snapshot, "prune")
    wanted = build.prune_job_name(model, gone) if gone else ""
    stale = _deletions(ours, wanted)
    job = owned_job(ours, wanted, uid) if gone else None
    if job and job.state == "Succeeded":
        versions = [
            item.model_copy(update={"state": names.STATE_DELETED, "reason": None}) if item.dna in gone else item
            for item in status.versions
        ]
        return status.model_copy(update={"versions": versions}), stale
    running = any(item.state == "Running" for item in snapshot.jobs if item.owner == uid)
    if not gone or job or running or started:
        return status, stale
    dna = status.current.dna if status.current else ""
    made = build.tree_job(model, settings, name=wanted, dna=dna, quarantine=status.quarantine, remove=gone)
    return status, (*stale, Create(made))


def current_link(
    snapshot: Snapshot, status: OneSeekModelStatus, settings: Settings
) -> tuple[tuple[Action, ...], ConditionRow | None, float | None]:
    """Have a Job move CURRENT to the current version; the condition CurrentPublished; seconds until the next look.

    Nothing waits for CURRENT. Without a current version the base model serves, and CURRENT is removed.
    """
    model, current, ours = snapshot.model, status.current, _own_jobs(snapshot, "tree")
    if current is None and not status.quarantine and model.status.current is None and not ours:
        return (), None, None
    if current:
        dna, since = current.dna, current.since
    else:
        last = status.quarantine[-1].since if status.quarantine else ""
        dna, since = "", status.selection.since if status.selection else last
    if current is None and not since:
        return _deletions(ours, ""), None, None
    wanted = build.tree_job_name(model, dna, since, status.quarantine)
    stale, job = _deletions(ours, wanted), owned_job(ours, wanted, model.metadata.uid)
    moving = _published("Moving", f"moving CURRENT to {dna or 'nothing'}", holds=False)
    if job is None:
        running = any(item.state == "Running" for item in (*ours, *_own_jobs(snapshot, "prune")))
        if running or imports.is_importing(model, snapshot.jobs, snapshot.pods):
            return stale, _published("Moving", "waiting for the tree Job before this one", holds=False), 2.0
        made = Create(build.tree_job(model, settings, name=wanted, dna=dna, quarantine=status.quarantine))
        return (*stale, made), moving, None
    if job.state == "Succeeded":
        return stale, _published("Published", f"CURRENT points at {dna or 'nothing'}"), None
    if job.state == "Failed":
        problem = failure_of(job, snapshot.pods, what="the tree Job")
        text = f"CURRENT could not be moved: {problem.message}"
        return stale, _published(problem.reason, text, holds=False), None
    return stale, moving, None


def _published(reason: str, message: str, *, holds: bool = True) -> ConditionRow:
    return ConditionRow(names.CURRENT_PUBLISHED, reason, message, holds)


def _own_jobs(snapshot: Snapshot, kind: str) -> list[JobView]:
    """The model's Jobs of a kind: tree or prune."""
    meta = snapshot.model.metadata
    return [job for job in snapshot.jobs if job.name.startswith(f"{meta.name}-{kind}-") and job.owner == meta.uid]


def _deletions(jobs: Sequence[JobView], wanted: str) -> tuple[Action, ...]:
    """Delete the Jobs that have ended, except the wanted one."""
    return tuple(Delete("Job", job.name, job.uid) for job in jobs if job.name != wanted and job.state != "Running")


def reset(
    snapshot: Snapshot, status: OneSeekModelStatus, settings: Settings, now: datetime
) -> tuple[OneSeekModelStatus, tuple[Action, ...], str]:
    """Once no pod or Job of a version runs, have a Job delete all versions; the sentence says what it waits for."""
    model, jobs, request = snapshot.model, snapshot.jobs, status.request
    if request is None:
        return status, (), ""
    if active := [run.metadata.name for run in snapshot.runs if is_active(run)]:
        return status, (), f"waiting for the run {active[0]!r} to stop"
    if left := _running_of_runs(snapshot):
        return status, (), f"waiting for {left} of a stopped run to go"
    if status.current is not None or any(item.dna for item in snapshot.deployments):
        return status, (), "the base model takes over; waiting for the versions' pods to go"
    job = owned_job(jobs, build.reset_job_name(model, request.id), model.metadata.uid)
    if job is None:
        if any(item.state == "Running" for item in jobs if item.owner == model.metadata.uid):
            return status, (), "waiting for another Job of the model"
        return status, (Create(build.reset_job(model, settings, request)),), "deleting the certified versions"
    if job.state == "Running":
        return status, (), "deleting the certified versions"
    if job.state == "Failed":
        problem = failure_of(job, snapshot.pods, what="the reset Job")
        failed = with_outcome(request, "Failed", problem.reason, problem.message, now)
        return status.model_copy(update={"request": failed}), (), ""
    count = sum(item.state != names.STATE_DELETED for item in status.versions)
    versions = [item.model_copy(update={"state": names.STATE_DELETED, "reason": None}) for item in status.versions]
    text = f"{count} certified versions are deleted; base model, ledger and counters are kept"
    changes = {
        "versions": versions,
        "quarantine": [],
        "previous": None,
        "candidate": None,
        "request": with_outcome(request, "Succeeded", names.DONE, text, now),
    }
    return status.model_copy(update=changes), (), ""


def _running_of_runs(snapshot: Snapshot) -> str:
    """A Job or pod of a run that still runs: it must not add a version to those that a reset deletes."""
    owners = {run.metadata.uid for run in snapshot.runs}
    found = [f"Job {job.name}" for job in snapshot.jobs if job.owner in owners and job.state == "Running"]
    pods = [pod for pod in snapshot.pods if names.LABEL_RUN in pod.labels and pod.phase in ("Pending", "Running")]
    found += [f"pod {pod.name}" for pod in pods]
    return found[0] if found else ""
