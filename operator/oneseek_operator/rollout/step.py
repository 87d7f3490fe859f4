"""What the strategies share: the desired state, the context of one step, its result, and how a colour is started. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import CandidateRef, Version
from oneseek_core.serving.swap import WantedVersion
from oneseek_operator.actions import Action, Apply, Scale
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.model import Snapshot, wanted_replicas
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.resources import serving as build
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout.strategy import ChosenStrategy
from oneseek_operator.settings import Settings
from oneseek_operator.versions.selection import Choice

__all__ = [
    "DesiredState",
    "RolloutContext",
    "RolloutStep",
    "apply_wanted",
    "bring_up",
    "candidate_of",
    "colour_for",
    "scale_serving",
]


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The choice as colours: the one that should serve, and the one that is previewed until a person promotes it."""

    choice: Choice
    target: Colour
    preview: Colour | None


@dataclass(frozen=True, slots=True)
class RolloutContext:
    """What a step depends on; `strategy` is None while nothing is rolled out."""

    snapshot: Snapshot
    desired: DesiredState
    strategy: ChosenStrategy | None
    settings: Settings
    now: datetime

    @property
    def waits_for_ledger(self) -> bool:
        """Whether taking over would be a promotion that the ledger cannot record now; going back never waits."""
        target = self.desired.target
        promotion = self.desired.choice.is_forward and target.dna is not None
        return bool(self.snapshot.records.away) and promotion and self.snapshot.current_dna != target.dna

    def is_current(self, colour: Colour) -> bool:
        """Whether the colour serves the current version (or base model), if with another template."""
        return colour.dna == self.snapshot.current_dna


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """What to do next, and the state of the rollout afterwards.

    `serving`: the colour that the Service selects afterwards; if it selects another one now, this step flips it.
    `swapped`: from this step on, the pods of the serving colour serve the version of `target`.
    """

    serving: str
    target: Colour
    preview: Colour | None
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    candidate: CandidateRef | None = None
    ready: bool = True  # what is rolled out or previewed has passed its analysis
    rolling: Colour | None = None  # the colour that is rolled out; None: none
    held: Problem | None = None  # what the step waits for, if no pod reports it
    swapped: bool = False


def colour_for(snapshot: Snapshot, version: Version | None, settings: Settings) -> Colour:
    """The colour that serves the version (None: the base model): an existing one, else one with a new name."""
    model = snapshot.model
    dna, digest = (version.dna, version.digest) if version else (None, None)
    fresh = build.colour_of(model, settings, dna=dna, digest=digest)
    if not fresh.shape:
        return fresh
    there = snapshot.deployments
    same = [item for item in there if item.shape == fresh.shape and item.dna == dna and not item.terminating]
    taken, name, number = {item.colour for item in there}, fresh.key, 0
    if same:
        name = min(same, key=lambda item: (item.colour != snapshot.serving, item.colour)).colour
    else:
        while name in taken:  # a colour of this name was created for the version and serves another one since
            number += 1
            name = names.short_hash(fresh.key, str(number))
    return build.colour_of(model, settings, dna=dna, digest=digest, name=name)


def candidate_of(colour: Colour, old: CandidateRef | None, now: datetime) -> CandidateRef | None:
    """The colour's version as `status.candidate`; `old` is kept if it names the same version."""
    if old and old.dna == colour.dna:
        return old
    if colour.dna is None or colour.digest is None:
        return None
    return CandidateRef(dna=colour.dna, digest=colour.digest, since=timestamp(now))


def bring_up(snapshot: Snapshot, target: Colour) -> tuple[Action, ...]:
    """Create the colour's Deployment, and before it the ConfigMap that its pods read; update what differs."""
    model, replicas = snapshot.model, wanted_replicas(snapshot.model)
    there = snapshot.deployment_of(target.name)
    first = WantedVersion(dna=target.dna, digest=target.digest, serial=1)
    if there is None or there.terminating:
        if target.shape:
            return apply_wanted(model, target, first, replicas=replicas)
    elif target.shape and (there.wanted is None or there.labelled != target.dna):
        return apply_wanted(model, target, there.wanted or first, replicas=replicas)
    elif there.replicas == replicas:
        return ()
    return (Apply(build.deployment(model, target, replicas=replicas)),)


def apply_wanted(model: OneSeekModel, colour: Colour, version: WantedVersion, *, replicas: int) -> tuple[Action, ...]:
    """Write which version the colour's pods serve, and the Deployment, which is annotated with it."""
    return (Apply(build.wanted(model, colour.name, version)), Apply(build.deployment(model, colour, replicas=replicas)))


def scale_serving(snapshot: Snapshot, colour: str) -> tuple[Action, ...]:
    """Give the serving colour the replicas that the spec wants while another colour is rolled out."""
    wanted = wanted_replicas(snapshot.model)
    return tuple(
        Scale(item.name, wanted, item.uid)
        for item in snapshot.deployments
        if item.colour == colour and item.replicas != wanted and not item.terminating
    )
