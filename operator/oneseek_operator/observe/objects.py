"""The parts of Kubernetes objects that decisions look at, parsed once at the border. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.serving.swap import WantedVersion
from oneseek_operator.observe.ownership import owner_of
from oneseek_operator.observe.refusals import FailedCreate
from oneseek_operator.resources.pod_access import Written

__all__ = [
    "AccessView",
    "ClaimView",
    "ContainerView",
    "DeploymentView",
    "JobView",
    "PodView",
    "PolicyView",
    "ServiceView",
    "TrustedKeysView",
    "WantedView",
    "failed_creates",
    "lacks_pod",
    "owner_of",
    "wanted_by_colour",
]

Object = Mapping[str, Any]
Speaks = Literal["tls", "plain", "before", ""]  # both with tokens by role; as the release before; not at all


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container's last word."""

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
    """A pod: is it ready (or not, and since when), where does it answer, and if it does not start, why."""

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
    ends_at: str = ""  # of one that is terminating: when its containers are killed
    unattached_since: str = ""  # it has its node, and no sandbox: its volumes do not come
    owner: str = ""  # uid of its controller: whose it is, whatever its labels say
    owner_kind: str = ""
    speaks: Speaks = ""

    @classmethod
    def parse(cls, pod: Object) -> PodView:
        """Read a pod as the API server returns it."""
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
        held = conditions.get("PodReadyToStartContainers", {})  # the sandbox is made after the volumes are there
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
        """Whether the sidecar is there to be asked, ready or not."""
        return any(item.name == "sidecar" and not item.waiting_reason for item in self.containers)

    @property
    def job(self) -> str:
        """Name of the Job that it says it belongs to, if any."""
        return self.labels.get("batch.kubernetes.io/job-name", "")


def _speaks(volumes: Sequence[Object]) -> Speaks:
    """How a pod talks to the model's others and they to it, by what was mounted into it for that."""
    for item in volumes:
        if item.get("name") == names.ACCESS_VOLUME:
            sources = item.get("projected", {}).get("sources", [])
            return "tls" if any("configMap" in source for source in sources) else "plain"
        if item.get("name") == names.ACCESS_VOLUME_BEFORE:
            return "before"
    return ""


def _ending(pod: Object) -> bool:
    """Whether a pod is over: its sandbox went away, it did not fail to come."""
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
    """A Job: whose it is and how it stands."""

    name: str
    uid: str
    owner: str
    state: Literal["Running", "Succeeded", "Failed"]
    reason: str
    message: str
    completed_at: str
    terminating: bool
    template: str = ""  # what it was made for, where its name does not say
    created: str = ""
    failed_create: FailedCreate | None = None  # what the Job controller says of a pod that it cannot make

    @classmethod
    def parse(cls, job: Object) -> JobView:
        """Read a Job as the API server returns it."""
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
    """What controllers say of pods that they cannot make, by the uid of the pod's owner; the newest word of each."""
    found: dict[str, FailedCreate] = {}
    for event in events:
        first = event.get("firstTimestamp") or event.get("eventTime") or ""
        last = event.get("lastTimestamp") or (event.get("series") or {}).get("lastObservedTime") or first
        if event.get("reason") != names.FAILED_CREATE or not first:
            continue
        uid = event["involvedObject"].get("uid", "")
        told, known = FailedCreate(event.get("message", ""), first[:19] + "Z", last[:19] + "Z"), found.get(uid)
        newest = max(told, known or told, key=lambda item: item.last)
        found[uid] = replace(newest, since=min(told.since, known.since if known else told.since))
    return found


def lacks_pod(job: JobView, pods: Sequence[PodView]) -> bool:
    """Whether a Job that has not ended has no pod that starts or runs."""
    alive = any(pod.owner == job.uid and pod.phase in ("Pending", "Running") for pod in pods)
    return job.state == "Running" and not job.terminating and not alive


@dataclass(frozen=True, slots=True)
class WantedView:
    """A colour's ConfigMap: which version its pods are to answer with."""

    version: WantedVersion
    uid: str


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A colour. Where it has a shape, `wanted` is what its ConfigMap says, and `dna` is that version's."""

    name: str
    owner: str
    colour: str
    dna: str | None
    replicas: int
    ready: int
    created: str
    terminating: bool
    shape: str = ""
    wanted: WantedVersion | None = None
    labelled: str | None = None  # the DNA in its own annotation, for people who look
    uid: str = ""
    failed_create: FailedCreate | None = None  # its ReplicaSet cannot make (all) its pods

    @classmethod
    def parse(cls, deployment: Object, wanted: Mapping[str, WantedView] | None = None) -> DeploymentView:
        """Read a Deployment as the API server returns it; `wanted` by colour."""
        meta = deployment["metadata"]
        notes, colour = meta.get("annotations", {}), meta.get("labels", {}).get(names.LABEL_COLOUR, "")
        shape, labelled = notes.get(names.ANNOTATION_TEMPLATE, ""), notes.get(names.ANNOTATION_DNA) or None
        found = (wanted or {}).get(colour) if shape else None
        version = found.version if found else None
        return cls(
            name=meta["name"],
            owner=owner_of(deployment),
            colour=colour,
            dna=version.dna if version else labelled,
            replicas=deployment["spec"].get("replicas", 1),
            ready=deployment.get("status", {}).get("readyReplicas", 0),
            created=meta.get("creationTimestamp", ""),
            terminating="deletionTimestamp" in meta,
            shape=shape,
            wanted=version,
            labelled=labelled,
            uid=meta["uid"],
            failed_create=_replica_failure(deployment),
        )


def _replica_failure(deployment: Object) -> FailedCreate | None:
    """The condition ReplicaFailure, where it is about pods that cannot be made."""
    for item in deployment.get("status", {}).get("conditions", []):
        if (item["type"], item["status"], item.get("reason")) == ("ReplicaFailure", "True", names.FAILED_CREATE):
            since = item.get("lastTransitionTime", "")
            return FailedCreate(item.get("message", ""), since, item.get("lastUpdateTime", since))
    return None


def wanted_by_colour(config_maps: Sequence[Object], owner: str) -> dict[str, WantedView]:
    """What the ConfigMaps of a model's colours say; one that a hand has spoilt says nothing and is written anew."""
    found = {}
    for item in config_maps:
        colour = item["metadata"].get("labels", {}).get(names.LABEL_COLOUR)
        text = item.get("data", {}).get(names.WANTED_FILE)
        if colour and text and owner_of(item) == owner:
            with suppress(ValidationError):
                found[colour] = WantedView(WantedVersion.from_wire(text), item["metadata"]["uid"])
    return found


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The model's Service: which colour it selects, since when."""

    owner: str
    colour: str
    flipped_at: str
    type: str
    ip: str = ""

    @classmethod
    def parse(cls, service: Object) -> ServiceView:
        """Read a Service as the API server returns it."""
        meta = service["metadata"]
        return cls(
            owner=owner_of(service),
            colour=service["spec"].get("selector", {}).get(names.LABEL_COLOUR, ""),
            flipped_at=meta.get("annotations", {}).get(names.ANNOTATION_FLIPPED_AT, ""),
            type=service["spec"].get("type", "ClusterIP"),
            ip=service["spec"].get("clusterIP", ""),
        )


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A NetworkPolicy that names the model."""

    name: str
    uid: str
    owner: str
    spec: Object

    @classmethod
    def parse(cls, policy: Object) -> PolicyView:
        """Read a NetworkPolicy as the API server returns it."""
        meta = policy["metadata"]
        return cls(name=meta["name"], uid=meta["uid"], owner=owner_of(policy), spec=policy["spec"])


@dataclass(frozen=True, slots=True)
class ClaimView:
    """The models claim; `is_ours`: made for a model of this name."""

    name: str
    phase: str
    is_ours: bool

    @classmethod
    def parse(cls, claim: Object, *, is_ours: bool) -> ClaimView:
        """Read a PersistentVolumeClaim as the API server returns it."""
        meta = claim["metadata"]
        return cls(name=meta["name"], phase=claim.get("status", {}).get("phase", "Pending"), is_ours=is_ours)


@dataclass(frozen=True, slots=True)
class TrustedKeysView:
    """The ConfigMap with the public keys."""

    ready: bool
    made: str | None
    others: tuple[str, ...]
    knows_records: bool = False  # that the Secret of the records service is the model's own

    @classmethod
    def parse(cls, config_map: Object) -> TrustedKeysView:
        """Read a ConfigMap as the API server returns it."""
        data = config_map.get("data", {})
        notes = config_map["metadata"].get("annotations", {})
        others = tuple(value for key, value in sorted(data.items()) if key != "model.pub")
        return cls(
            ready=notes.get(names.ANNOTATION_KEYS) == "ready",
            made=data.get("model.pub"),
            others=others,
            knows_records=notes.get(names.ANNOTATION_RECORDS) == "made",
        )


@dataclass(frozen=True, slots=True)
class AccessView:
    """The ConfigMap that says whom a model's parts trust, and what was written of their Secrets."""

    bundle: str
    written: Written

    @classmethod
    def parse(cls, config_map: Object) -> AccessView | None:
        """Read a ConfigMap as the API server returns it; one whose note a hand has spoilt is none, and is written anew."""
        note = config_map["metadata"].get("annotations", {}).get(names.ANNOTATION_ACCESS, "")
        try:
            return cls(config_map.get("data", {}).get("ca.crt", ""), Written.from_wire(note))
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class IdentityView:
    """The sidecars' account: which of its objects say what they must, and the binding of those who review tokens."""

    templates: frozenset[tuple[str, str]] = frozenset()  # kind, hash of what was applied
    reviewers: Object | None = None
    policy: bool = True  # the API server holds writers to the admission policies

    @classmethod
    def parse(cls, found: Sequence[Object], reviewers: Object | None, *, policy: bool) -> IdentityView:
        """Read the objects as the API server returns them."""
        said = [(item["kind"], item["metadata"].get("annotations", {})) for item in found]
        hashes = frozenset((kind, notes.get(names.ANNOTATION_TEMPLATE, "")) for kind, notes in said)
        return cls(hashes, reviewers, policy)


def mine(jobs: Sequence[JobView], name: str, owner: str) -> JobView | None:
    """The Job of that name, if its controller is `owner`, by uid."""
    return next((job for job in jobs if (job.name, job.owner) == (name, owner)), None)
