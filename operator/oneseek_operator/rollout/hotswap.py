"""HotSwap: the pod that serves loads another version; the colour stays. Pure.

The colour's ConfigMap plays the part that the Service's selector plays in BlueGreen: it is the truth about the version
that serves. Before it changes, the pod has loaded and analysed the candidate and holds it back. Afterwards the pod is
ordered to switch, and ordered again whenever it reports another version.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core.api.v1alpha1.model_status import CandidateRef
from oneseek_core.serving.swap import SwapRequest, SwapState, WantedVersion
from oneseek_operator.actions import Action, Delete, Swap
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.model import Snapshot
from oneseek_operator.resources import serving as build
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout.drain import may_keep
from oneseek_operator.rollout.step import RolloutContext, RolloutStep, apply_wanted, candidate_of

__all__ = ["as_serving", "hot_swap", "repeated_orders", "superseded", "swap", "unused_config_maps"]


@dataclass(frozen=True, slots=True)
class SwapStep:
    """The actions of one step of a swap; `ready`: analysed, or needs no analysis; `flipped`: it serves from now on."""

    before: tuple[Action, ...]
    after: tuple[Action, ...]
    candidate: CandidateRef | None
    ready: bool
    flipped: bool = False


def hot_swap(context: RolloutContext, serving: str) -> RolloutStep:
    """Have the serving colour's pod load the target's version and serve it."""
    snapshot, target = context.snapshot, as_serving(context, context.desired.target, serving)
    candidate = candidate_of(target, snapshot.model.status.candidate, context.now)
    back = not context.desired.choice.is_forward
    step = swap(snapshot, target, candidate, context.now, back=back, may_flip=not context.waits_for_ledger)
    return RolloutStep(
        serving,
        target,
        context.desired.preview,
        before=step.before,
        after=(*step.after, *superseded(snapshot, target)),
        candidate=step.candidate,
        ready=step.ready,
        rolling=target,
        swapped=step.flipped,
    )


def as_serving(context: RolloutContext, colour: Colour, serving: str) -> Colour:
    """The colour's version under the name of the serving colour."""
    return build.colour_of(context.snapshot.model, context.settings, dna=colour.dna, digest=colour.digest, name=serving)


def superseded(snapshot: Snapshot, colour: Colour) -> list[Action]:
    """Delete Deployments of the version that never became ready: the serving colour's pod takes the version over."""
    return [
        Delete("Deployment", item.name, item.uid)
        for item in snapshot.deployments
        if item.colour != snapshot.serving and item.shape == colour.shape and item.dna == colour.dna and not item.ready
    ]


def swap(
    snapshot: Snapshot, target: Colour, candidate: CandidateRef | None, now: datetime, *, back: bool, may_flip: bool
) -> SwapStep:
    """Have the serving pod load and analyse `target`, which has the serving colour's name, then serve it."""
    there = next(item for item in snapshot.deployments if item.colour == snapshot.serving)
    wanted, pods = there.wanted or WantedVersion(), snapshot.swaps_of(there.colour)
    ready = back or candidate is None or candidate.proved_at is not None
    if not ready and candidate and any(_is_loaded(state, target) for _, state in pods):
        candidate, ready = candidate.model_copy(update={"proved_at": timestamp(now)}), True
    version = WantedVersion(dna=target.dna, digest=target.digest, serial=wanted.serial)
    if ready and may_flip:
        old = wanted.dna
        keep = old if old and old != target.dna and not back and may_keep(snapshot, old, target.dna, now) else None
        flipped = version.model_copy(update={"serial": wanted.serial + 1})
        return SwapStep(
            before=apply_wanted(snapshot.model, target, flipped, replicas=there.replicas),
            after=tuple(Swap(ip, _order(flipped, keep=keep)) for ip, _ in pods),
            candidate=candidate,
            ready=True,
            flipped=True,
        )
    order = _order(version, hold=True, probes=snapshot.model.spec.promotion.probes)
    return SwapStep((), tuple(Swap(ip, order) for ip, state in pods if state.dna != target.dna), candidate, ready)


def repeated_orders(snapshot: Snapshot, colour: str, now: datetime) -> list[Action]:
    """Orders for pods that serve, or load, another version than their ConfigMap names, or keep one too long."""
    there = snapshot.deployment_of(colour)
    if there is None or there.wanted is None:
        return []
    wanted = there.wanted
    return [
        Swap(ip, _order(wanted))
        for ip, state in snapshot.swaps_of(colour)
        if state.dna != wanted.dna
        or state.serial < wanted.serial
        or state.phase == "Ready"
        or (state.kept is not None and not may_keep(snapshot, state.kept, wanted.dna, now))
    ]


def unused_config_maps(snapshot: Snapshot, *, kept: Collection[str]) -> list[Action]:
    """Delete the ConfigMaps of colours that have no Deployment and are not among `kept`."""
    used = {item.colour for item in snapshot.deployments} | set(kept)
    return [
        Delete("ConfigMap", build.wanted_name(snapshot.model, colour), found.uid)
        for colour, found in snapshot.wanted.items()
        if colour not in used
    ]


def _is_loaded(state: SwapState, target: Colour) -> bool:
    return state.dna == target.dna and state.phase in ("Ready", "Done")  # Done: it serves it already


def _order(
    version: WantedVersion, *, hold: bool = False, probes: Sequence[object] = (), keep: str | None = None
) -> SwapRequest:
    return SwapRequest.model_validate({**version.model_dump(), "hold": hold, "probes": list(probes), "keep": keep})
