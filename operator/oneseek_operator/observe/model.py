"""What the decisions about a model look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead, Version
from oneseek_core.api.v1alpha1.training_run import TrainingRun
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
from oneseek_operator.observe.rollout import Endpoint, ServiceAnswer
from oneseek_operator.observe.run import is_active
from oneseek_operator.rollout import plan
from oneseek_operator.versions import states

__all__ = [
    "RecordsView",
    "Snapshot",
    "is_records",
    "known_versions",
    "records_away",
    "rollout_view",
    "wants_tokens",
    "writers",
]


@dataclass(frozen=True, slots=True)
class RecordsView:
    """The records service: what of it is there, what the ledger acknowledged just now, or why it did not."""

    template: str | None = None
    ready: bool = False
    service: str | None = None  # what its Service was applied as
    acknowledged: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # a sentence for each transition in the outbox that the ledger will not take
    witness: LedgerHead | None = None  # the ledger that must go on
    head: LedgerHead | None = None  # the ledger as it was found
    rolled_back: bool = False  # what was found does not go on from the witness; `error` says how
    error: str = ""
    uid: str = ""
    created: str = ""
    replicas: int = 1
    failed_create: FailedCreate | None = None
    left_claim: bool = False  # without a StatefulSet: the claim of one of this name, from a model that was deleted

    @property
    def reason(self) -> str:
        """In one word, why nothing is entered into the ledger just now."""
        return names.LEDGER_ROLLED_BACK if self.rolled_back else names.RECORDS_UNAVAILABLE

    def lacks_pod(self, pods: Sequence[PodView]) -> bool:
        """Whether there is a StatefulSet, and no pod of it that starts or runs."""
        alive = any(pod.owner == self.uid and pod.phase in ("Pending", "Running") for pod in pods)
        return self.template is not None and self.replicas > 0 and not self.ready and not alive

    def problem(self, pods: Sequence[PodView]) -> Problem | None:
        """What keeps the service from starting, if its pod or the pod's controller says so."""
        if self.ready or self.template is None:
            return None
        own = [pod for pod in pods if pod.owner == self.uid]
        return pending_problem(own) or not_made(self.failed_create, own, "the records service", made=self.created)


def is_records(pod: PodView) -> bool:
    """Whether a pod is labelled as the records service's."""
    return pod.labels.get(names.LABEL_COMPONENT) == "records"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is, as far as a model is concerned."""

    model: OneSeekModel
    claim: ClaimView | None
    trusted: TrustedKeysView | None
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    deployments: tuple[DeploymentView, ...]
    service: ServiceView | None
    runs: tuple[TrainingRun, ...]
    records: RecordsView
    identity: IdentityView
    access: AccessView | None
    authorities: tuple[str, ...]  # fingerprints of those whom a model's parts are to trust
    bundle: str  # their certificates
    endpoints: Mapping[str, Endpoint]
    wanted: Mapping[str, WantedView] = field(default_factory=dict)
    service_answer: ServiceAnswer | None = None
    policies: tuple[PolicyView, ...] = ()


def known_versions(model: OneSeekModel, runs: tuple[TrainingRun, ...]) -> tuple[list[Version], dict[str, str]]:
    """All versions, those that miss the gate among them as Rejected; and why each of these does."""
    found = states.merged(model.status.versions, states.certified_by(runs))
    current = model.status.current.dna if model.status.current else None
    return states.gated(states.barred(found, model.status.quarantine), current, model.spec.promotion.gate)


def rollout_view(snapshot: Snapshot) -> plan.Snapshot:
    """The part of the world that a rollout looks at."""
    known, missed = known_versions(snapshot.model, snapshot.runs)
    return plan.Snapshot(
        model=snapshot.model,
        versions=tuple(known),
        missed=missed,
        records_away=records_away(snapshot),
        deployments=snapshot.deployments,
        pods=snapshot.pods,
        service=snapshot.service,
        endpoints=snapshot.endpoints,
        wanted=snapshot.wanted,
        service_answer=snapshot.service_answer,
    )


def records_away(snapshot: Snapshot) -> str:
    """Why the ledger takes nothing just now; empty where it does."""
    return snapshot.records.error or ("" if snapshot.records.ready else "the records pod is not ready")


def writers(snapshot: Snapshot) -> bool:
    """Whether somebody has to write to the records service, or may have to: an answer, a transition, a run's window."""
    status = snapshot.model.status
    asked = status.request is not None and status.request.outcome == "Pending"
    serving = any(names.LABEL_COLOUR in pod.labels for pod in snapshot.pods)
    return bool(asked or serving or status.outbox or any(is_active(run) for run in snapshot.runs))


def wants_tokens(model: OneSeekModel) -> bool:
    """Whether those who change things over HTTP are asked who they are."""
    return model.spec.serving.auth.mode == "Token"
