"""Why a pod failed or does not start: a reason, and a sentence that a person can act on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.jobs.messages import parse_failure
from oneseek_operator.conditions import PATIENCE, Verdict
from oneseek_operator.observe.pods import ContainerView, JobView, PodView
from oneseek_operator.observe.refusals import FailedCreate, reason_of, sentence

__all__ = [
    "Problem",
    "container_failure",
    "container_problem",
    "failure_of",
    "lasts",
    "not_made",
    "pending_problem",
    "report_text",
    "waiting_problem",
    "with_problem",
]

_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CANNOT_START = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason and a sentence; `since`: when a pod that does not start was created."""

    reason: str
    message: str
    since: str = ""


def lasts(problem: Problem, now: datetime) -> bool:
    """Whether a pod has not started for so long that a person is needed."""
    return bool(problem.since) and now - datetime.fromisoformat(problem.since) >= PATIENCE


def with_problem(problem: Problem | None, working: Verdict, now: datetime) -> tuple[Verdict, float | None]:
    """`working`, or the problem that blocks it; and the seconds until that counts as stalled.

    Stalled is not final: once the pod starts, work goes on.
    """
    if problem is None:
        return working, None
    if lasts(problem, now):
        return Verdict("Failed", problem.reason, problem.message), None
    left = (datetime.fromisoformat(problem.since) + PATIENCE - now).total_seconds() + 0.1 if problem.since else None
    return Verdict("Working", problem.reason, problem.message), left


def report_text(pods: Sequence[PodView], job: JobView) -> str:
    """The termination message of the Job's pod that succeeded; empty if it is gone."""
    for pod in pods:
        if pod.owner == job.uid and pod.phase == "Succeeded":
            return next((item.message for item in pod.containers if item.name == "main"), "")
    return ""


def waiting_problem(pods: Sequence[PodView], job: JobView | None) -> Problem | None:
    """Why the Job's pod does not run yet, if that is worth reporting."""
    if job is None:
        return None
    own = [pod for pod in pods if pod.owner == job.uid]
    return pending_problem(own) or not_made(job.failed_create, own, f"Job {job.name!r}", made=job.created)


def pending_problem(pods: Sequence[PodView]) -> Problem | None:
    """Why one of the pods does not start."""
    for pod in pods:
        if pod.phase != "Pending":
            continue
        if pod.unschedulable:
            about_claim = (
                "persistentvolumeclaim" in pod.unschedulable.lower() or "persistent volume" in pod.unschedulable
            )
            reason = names.CLAIM_NOT_BOUND if about_claim else names.UNSCHEDULABLE
            return Problem(reason, f"no node takes pod {pod.name}: {pod.unschedulable}", since=pod.created)
        if problem := container_problem(pod):
            return problem
    return None


def not_made(failed: FailedCreate | None, pods: Sequence[PodView], owner: str, *, made: str) -> Problem | None:
    """Why a controller creates no pod for `owner`, created at `made`; None if it created one since it reported that."""
    if failed is None or any(pod.phase in ("Pending", "Running") or pod.created >= failed.last for pod in pods):
        return None
    reason = reason_of(failed.message, 0) or names.FAILED_CREATE
    since = failed.since if pods or not made else min(failed.since, made)
    return Problem(reason, f"no pod is made for {owner}: {sentence(failed.message)}", since=since)


def container_problem(pod: PodView) -> Problem | None:
    """A container that cannot be started."""
    for container in pod.containers:
        if container.waiting_reason in _PULL:
            text = container.waiting_message or container.waiting_reason
            message = f"pod {pod.name} cannot pull its image: {text}"
            return Problem(names.IMAGE_UNAVAILABLE, message, since=pod.created)
        if container.waiting_reason in _CANNOT_START:
            message = f"pod {pod.name} cannot start: {container.waiting_message}"
            return Problem(names.JOB_FAILED, message, since=pod.created)
    return None


def failure_of(job: JobView, pods: Sequence[PodView], *, what: str) -> Problem:
    """Why a Job failed; `what` names it in the sentence (`the train pod`)."""
    if job.reason == "DeadlineExceeded":
        return Problem(
            names.DEADLINE_EXCEEDED, f"{what} ran longer than spec.activeDeadlineSeconds allows and was stopped"
        )
    ended = [
        (pod, container)
        for pod in pods
        if pod.owner == job.uid
        for container in pod.containers
        if container.exit_code not in (None, 0)
    ]
    for pod, container in ended:
        return container_failure(container, what=what, pod=pod.name)
    return Problem(names.JOB_FAILED, f"{what} failed: {job.reason}: {job.message}".rstrip(": "))


def container_failure(container: ContainerView, *, what: str, pod: str) -> Problem:
    """Why a container ended with an error."""
    if container.terminated_reason == "OOMKilled":
        limit = f"its memory limit of {container.memory_limit}" if container.memory_limit else "the node's memory limit"
        return Problem(names.OUT_OF_MEMORY, f"{what} was killed at {limit} (pod {pod}); raise resources.limits.memory")
    if failure := parse_failure(container.message):
        return Problem(failure.reason, failure.message)
    last = next((line.strip() for line in reversed(container.message.splitlines()) if line.strip()), "")
    name = "" if container.name == "main" else f" in container {container.name}"
    return Problem(
        names.JOB_FAILED,
        f"{what} exited with code {container.exit_code}{name} (pod {pod}): {last or 'it failure nothing'}",
    )
