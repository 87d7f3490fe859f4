"""The plan of a rollout: which colour serves, which is rolled out, which is deleted, and what the status says. Pure.

The Service's selector is the truth about which colour serves; the status follows once every other pod hands over. A crash
between the flip and the status write therefore ends in the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import CandidateRef, Quarantined, StrategyUse, Version, VersionRef
from oneseek_operator.actions import Action, Apply, Event
from oneseek_operator.conditions import ConditionRow, Verdict, timestamp
from oneseek_operator.observe.model import Snapshot, wanted_replicas
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.resources import serving as build
from oneseek_operator.rollout import (
    analysis,
    analysis_run,
    drain,
    handover,
    hotswap,
    preview,
    status,
    strategy,
    takeover,
)
from oneseek_operator.rollout.bluegreen import blue_green
from oneseek_operator.rollout.handover import Takeover
from oneseek_operator.rollout.recreate import recreate
from oneseek_operator.rollout.step import DesiredState, RolloutContext, RolloutStep, bring_up, colour_for, scale_serving
from oneseek_operator.rollout.strategy import ChosenStrategy
from oneseek_operator.settings import Settings
from oneseek_operator.versions import states
from oneseek_operator.versions.quarantine import with_version
from oneseek_operator.versions.selection import Choice, choose, left_by_rollback

__all__ = ["Plan", "plan"]

_POLL = 1.0  # seconds between looks at sidecars during a rollout or a drain
_WATCH_POLL = 5.0  # and while a new version is watched


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions of one reconcile, and what the status says afterwards."""

    verdict: Verdict
    choice: Choice
    before: tuple[Action, ...]
    after: tuple[Action, ...]
    quarantine: list[Quarantined]
    versions: list[Version]
    current: VersionRef | None
    previous: VersionRef | None
    candidate: CandidateRef | None
    strategy: StrategyUse | None
    colour: str | None
    replicas: int
    selector: str | None
    verified: ConditionRow | None
    candidate_ready: ConditionRow | None
    again_after: float | None
    asks_service: bool
    events: tuple[Event, ...] = ()


def plan(snapshot: Snapshot, settings: Settings, now: datetime) -> Plan:
    """Start the desired colour, flip the Service to it once it may take over, and delete the others."""
    model = snapshot.model
    known, misses = states.known_versions(model, snapshot.runs)
    desired, quarantine, rejected = _judge(snapshot, known, misses, settings, now)
    snapshot = _with_quarantine(snapshot, quarantine)
    zero = not wanted_replicas(model)
    chosen, used = _strategy(snapshot, desired, now)
    step = _next_step(RolloutContext(snapshot, desired, chosen, settings, now))
    serving, target, candidate = step.serving, step.target, step.candidate
    flips = serving != snapshot.serving
    to = _takeover(snapshot, step)
    takes_over = takeover.progress(snapshot, to, now, flips=flips or step.swapped, zero=zero)
    # Before the status changes who may answer, all pods must have their orders; else they are ordered again later.
    strict = not takes_over.done or quarantine != model.status.quarantine
    orders, replaced = handover.orders(snapshot, to), handover.replaced(snapshot, to, now) if strict else []
    current, previous = model.status.current, model.status.previous
    moved = takes_over.done and not zero and snapshot.current_dna != to.dna
    if moved:
        current = takeover.reference(to.dna, target, known, now)
    final = _final_quarantine(model.status.quarantine, snapshot, known, now, to=to, current=current)
    if moved:
        previous = _former(model.status.current, previous, to.dna, final)
    versions = states.classified(known, final, misses)
    if previous is None or previous.dna in {item.dna for item in final}:
        previous = states.served_before(versions, current)
    kept = {target.name, serving, *([step.preview.name] if step.preview else [])}
    deleted, draining = drain.drained(snapshot, keep={serving} if zero else kept, serving=serving, now=now)
    if not takes_over.done:
        deleted, draining = [], True  # old colours are needed until it is certain which one answers
    before = [*(orders if strict else []), *(item for item, _ in replaced), *drain.withdrawals(snapshot), *step.before]
    if flips:
        before.append(Apply(build.service(model, colour=serving, flipped_at=timestamp(now))))
    after = [*step.after, *([] if strict else orders)]
    candidates, watched = _analysed(snapshot, step, desired), _watched(snapshot, step, now)
    after += analysis_run.orders(snapshot, settings, candidates=candidates, watched=watched)
    after += drain.previous_orders(snapshot, serving=serving, current=current, previous=previous, deleted=deleted)
    after += [*deleted, *hotswap.unused_config_maps(snapshot, kept=kept)]
    terminating, events = drain.terminating_pods(snapshot)
    rolling = None if zero else step.rolling
    if not takes_over.done and serving == target.name:
        rolling, tried = rolling or target, model.status.candidate
        candidate = candidate or (tried if tried and tried.dna == target.dna else None)
    rollout = status.Rollout(
        snapshot, desired.choice, serving, takes_over, current, rolling, step.ready, rejected, step.held
    )
    verdict = status.verdict(rollout, now)
    is_watched = analysis_run.is_watched(model, now) or target.dna != snapshot.current_dna
    busy = flips or rolling is not None or draining or terminating or verdict.state == "Working"
    looks = [_POLL] if busy else [float(model.spec.certification.verify_interval_seconds)]
    if is_watched:
        looks.append(_WATCH_POLL)
    if takes_over.is_flipped:
        looks.append(takeover.soon(snapshot, now))
    return Plan(
        verdict=verdict,
        choice=desired.choice,
        before=tuple(before),
        after=tuple(after),
        quarantine=final,
        versions=states.classified(
            states.served(known, current), final, rejected, states.roles(current, previous, candidate)
        ),
        current=current,
        previous=previous,
        candidate=candidate,
        strategy=used,
        colour=serving if takes_over.done else model.status.colour,
        replicas=sum(item.replicas for item in snapshot.deployments if item.colour == serving),
        selector=build.selector_text(model, serving),
        verified=status.verified(snapshot, serving),
        candidate_ready=status.candidate_ready(rollout, candidate, step.preview),
        again_after=min(looks),
        asks_service=takes_over.asks_service,
        events=(*events, *(Event(names.POD_NOT_TOLD, text, warning=True) for _, text in replaced)),
    )


def _with_quarantine(snapshot: Snapshot, quarantine: list[Quarantined]) -> Snapshot:
    model = snapshot.model
    status = model.status.model_copy(update={"quarantine": quarantine})
    return replace(snapshot, model=model.model_copy(update={"status": status}))


def _judge(
    snapshot: Snapshot, known: list[Version], misses: dict[str, str], settings: Settings, now: datetime
) -> tuple[DesiredState, list[Quarantined], dict[str, str]]:
    """The desired state once every version that failed is out; the quarantine, and why each rejected version is it."""
    quarantine, rejected = analysis.quarantined(snapshot, known, now), dict(misses)
    while True:
        judged = _with_quarantine(snapshot, quarantine)
        versions = states.classified(known, quarantine, misses)
        choice = choose(judged.model, [item for item in versions if item.dna not in rejected or item.dna in misses])
        waiting = choice.waiting if wanted_replicas(judged.model) else None
        desired = DesiredState(
            choice,
            colour_for(judged, choice.version, settings),
            colour_for(judged, waiting, settings) if waiting else None,
        )
        failed = _failed(snapshot, desired, settings, now)
        if failed is None:
            return desired, quarantine, rejected
        dna, problem = failed
        rejected[dna] = f"{problem.reason}: {problem.message}"
        quarantine = with_version(quarantine, dna, problem, now, known)


def _failed(snapshot: Snapshot, desired: DesiredState, settings: Settings, now: datetime) -> tuple[str, Problem] | None:
    """A candidate that failed; never the current version, whose new template just waits."""
    for colour in (desired.target, desired.preview):
        if colour is None or colour.dna is None or snapshot.serving is None or colour.dna == snapshot.current_dna:
            continue
        problem = analysis.swap_failure(snapshot, snapshot.serving, colour.dna)
        if not problem and colour.name != snapshot.serving:
            problem = analysis.candidate_failure(snapshot, colour, settings, now)
        if problem:
            return colour.dna, problem
    return None


def _strategy(
    snapshot: Snapshot, desired: DesiredState, now: datetime
) -> tuple[ChosenStrategy | None, StrategyUse | None]:
    """The strategy of what is rolled out, and what the status says of it; without a rollout that stays as it was."""
    stored = snapshot.model.status.strategy
    if snapshot.serving is None or not wanted_replicas(snapshot.model):
        return None, stored
    colour = desired.target if snapshot.serving != desired.target.name else desired.preview
    if colour is None:
        return None, stored
    forward = desired.choice.is_forward or colour is desired.preview
    chosen = strategy.choose_strategy(strategy.strategy_input(snapshot, colour, forward=forward, now=now))
    return chosen, strategy.strategy_use(chosen, colour)


def _next_step(context: RolloutContext) -> RolloutStep:
    """The next step towards the desired state, by the chosen strategy."""
    snapshot, desired = context.snapshot, context.desired
    target, serving, chosen = desired.target, snapshot.serving, context.strategy.name if context.strategy else None
    if serving is None:
        return RolloutStep(target.name, target, desired.preview, before=bring_up(snapshot, target))
    if serving == target.name:
        return preview.hold(context, serving)
    if chosen == "HotSwap":
        return hotswap.hot_swap(context, serving)
    if chosen == "Recreate":
        return recreate(context, serving)
    if not wanted_replicas(snapshot.model) and desired.choice.is_forward:
        before = scale_serving(snapshot, serving)
        return RolloutStep(serving, target, desired.preview, before=before, rolling=target)
    return blue_green(context, serving)


def _takeover(snapshot: Snapshot, step: RolloutStep) -> Takeover:
    """The version that answers once this step is done, and the colour whose pods answer with it."""
    there = snapshot.deployment_of(step.serving)
    stays = step.serving == snapshot.serving and not step.swapped
    dna = there.dna if there and stays else step.target.dna
    trial = frozenset({step.target.name, *([step.preview.name] if step.preview else [])} - {step.serving})
    barred = snapshot.quarantined
    if dna in barred:  # new requests wait until the target answers
        return Takeover(step.target.dna, None, dna, trial=trial, barred=barred)
    return Takeover(dna, step.serving, trial=trial, barred=barred)


def _analysed(snapshot: Snapshot, step: RolloutStep, desired: DesiredState) -> list[tuple[str, str | None]]:
    """Colours, with their versions, whose pods must pass an analysis; a version within a serving pod passes it by a swap."""
    known = snapshot.model.status.candidate
    found = [step.preview] if step.preview else []
    if snapshot.serving is not None and (desired.choice.is_forward or step.target.dna == snapshot.current_dna):
        found.append(step.target)
    return [
        (colour.name, colour.dna)
        for colour in found
        if colour.name != step.serving and not (known and known.dna == colour.dna and known.proved_at)
    ]


def _watched(snapshot: Snapshot, step: RolloutStep, now: datetime) -> str:
    """The colour whose analysis is repeated, while it is watched."""
    current = snapshot.model.status.current
    stays = step.serving == snapshot.serving and not step.swapped
    right = current is not None and snapshot.dna_of(snapshot.serving) == current.dna
    return step.serving if stays and right and analysis_run.is_watched(snapshot.model, now) else ""


def _final_quarantine(
    stored: Sequence[Quarantined],
    snapshot: Snapshot,
    known: Sequence[Version],
    now: datetime,
    *,
    to: Takeover,
    current: VersionRef | None,
) -> list[Quarantined]:
    """The snapshot's quarantine as the status may show it: without versions that may still answer somebody.

    The version that a rollback left is added once another version answers; until then it answers, and no request waits.
    """
    model, quarantine = snapshot.model, snapshot.model.status.quarantine
    old = {item.dna for item in stored}
    final = [item for item in quarantine if item.dna in old or not handover.may_answer(snapshot, to, item.dna, now)]
    left = left_by_rollback(model)
    version = next((item for item in known if item.dna == left), None)
    if version is None or left in snapshot.quarantined or version.state == names.STATE_DELETED:
        return final
    if wanted_replicas(model):
        over = (current.dna if current else None) != left
    else:
        over = not any(handover.dna_of_pod(snapshot, pod) == left for pod in snapshot.pods)
    if not over:
        return final
    request = model.status.request
    by = request.requested_by if request and request.verb == "rollback" else ""
    return with_version(
        final, version.dna, Problem(names.ROLLED_BACK, f"{by or 'somebody'} went back from it"), now, known
    )


def _former(
    current: VersionRef | None, previous: VersionRef | None, new: str | None, quarantine: Sequence[Quarantined]
) -> VersionRef | None:
    """The last version that served before `new` and is not in quarantine, of the two that the status names."""
    out = {item.dna for item in quarantine} | {new}
    return next((item for item in (current, previous) if item and item.dna not in out), None)
