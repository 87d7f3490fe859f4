"""HotSwap as the operator sees it: the ConfigMap of the colour that answers names another version, and its pod follows. Pure.

The ConfigMap has the place here that the Service's selector has in BlueGreen: it is the truth about which version is to
answer. Before it changes, the pod has the candidate loaded and probed and holds it back; afterwards it is told at once,
and told again whenever it turns out not to know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import CandidateRef
from oneseek_core.serving.swap import SwapRequest, SwapState, WantedVersion
from oneseek_operator.actions import Action, Apply, Delete, Swap
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.objects import DeploymentView, WantedView
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.observe.rollout import Snapshot, wanted_replicas
from oneseek_operator.resources import serving as build
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout.previous import may_keep

__all__ = ["Step", "bring_up", "failure", "orphans", "reminders", "step"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at a swap asks for; `ready`: proved, or in no need of proof; `flipped`: from now on it answers."""

    before: tuple[Action, ...]
    after: tuple[Action, ...]
    candidate: CandidateRef | None
    ready: bool
    flipped: bool = False


def step(
    snapshot: Snapshot, target: Colour, candidate: CandidateRef | None, now: datetime, *, back: bool, may_flip: bool
) -> Step:
    """Have the pod that answers load and prove `target`, then let it answer. `target` has the serving colour's name."""
    there = next(item for item in snapshot.deployments if item.colour == snapshot.serving)
    wanted = there.wanted or WantedVersion()
    ready = back or candidate is None or candidate.proved_at is not None
    if not ready and candidate and any(_is_held(swap, target) for _, swap in _pods(snapshot, there.colour)):
        candidate, ready = candidate.model_copy(update={"proved_at": timestamp(now)}), True
    version = WantedVersion(dna=target.dna, digest=target.digest, serial=wanted.serial)
    if ready and may_flip:
        left = wanted.dna
        keep = (
            left
            if left and left != target.dna and not back and may_keep(snapshot.model, left, target.dna, now)
            else None
        )
        flipped = version.model_copy(update={"serial": wanted.serial + 1})
        return Step(
            before=_written(snapshot.model, target, flipped, replicas=there.replicas),
            after=tuple(Swap(ip, _order(flipped, keep=keep)) for ip, _ in _pods(snapshot, there.colour)),
            candidate=candidate,
            ready=True,
            flipped=True,
        )
    held = _order(version, hold=True, probes=snapshot.model.spec.promotion.probes)
    telling = [Swap(ip, held) for ip, swap in _pods(snapshot, there.colour) if swap.dna != target.dna]
    return Step((), tuple(telling), candidate, ready)


def failure(snapshot: Snapshot, colour: str, dna: str | None) -> Problem | None:
    """Why a pod of the colour will never answer with `dna`, if it said so."""
    for _, swap in _pods(snapshot, colour):
        if swap.phase == "Failed" and swap.dna == dna:
            return Problem(swap.reason or names.PROBE_FAILED, swap.message or "it could not be taken over")
    return None


def reminders(snapshot: Snapshot, colour: str, now: datetime) -> list[Action]:
    """Tell pods that answer, or get ready to answer, with something else than their ConfigMap says, or keep too much."""
    there = next((item for item in snapshot.deployments if item.colour == colour), None)
    if there is None or there.wanted is None:
        return []
    wanted = there.wanted
    return [
        Swap(ip, _order(wanted))
        for ip, swap in _pods(snapshot, colour)
        if swap.dna != wanted.dna
        or swap.serial < wanted.serial
        or swap.phase == "Ready"
        or (swap.kept is not None and not may_keep(snapshot.model, swap.kept, wanted.dna, now))
    ]


def bring_up(snapshot: Snapshot, target: Colour) -> list[Action]:
    """The colour's Deployment, and before it what its pods read, where something is missing or not as it must be."""
    replicas = wanted_replicas(snapshot.model)
    there = next((item for item in snapshot.deployments if item.colour == target.name), None)
    if there is None or there.terminating:
        if not target.shape:
            return [Apply(build.deployment(snapshot.model, target, replicas=replicas))]
        first = WantedVersion(dna=target.dna, digest=target.digest, serial=1)
        return list(_written(snapshot.model, target, first, replicas=replicas))
    if target.shape and (there.wanted is None or there.labelled != target.dna):
        wanted = there.wanted or WantedVersion(dna=target.dna, digest=target.digest, serial=1)
        return list(_written(snapshot.model, target, wanted, replicas=replicas))
    if there.replicas != replicas:
        return [Apply(build.deployment(snapshot.model, target, replicas=replicas))]
    return []


def orphans(
    model: OneSeekModel,
    colours: Mapping[str, WantedView],
    deployments: Sequence[DeploymentView],
    *,
    kept: Collection[str],
) -> list[Action]:
    """ConfigMaps whose colour is gone."""
    there = {item.colour for item in deployments} | set(kept)
    return [
        Delete("ConfigMap", build.wanted_name(model, colour), found.uid)
        for colour, found in colours.items()
        if colour not in there
    ]


def _written(model: OneSeekModel, colour: Colour, version: WantedVersion, *, replicas: int) -> tuple[Action, ...]:
    return (
        Apply(build.wanted(model, colour.name, version)),
        Apply(build.deployment(model, colour, replicas=replicas)),
    )


def _pods(snapshot: Snapshot, colour: str) -> list[tuple[str, SwapState]]:
    """Address and swap of each pod of the colour that can take over versions."""
    found = [(pod.ip, snapshot.endpoint(pod).state) for pod in snapshot.pods_of(colour)]
    return [(ip, state.swap) for ip, state in found if state is not None and state.swap is not None]


def _is_held(swap: SwapState, target: Colour) -> bool:
    return swap.dna == target.dna and swap.phase in ("Ready", "Done")  # Done: it answers with it already


def _order(
    version: WantedVersion, *, hold: bool = False, probes: Sequence[object] = (), keep: str | None = None
) -> SwapRequest:
    return SwapRequest.model_validate({**version.model_dump(), "hold": hold, "probes": list(probes), "keep": keep})
