"""Pods and Jobs as decisions look at them, parsed from the API server's objects. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from oneseek_core import names
from oneseek_operator.observe.ownership import owner_of
from oneseek_operator.observe.refusals import FailedCreate

__all__ = ["ContainerView", "JobView", "PodView", "failed_creates", "lacks_pod", "owned_job"]

Object = Mapping[str, Any]
Speaks = Literal["tls", "plain", "before", ""]  # the first two with tokens by role; as the previous release; not at all


@dataclass(frozen=True, slots=True)
class ContainerView:
    """The last state of a container."""

    name: str
    waiting_reason: str = ""
    waiting_message: str = ""
    exit_code: int | None = None
    terminated_reason: str = ""
    message: str = ""
    restarts: int = 0
    memory_limit: str = ""


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod: is it ready and since when, where does it listen, and why does it not start."""

    name: str
    uid: str
    phase: str
    ip: str
    labels: Mapping[str, str]
    ready: bool
    ready_since: str
    terminating: bool
    containers: tuple[ContainerView, ...]
    unschedulable: str
    unschedulable_since: str
    created: str
    ends_at: str = ""  # of a terminating pod: when its containers are killed
    unattached_since: str = ""  # it has a node, but no sandbox: its volumes are not attached
    owner: str = ""  # uid of its controller
    owner_kind: str = ""
    speaks: Speaks = ""

    @classmethod
    def parse(cls, pod: Object) -> PodView:
        """Parse a pod."""
        status = pod.get("status", {})
        conditions = {item["type"]: item for item in status.get("conditions", [])}
        scheduled = conditions.get("PodScheduled", {})
        stuck = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        limits = {
            container["name"]: container.get("resources", {}).get("limits", {}).get("memory", "")
            for container in [*pod["spec"].get("initContainers", []), *pod["spec"].get("containers", [])]
        }
        statuses = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        meta = pod["metadata"]
        held = conditions.get("PodReadyToStartContainers", {})  # the sandbox is created after the volumes are mounted
        unattached = scheduled.get("status") == "True" and held.get("status") == "False" and not _ending(pod)
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            phase=status.get("phase", "Pending"),
            ip=status.get("podIP", ""),
            labels=meta.get("labels", {}),
            ready=conditions.get("Ready", {}).get("status") == "True",
            ready_since=conditions.get("Ready", {}).get("lastTransitionTime", ""),
            terminating="deletionTimestamp" in meta,
            containers=tuple(_container(item, limits.get(item["name"], "")) for item in statuses),
            unschedulable=scheduled.get("message", "") if stuck else "",
            unschedulable_since=scheduled.get("lastTransitionTime", "") if stuck else "",
            created=meta.get("creationTimestamp", ""),
            ends_at=meta.get("deletionTimestamp", ""),
            unattached_since=held.get("lastTransitionTime", "") if unattached else "",
            owner=owner_of(pod),
            owner_kind=next(
                (ref.get("kind", "") for ref in meta.get("ownerReferences", []) if ref.get("controller")), ""
            ),
            speaks=_speaks(pod["spec"].get("volumes") or []),
        )

    @property
    def sidecar_runs(self) -> bool:
        """Whether the sidecar runs, ready or not."""
        return any(item.name == "sidecar" and not item.waiting_reason for item in self.containers)

    @property
    def job(self) -> str:
        """The Job that its labels name."""
        return self.labels.get("batch.kubernetes.io/job-name", "")


def _speaks(volumes: Sequence[Object]) -> Speaks:
    """How the pod and the model's others authenticate each other, by its access volume."""
    for item in volumes:
        if item.get("name") == names.ACCESS_VOLUME:
            sources = item.get("projected", {}).get("sources", [])
            return "tls" if any("configMap" in source for source in sources) else "plain"
        if item.get("name") == names.ACCESS_VOLUME_BEFORE:
            return "before"
    return ""


def _ending(pod: Object) -> bool:
    """Whether a pod has ended, so that its missing sandbox is no failure."""
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _container(status: Object, memory_limit: str) -> ContainerView:
    waiting = status.get("state", {}).get("waiting", {})
    # A crash-looping container shows its end under lastState while it waits for the next try.
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated") or {}
    return ContainerView(
        name=status["name"],
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        exit_code=ended.get("exitCode"),
        terminated_reason=ended.get("reason", ""),
        message=ended.get("message", ""),
        restarts=status.get("restartCount", 0),
        memory_limit=memory_limit,
    )


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job: its owner and its state."""

    name: str
    uid: str
    owner: str
    state: Literal["Running", "Succeeded", "Failed"]
    reason: str
    message: str
    completed_at: str
    terminating: bool
    template: str = ""  # hash of what it was created for
    created: str = ""
    failed_create: FailedCreate | None = None  # what the Job controller reports of a pod that it cannot create

    @classmethod
    def parse(cls, job: Object) -> JobView:
        """Parse a Job."""
        conditions = {item["type"]: item for item in job.get("status", {}).get("conditions", [])}
        state: Literal["Running", "Succeeded", "Failed"] = "Running"
        ended: Object = {}
        for kind, meaning in (("Complete", "Succeeded"), ("Failed", "Failed")):
            if conditions.get(kind, {}).get("status") == "True":
                state, ended = meaning, conditions[kind]  # type: ignore[assignment]
        meta = job["metadata"]
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            owner=owner_of(job),
            state=state,
            reason=ended.get("reason", ""),
            message=ended.get("message", ""),
            completed_at=job.get("status", {}).get("completionTime", ""),
            terminating="deletionTimestamp" in meta,
            template=meta.get("annotations", {}).get(names.ANNOTATION_TEMPLATE, ""),
            created=meta.get("creationTimestamp", ""),
        )


def failed_creates(events: Sequence[Object]) -> dict[str, FailedCreate]:
    """What controllers report of pods that they cannot create, by the owner's uid; the newest Event of each."""
    found: dict[str, FailedCreate] = {}
    for event in events:
        first = event.get("firstTimestamp") or event.get("eventTime") or ""
        last = event.get("lastTimestamp") or (event.get("series") or {}).get("lastObservedTime") or first
        if event.get("reason") != names.FAILED_CREATE or not first:
            continue
        uid = event["involvedObject"].get("uid", "")
        report, known = FailedCreate(event.get("message", ""), first[:19] + "Z", last[:19] + "Z"), found.get(uid)
        newest = max(report, known or report, key=lambda item: item.last)
        found[uid] = replace(newest, since=min(report.since, known.since if known else report.since))
    return found


def lacks_pod(job: JobView, pods: Sequence[PodView]) -> bool:
    """Whether a Job that has not ended has no pending or running pod."""
    alive = any(pod.owner == job.uid and pod.phase in ("Pending", "Running") for pod in pods)
    return job.state == "Running" and not job.terminating and not alive


def owned_job(jobs: Sequence[JobView], name: str, owner: str) -> JobView | None:
    """The Job of that name whose controller is `owner`, by uid."""
    return next((job for job in jobs if (job.name, job.owner) == (name, owner)), None)
