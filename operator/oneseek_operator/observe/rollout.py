"""The part of the world a rollout looks at: colours, their pods, and what these said of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.observe.objects import DeploymentView, ServiceView, WantedView
from oneseek_operator.observe.pods import PodView

__all__ = ["Endpoint", "ServiceAnswer", "Snapshot", "wanted_replicas"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a pod's sidecar said, or why it said nothing.

    `refused`: nothing listens there. `alien`: it was made with another key or authority of the operator's, and answers
    clients all the same. `untold_seconds`: for how long it has been silent, or has taken no order.
    """

    state: SidecarState | None = None
    error: str = ""
    refused: bool = False
    alien: bool = False
    unreachable_seconds: float = 0.0
    verdict: VerifyReport | None = None

    @property
    def dna(self) -> str | None:
        """What the sidecar reports; None also for the base model, and where it says nothing."""
        return self.state.dna if self.state else None

    def serves(self, dna: str | None) -> bool:
        """Whether the sidecar itself reports `dna` (None: the base model) and is ready."""
        return self.state is not None and self.state.ready and self.state.dna == dna


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What a fresh connection through the Service was answered by: the name of a version or base model, or why by none."""

    name: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a rollout decides on."""

    model: OneSeekModel
    versions: tuple[Version, ...]
    deployments: tuple[DeploymentView, ...]
    pods: tuple[PodView, ...]
    service: ServiceView | None
    endpoints: Mapping[str, Endpoint]
    wanted: Mapping[str, WantedView] = field(default_factory=dict)  # by colour, as the ConfigMaps say
    records_away: str = ""  # why the ledger cannot be written, if it cannot
    missed: Mapping[str, str] = field(default_factory=dict)  # versions that miss the gate, and why
    service_answer: ServiceAnswer | None = None  # only where it was asked

    @property
    def serving(self) -> str | None:
        """The colour that the Service selects: the truth about who answers."""
        return self.service.colour if self.service else None

    def pods_of(self, colour: str) -> list[PodView]:
        """Pods of a colour that are not on their way out."""
        return [pod for pod in self.pods if pod.labels.get(names.LABEL_COLOUR) == colour and not pod.terminating]

    def endpoint(self, pod: PodView) -> Endpoint:
        """What the pod's sidecar said."""
        return self.endpoints.get(pod.name, Endpoint())

    def confirms(self, colour: str, dna: str | None) -> bool:
        """Whether a ready pod's sidecar itself reports `dna`."""
        return any(pod.ready and self.endpoint(pod).serves(dna) for pod in self.pods_of(colour))


def wanted_replicas(model: OneSeekModel) -> int:
    """Pods of the colour that serves; none while the model is suspended."""
    return 0 if model.spec.suspend else model.spec.serving.replicas
