"""The snapshot that all decisions about a model are made on: what one reconcile read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.sidecar import SidecarState
from oneseek_core.serving.swap import SwapState
from oneseek_operator.observe.objects import (
    AccessView,
    ClaimView,
    DeploymentView,
    IdentityView,
    PolicyView,
    ServiceView,
    TrustedKeysView,
    WantedView,
)
from oneseek_operator.observe.pod_failures import Problem, not_made, pending_problem
from oneseek_operator.observe.pods import JobView, PodView
from oneseek_operator.observe.refusals import FailedCreate
from oneseek_operator.observe.run import is_active

__all__ = [
    "Endpoint",
    "RecordsView",
    "ServiceAnswer",
    "Snapshot",
    "has_writers",
    "is_records",
    "is_resetting",
    "wanted_replicas",
    "wants_tokens",
]


@dataclass(frozen=True, slots=True)
class RecordsView:
    """The records service: its objects, what the ledger acknowledged in this reconcile, or why it did not."""

    template: str | None = None  # hash that the StatefulSet was applied with; None: there is none of this model
    ready: bool = False
    service: str | None = None  # hash that its Service was applied with
    acknowledged: tuple[str, ...] = ()  # idempotency keys of the transitions that are durable
    refused: tuple[str, ...] = ()  # a sentence for each transition of the outbox that the ledger refuses
    witness: LedgerHead | None = None  # the head that the ledger must contain
    head: LedgerHead | None = None  # the head that was found
    rolled_back: bool = False  # the ledger that was found does not contain the witness; `error` says how
    error: str = ""
    uid: str = ""
    created: str = ""
    replicas: int = 1
    failed_create: FailedCreate | None = None
    left_claim: bool = False  # there is no StatefulSet, but the claim of one of this name, from a deleted model

    @property
    def reason(self) -> str:
        """The reason why nothing is appended to the ledger."""
        return names.LEDGER_ROLLED_BACK if self.rolled_back else names.RECORDS_UNAVAILABLE

    @property
    def away(self) -> str:
        """Why nothing can be appended to the ledger; empty if it can."""
        return self.error or ("" if self.ready else "the records pod is not ready")

    def lacks_pod(self, pods: Sequence[PodView]) -> bool:
        """Whether the StatefulSet should have a pod, and none is pending or running."""
        alive = any(pod.owner == self.uid and pod.phase in ("Pending", "Running") for pod in pods)
        return self.template is not None and self.replicas > 0 and not self.ready and not alive

    def problem(self, pods: Sequence[PodView]) -> Problem | None:
        """What keeps the service from starting, if its pod or the pod's controller reports it."""
        if self.ready or self.template is None:
            return None
        own = [pod for pod in pods if pod.owner == self.uid]
        return pending_problem(own) or not_made(self.failed_create, own, "the records service", made=self.created)


def is_records(pod: PodView) -> bool:
    """Whether a pod is labelled as the records service's."""
    return pod.labels.get(names.LABEL_COMPONENT) == "records"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a pod's sidecar answered, or why it did not."""

    state: SidecarState | None = None  # None: no answer
    error: str = ""
    refused: bool = False  # nothing listens at the address
    alien: bool = False  # it has another key or authority of the operator's, and answers clients all the same
    unreachable_seconds: float = 0.0  # since when it has not answered, or no order reached it
    verdict: VerifyReport | None = None

    @property
    def dna(self) -> str | None:
        """The DNA that the sidecar reports; None for the base model, and without an answer."""
        return self.state.dna if self.state else None

    def serves(self, dna: str | None) -> bool:
        """Whether the sidecar is ready and reports `dna` (None: the base model)."""
        return self.state is not None and self.state.ready and self.state.dna == dna


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What answered a fresh connection through the Service: the name of a version or base model, or the error."""

    name: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one reconcile of a model read. Decisions look at nothing else, and change nothing in it."""

    model: OneSeekModel
    """The object as it was read; its status is what the last reconcile decided."""
    claim: ClaimView | None
    """The PersistentVolumeClaim with base model and versions."""
    trusted: TrustedKeysView | None
    """The ConfigMap with the public keys; None also if another model owns the name."""
    jobs: tuple[JobView, ...]
    """Jobs labelled with the model: base, tree, import, and those of its runs."""
    pods: tuple[PodView, ...]
    """Pods labelled with the model, without serving pods that another controller made."""
    deployments: tuple[DeploymentView, ...]
    """The model's own Deployments, one a colour."""
    service: ServiceView | None
    """The Service that clients use; its selector is the truth about which colour answers."""
    runs: tuple[TrainingRun, ...]
    """The TrainingRuns that name the model."""
    records: RecordsView
    """The records service and the ledger in it."""
    identity: IdentityView
    """The sidecars' ServiceAccount and its rights."""
    access: AccessView | None
    """The ConfigMap that says which certificates and tokens the model's pods trust."""
    authorities: tuple[str, ...]
    """Fingerprints of the certificate authorities that the model's pods are to trust."""
    bundle: str
    """Their certificates, PEM."""
    endpoints: Mapping[str, Endpoint]
    """What each serving pod's sidecar answered, by pod name; a pod that was not asked is missing."""
    wanted: Mapping[str, WantedView] = field(default_factory=dict)
    """The version that each colour's ConfigMap names, by colour."""
    service_answer: ServiceAnswer | None = None
    """What a fresh connection through the Service was answered by; None: it was not asked."""
    policies: tuple[PolicyView, ...] = ()
    """NetworkPolicies labelled with the model."""

    @property
    def serving(self) -> str | None:
        """The colour that the Service selects."""
        return self.service.colour if self.service else None

    @property
    def current_dna(self) -> str | None:
        """The DNA of `status.current`; None: the base model."""
        return self.model.status.current.dna if self.model.status.current else None

    @property
    def quarantined(self) -> frozenset[str]:
        """The DNAs in `status.quarantine`."""
        return frozenset(item.dna for item in self.model.status.quarantine)

    def deployment_of(self, colour: str | None) -> DeploymentView | None:
        """The colour's Deployment."""
        return next((item for item in self.deployments if item.colour == colour), None)

    def dna_of(self, colour: str | None) -> str | None:
        """The DNA that the colour's pods are to serve; None for the base model, and for an unknown colour."""
        there = self.deployment_of(colour)
        return there.dna if there else None

    def pods_of(self, colour: str) -> list[PodView]:
        """Pods of a colour that are not terminating."""
        return [pod for pod in self.pods if pod.labels.get(names.LABEL_COLOUR) == colour and not pod.terminating]

    def endpoint(self, pod: PodView) -> Endpoint:
        """What the pod's sidecar answered."""
        return self.endpoints.get(pod.name, Endpoint())

    def confirms(self, colour: str, dna: str | None) -> bool:
        """Whether the sidecar of a ready pod of the colour reports `dna`."""
        return any(pod.ready and self.endpoint(pod).serves(dna) for pod in self.pods_of(colour))

    def swaps_of(self, colour: str) -> list[tuple[str, SwapState]]:
        """Address and swap state of each pod of the colour that can change its version."""
        found = [(pod.ip, self.endpoint(pod).state) for pod in self.pods_of(colour)]
        return [(ip, state.swap) for ip, state in found if state is not None and state.swap is not None]


def has_writers(snapshot: Snapshot) -> bool:
    """Whether anything has to write to the records service, or may have to: an answer, a transition, a run's window."""
    status = snapshot.model.status
    requested = status.request is not None and status.request.outcome == "Pending"
    serving = any(names.LABEL_COLOUR in pod.labels for pod in snapshot.pods)
    return bool(requested or serving or status.outbox or any(is_active(run) for run in snapshot.runs))


def wants_tokens(model: OneSeekModel) -> bool:
    """Whether changes over HTTP need a Kubernetes token."""
    return model.spec.serving.auth.mode == "Token"


def wanted_replicas(model: OneSeekModel) -> int:
    """Replicas of the colour that serves; 0 while the model is suspended."""
    return 0 if model.spec.suspend else model.spec.serving.replicas


def is_resetting(model: OneSeekModel) -> bool:
    """Whether an accepted reset is under way."""
    request = model.status.request
    return request is not None and request.outcome == "Pending" and request.reason == names.RESETTING
